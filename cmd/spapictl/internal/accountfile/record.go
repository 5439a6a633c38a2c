// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// record makes an account of the columns or members of a line. A value is a
// text, a list of texts or a map of texts.
func record(at Place, values map[string]any, opts Options) Item {
	name, _ := values["account"].(string)
	name = strings.TrimSpace(name)
	if name == "" {
		name = opts.Account
	} else if opts.Account != "" {
		return Item{Problem: &Problem{Place: at, Text: "the line names its account: leave --account out"}}
	}
	account := &Account{Place: at, Name: name, Settings: map[string]any{}}
	token, _ := values["refresh_token"].(string)
	if problem := account.complete(token); problem != nil {
		return Item{Problem: problem}
	}
	known := settings()
	for _, field := range slices.Sorted(maps.Keys(values)) {
		read, ok := known[field]
		if !ok {
			continue
		}
		value, err := setting(values[field], read)
		if err != nil {
			return Item{Problem: &Problem{Place: at, Account: name, Text: fmt.Sprintf("%s %s", field, err)}}
		}
		if value != nil {
			account.Settings[field] = value
		}
	}
	return Item{Account: account}
}

// complete checks the name, and takes the refresh token.
func (a *Account) complete(token string) *Problem {
	if a.Name == "" {
		return &Problem{Place: a.Place, Text: "names no account; --account NAME names the account of a file with one"}
	}
	if err := CheckName(a.Name); err != nil {
		return &Problem{Place: a.Place, Text: err.Error()}
	}
	secret, err := newCredential("refresh_token", token)
	if err != nil {
		return &Problem{Place: a.Place, Account: a.Name, Text: err.Error()}
	}
	a.RefreshToken = secret
	return nil
}

// setting reads a value; nil is one that is empty, and so left out.
func setting(value any, read func(string) (any, error)) (any, error) {
	switch value := value.(type) {
	case []string:
		return checkMarketplaceIDs(value)
	case map[string]string:
		return checkMetadata(value)
	case string:
		if text := strings.TrimSpace(value); text != "" {
			return read(text)
		}
	}
	return nil, nil //nolint:nilnil // left out
}
