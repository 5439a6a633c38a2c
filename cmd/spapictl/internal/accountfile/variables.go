// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
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

// recognize picks the variables that are known, and the lines that are none.
// Other variables are somebody else's.
func recognize(all []assignment) (recognized []known, bad []*Problem) {
	hasNode := slices.ContainsFunc(all, func(a assignment) bool { return a.name == nodeClientID })
	for _, read := range all {
		found, ok := find(read, hasNode)
		switch {
		case read.name == "", read.broken:
			bad = append(bad, &Problem{Place: read.place, Text: read.err.Error()})
		case !ok:
		case read.err != nil:
			bad = append(bad, &Problem{Place: read.place, Text: read.err.Error()})
		case strings.HasSuffix(read.name, "_"):
			bad = append(bad, &Problem{Place: read.place, Text: "the name of the variable ends where the name of the account should follow"})
		default:
			found.value = strings.TrimSpace(found.value)
			recognized = append(recognized, found)
		}
	}
	return recognized, bad
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
