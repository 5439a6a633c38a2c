// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"maps"
	"slices"
	"strings"
)

// role is what a variable holds.
type role int

const (
	clientID role = iota
	clientSecret
	refreshToken
)

// family is a set of variables that belong together.
type family int

const (
	amazon family = iota
	// lwa has the names of python-amazon-sp-api, and those of @sp-api-sdk/auth
	// and peddler; LWA_CLIENT_SECRET is in both.
	lwa
	// node has the names of amazon-sp-api, which has none for refresh tokens.
	node
)

type variable struct {
	family family
	role   role
}

const nodeClientID = "SELLING_PARTNER_APP_CLIENT_ID"

func variables() map[string]variable {
	return map[string]variable{
		"AMAZON_CLIENT_ID":                  {amazon, clientID},
		"AMAZON_CLIENT_SECRET":              {amazon, clientSecret},
		"AMAZON_REFRESH_TOKEN":              {amazon, refreshToken},
		"LWA_APP_ID":                        {lwa, clientID},
		"LWA_CLIENT_ID":                     {lwa, clientID},
		"LWA_CLIENT_SECRET":                 {lwa, clientSecret},
		"LWA_REFRESH_TOKEN":                 {lwa, refreshToken},
		"SP_API_REFRESH_TOKEN":              {lwa, refreshToken},
		nodeClientID:                        {node, clientID},
		"SELLING_PARTNER_APP_CLIENT_SECRET": {node, clientSecret},
		"SELLING_PARTNER_APP_REFRESH_TOKEN": {node, refreshToken},
	}
}

// known is a variable that is known. The suffix _<ACCOUNT> stays as it is
// written: programs pass it as the name of the account already.
type known struct {
	variable
	assignment
	suffix string
}

// namesFile recognizes variables such as SP_API_REFRESH_TOKEN_FILE=/run/secrets/x.
func (v known) namesFile() bool {
	return strings.HasPrefix(strings.TrimSpace(v.value), "/") || strings.HasSuffix(v.name, "_FILE") && !LooksSecret(v.value)
}

// recognize picks the variables that are known, and the lines that are none.
// Other variables are somebody else's.
func recognize(all []assignment) (recognized []known, bad []*Problem, notes []Note) {
	hasNode := slices.ContainsFunc(all, func(a assignment) bool { return a.name == nodeClientID })
	for _, read := range all {
		found, ok := find(read, hasNode)
		switch {
		case read.name == "", read.broken:
			bad = append(bad, &Problem{Place: read.place, Text: read.err.Error()})
		case !ok:
		case found.namesFile():
			notes = append(notes, Note{read.place, "the variable names a file, as it seems, and is left out: what is in that file is not read"})
		case read.err != nil:
			bad = append(bad, &Problem{Place: read.place, Text: read.err.Error()})
		case strings.HasSuffix(read.name, "_"):
			bad = append(bad, &Problem{Place: read.place, Text: "the name of the variable ends where the name of the account should follow"})
		default:
			found.value = strings.TrimSpace(found.value)
			recognized = append(recognized, found)
		}
	}
	return recognized, bad, notes
}

// reassigned finds the variables that are assigned again with another value, and
// where. Programs take the last one, so that the others are out of date.
func reassigned(all []assignment) map[string][]string {
	first, differs := map[string]assignment{}, map[string]bool{}
	places := map[string][]string{}
	for _, read := range all {
		if before, again := first[read.name]; !again {
			first[read.name] = read
		} else if read.err != nil || before.err != nil || strings.TrimSpace(read.value) != strings.TrimSpace(before.value) {
			differs[read.name] = true
		}
		places[read.name] = append(places[read.name], read.place.String())
	}
	maps.DeleteFunc(places, func(name string, _ []string) bool { return !differs[name] })
	return places
}

func find(read assignment, hasNode bool) (known, bool) {
	if read.name == "REFRESH_TOKEN" && hasNode {
		return known{variable{node, refreshToken}, read, ""}, true
	}
	for name, what := range variables() {
		if read.name == name {
			return known{what, read, ""}, true
		}
		if suffix, ok := strings.CutPrefix(read.name, name+"_"); ok {
			return known{what, read, suffix}, true
		}
	}
	return known{}, false
}

// environment is what a source says with variables that are known.
type environment []known

// count counts variables that are assigned again once.
func (e environment) count() int {
	names := map[string]bool{}
	for _, v := range e {
		names[v.name] = true
	}
	return len(names)
}

// shownName is the name of the variable, or its place: in the environment a name
// can be anything.
func (v known) shownName() string {
	if wordShape.MatchString(v.name) && !LooksSecret(v.name) {
		return v.name
	}
	return v.place.String()
}

func (e environment) of(what role) environment {
	return slices.DeleteFunc(slices.Clone(e), func(v known) bool { return v.role != what })
}

// pick finds the variables that stand with another one: those of its family and
// suffix, or else of its family without suffix, or of any other family. There are
// several only if their values differ.
func (e environment) pick(what role, with known) environment {
	same := func(v known) bool { return v.family == with.family }
	// A client secret does not leave a family that has a client id of its own.
	other := func(v known) bool { return !same(v) && (what == clientID || !e.hasClientID(v.family)) }
	for _, tier := range []func(known) bool{
		func(v known) bool { return same(v) && v.suffix == with.suffix },
		func(v known) bool { return same(v) && v.suffix == "" },
		func(v known) bool { return other(v) && v.suffix == with.suffix },
		func(v known) bool { return other(v) && v.suffix == "" },
	} {
		var picked environment
		for _, v := range e.of(what) {
			differs := !slices.ContainsFunc(picked, func(p known) bool { return p.value == v.value })
			if v.value != "" && tier(v) && differs {
				picked = append(picked, v)
			}
		}
		if len(picked) > 0 {
			return picked
		}
	}
	return nil
}

func (e environment) hasClientID(of family) bool {
	return slices.ContainsFunc(e, func(v known) bool { return v.role == clientID && v.family == of && v.value != "" })
}
