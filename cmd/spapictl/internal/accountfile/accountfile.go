// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package accountfile reads the files in which people keep selling accounts:
// .env, credentials.yml of python-amazon-sp-api, CSV and JSON lines. Nothing that
// it says about a file repeats a value of it.
package accountfile

import (
	"fmt"
	"strconv"
	"strings"

	"vault-plugin-secrets-spapi/backend/credential"
)

// Type is how a file is written.
type Type string

// The types that can be read.
const (
	Env       Type = "env"
	YAML      Type = "yaml"
	CSV       Type = "csv"
	JSONLines Type = "jsonl"
)

// Types are the names of all types.
func Types() []string {
	return []string{string(Env), string(YAML), string(CSV), string(JSONLines)}
}

// Place is where something stands.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // 0: the file as a whole
}

// String is FILE:LINE.
func (p Place) String() string {
	name := p.File
	if !printable(name) {
		name = strconv.Quote(name)
	}
	if p.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, p.Line)
}

// Application is the client of Login with Amazon that a file names.
type Application struct {
	ClientID string
	Secret   credential.Secret // zero if the file has none
	Place    Place             // of the client id
	// SecretNames are the variables or keys that hold the client secret.
	SecretNames []string
}

// String is the client id, if it has the shape of one: people mistake one
// variable for another, and then it is a credential.
func (a *Application) String() string {
	if strings.HasPrefix(a.ClientID, "amzn1.application-oa2-client.") && wordShape.MatchString(a.ClientID) {
		return a.ClientID
	}
	return "the client id of " + a.Place.String()
}

// Account is one selling account of a file.
type Account struct {
	Place        Place
	Name         string
	RefreshToken credential.Secret
	// Application is whose refresh token it is; nil if the file does not say.
	Application *Application
	// Settings are the fields of accounts/<name> that the file has, as Vault
	// takes them.
	Settings map[string]any
	// TokenName is the variable or key that holds the refresh token; empty where
	// the file has no names for it.
	TokenName string
}

// Problem is a line, or a whole file, that cannot be imported.
type Problem struct {
	Place   Place
	Account string // empty if it is not known, or none
	Text    string
}

// String is FILE:LINE account: text.
func (p *Problem) String() string {
	if p.Account == "" {
		return fmt.Sprintf("%s: %s", p.Place, p.Text)
	}
	return fmt.Sprintf("%s %s: %s", p.Place, p.Account, p.Text)
}

// Note is worth knowing, and stops nothing.
type Note struct {
	Place Place
	Text  string
}

// Item is an account or a problem; the other one is nil.
type Item struct {
	Account *Account
	Problem *Problem
}

// Options say how to read.
type Options struct {
	Type          Type   // empty: by name and content
	Account       string // name of the account where the file names none
	IgnoreUnknown bool   // columns and members that are not known
}

// Source is a file that was opened. What it says of applications is known at
// once; accounts come one after the other.
type Source struct {
	Name         string
	Applications []*Application
	Notes        []Note
	// Accounts is about how many accounts follow; 0 if that is not known.
	Accounts int
	// Endless sources may never end, such as a terminal.
	Endless bool
	// Stays says that the source can be read again later, as a pipe cannot.
	Stays bool

	header  int  // lines before the first account
	plain   bool // a regular file of this name, and no link to one
	lines   bool // nothing is in it but accounts
	ignored bool // columns or members
	next    func() (Item, bool)
	close   func() error
}

// Next gives what follows, in the order of the file.
func (s *Source) Next() (Item, bool) { return s.next() }

// OnlyAccounts reports whether the source is a file with nothing but the accounts
// that Next gave, so that nothing else is lost with it.
func (s *Source) OnlyAccounts() bool { return s.plain && s.lines && !s.ignored }

// Close closes the file.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

func each(items []Item) func() (Item, bool) {
	return func() (Item, bool) {
		if len(items) == 0 {
			return Item{}, false
		}
		item := items[0]
		items = items[1:]
		return item, true
	}
}
