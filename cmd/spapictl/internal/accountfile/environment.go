// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/backend/credential"
)

// maxClientID is Vault's bound of client_id.
const maxClientID = 256

// Environment reads the variables of a process, each NAME=value.
func Environment(variables []string, opts Options) (*Source, *Problem) {
	var all []assignment
	for _, entry := range slices.Sorted(slices.Values(variables)) {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			all = append(all, assignment{place: Place{File: "environment variable " + name}, name: name, value: value})
		}
	}
	return variableSource("the environment", all, opts)
}

func envSource(name, text string, opts Options) (*Source, *Problem) {
	return variableSource(name, assignments(name, text), opts)
}

// variableSource makes accounts and applications of variables.
func variableSource(name string, all []assignment, opts Options) (*Source, *Problem) {
	recognized, bad, notes := recognize(all)
	e := environment(recognized)
	tokens := e.of(refreshToken)
	b := builder{opts: opts, count: tokens.count(), notes: notes}
	for _, problem := range bad {
		b.refuse(problem)
	}
	applications := b.applications(e)
	if !b.canName(slices.ContainsFunc(tokens, func(v known) bool { return v.suffix == "" })) {
		return nil, &Problem{Place: Place{File: name}, Text: fmt.Sprintf("--account names one account, and the source names %d: leave it out", b.count)}
	}
	b.tokens(e, applications, reassigned(all))
	b.unused(e)
	if len(b.items) == 0 && len(applications) == 0 && len(notes) == 0 {
		return nil, &Problem{Place: Place{File: name}, Text: "holds none of the variables that are known, such as LWA_APP_ID and SP_API_REFRESH_TOKEN"}
	}
	return b.source(name), nil
}

// tokens makes an account of each refresh token.
func (b *builder) tokens(e environment, applications map[Place]*Application, reassigned map[string][]string) {
	told := map[string]bool{}
	for _, token := range e.of(refreshToken) {
		if places := reassigned[token.name]; len(places) > 0 {
			if !told[token.name] {
				b.refuse(&Problem{Place: token.place, Account: shownName(token.suffix), Text: fmt.Sprintf("the variable is assigned in %s, with different values: only one of them can be right", strings.Join(places, " and "))})
			}
			told[token.name] = true
			continue
		}
		ids := e.pick(clientID, token)
		if len(ids) > 1 {
			b.refuse(&Problem{Place: token.place, Account: shownName(token.suffix), Text: fmt.Sprintf("whose refresh token is it? %s and %s give different client ids", ids[0].place, ids[1].place)})
			continue
		}
		var of *Application
		if len(ids) == 1 {
			if of = applications[ids[0].place]; of == nil {
				b.refuse(&Problem{Place: token.place, Account: shownName(token.suffix), Text: fmt.Sprintf("the client id of %s cannot be used", ids[0].place)})
				continue
			}
		}
		b.add(Account{Place: token.place, Name: token.suffix, Application: of, TokenName: token.shownName()}, token.value)
	}
}

// builder collects what a source that is read at once says.
type builder struct {
	opts  Options
	count int // of accounts in the file
	items []Item
	apps  []*Application
	notes []Note
}

func (b *builder) refuse(problem *Problem) { b.items = append(b.items, Item{Problem: problem}) }

// canName reports whether --account, if given, is of use: it names the account
// without a name, or else the only one.
func (b *builder) canName(nameless bool) bool {
	return b.opts.Account == "" || b.count <= 1 || nameless
}

func (b *builder) add(account Account, token string) {
	if b.opts.Account != "" && (account.Name == "" || b.count == 1) {
		account.Name = b.opts.Account
	}
	if problem := account.complete(token); problem != nil {
		b.refuse(problem)
		return
	}
	b.items = append(b.items, Item{Account: &account})
}

// source puts all into the order of the file.
func (b *builder) source(name string) *Source {
	slices.SortStableFunc(b.items, func(x, y Item) int { return cmp.Compare(x.place().Line, y.place().Line) })
	return &Source{Name: name, Applications: b.apps, Notes: b.notes, Accounts: b.count, next: each(b.items)}
}

func (i Item) place() Place {
	if i.Account != nil {
		return i.Account.Place
	}
	return i.Problem.Place
}

// applications makes an application of each client id.
func (b *builder) applications(e environment) map[Place]*Application {
	made := map[Place]*Application{}
	for _, id := range e.of(clientID) {
		if id.value == "" {
			continue
		}
		if err := checkClientID(id.value); err != nil {
			b.refuse(&Problem{Place: id.place, Text: err.Error()})
			continue
		}
		app := &Application{ClientID: id.value, Place: id.place}
		switch secrets := e.pick(clientSecret, id); {
		case len(secrets) > 1:
			b.refuse(&Problem{Place: id.place, Text: fmt.Sprintf("the application has two client secrets, in %s and %s", secrets[0].place, secrets[1].place)})
		case len(secrets) == 1:
			secret, err := newCredential("the client secret", secrets[0].value)
			if err != nil {
				b.refuse(&Problem{Place: secrets[0].place, Text: err.Error()})
			}
			app.Secret = secret
			app.SecretNames = append(app.SecretNames, secrets[0].shownName())
		}
		made[id.place] = app
		b.apps = append(b.apps, app)
	}
	return made
}

func checkClientID(id string) error {
	if err := plain(id, maxClientID); err != nil {
		return fmt.Errorf("the client id %w", err)
	}
	if LooksSecret(id) || strings.ContainsAny(id, " \u00a0") {
		return errors.New("the client id is none: Amazon's look like amzn1.application-oa2-client.…")
	}
	return nil
}

// unused refuses suffixes of applications that no refresh token has, and says
// where a client secret stands alone.
func (b *builder) unused(e environment) {
	for _, v := range e {
		if v.role == refreshToken || v.value == "" {
			continue
		}
		hasToken := slices.ContainsFunc(e.of(refreshToken), func(t known) bool { return t.suffix == v.suffix })
		switch {
		case v.suffix != "" && !hasToken:
			b.refuse(&Problem{Place: v.place, Account: shownName(v.suffix), Text: "the account has no refresh token"})
		case v.role == clientSecret && len(e.pick(clientID, v)) == 0:
			b.notes = append(b.notes, Note{v.place, "a client secret without a client id is of no use, and is left out"})
		}
	}
}

// shownName is the name of an account, if it can be shown.
func shownName(name string) string {
	if CheckName(name) != nil {
		return ""
	}
	return name
}

// sameApplication is an application that was named before, or a new one.
func (b *builder) sameApplication(id string, secret credential.Secret, at Place) *Application {
	same := slices.IndexFunc(b.apps, func(app *Application) bool { return app.ClientID == id && app.Secret.Equal(secret) })
	if same >= 0 {
		return b.apps[same]
	}
	app := &Application{ClientID: id, Secret: secret, Place: at}
	b.apps = append(b.apps, app)
	return app
}
