// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

func engineSays(status int, text string) error {
	return &mount.Error{Status: status, Messages: []string{text}}
}

func proxySays(status int) error {
	return &mount.Error{Status: status, Messages: []string{"upstream timed out"}, Foreign: true}
}

// answering gives one error after the other, and then an authorization.
func answering(errs ...error) *vaultStub {
	next := 0
	return &vaultStub{complete: func(context.Context, consent.Redirect) (consent.Authorization, error) {
		if next++; next <= len(errs) {
			return consent.Authorization{}, errs[next-1]
		}
		return authorized(), nil
	}}
}

func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	const gone = `account "acme": the state was used before. Begin again with: vault write spapi/authorize/url account=…`
	const givenBack = `account "acme": Amazon refuses the application (the state can be used again until 2026-11-21T12:15:00Z)`
	for name, c := range map[string]struct {
		answers             []error
		unknown, repeatable bool // the last of them
	}{
		"Vault refuses":                     {answers: []error{engineSays(400, "the code is spent")}},
		"Vault denies":                      {answers: []error{engineSays(403, "permission denied")}},
		"Vault fails":                       {answers: []error{engineSays(500, "storage failed")}, unknown: true},
		"Vault cannot read Amazon":          {answers: []error{engineSays(502, "that makes no sense")}},
		"Vault gives the state back":        {answers: []error{engineSays(503, "Amazon could not be reached")}, repeatable: true},
		"also with 400":                     {answers: []error{engineSays(400, givenBack)}, repeatable: true},
		"also with 500":                     {answers: []error{engineSays(500, givenBack)}, repeatable: true},
		"unknown, then given back by 500":   {answers: []error{proxySays(503), engineSays(500, givenBack)}, repeatable: true},
		"a proxy refuses":                   {answers: []error{proxySays(403)}},
		"a proxy slows down":                {answers: []error{proxySays(429)}, repeatable: true},
		"a proxy fails with 500":            {answers: []error{proxySays(500)}, unknown: true},
		"a proxy fails with 502":            {answers: []error{proxySays(502)}, unknown: true},
		"a proxy fails with 503":            {answers: []error{proxySays(503)}, unknown: true, repeatable: true},
		"a proxy fails with 504":            {answers: []error{proxySays(504)}, unknown: true},
		"504 as of Vault":                   {answers: []error{engineSays(504, "timed out")}, unknown: true},
		"no answer":                         {answers: []error{engineSays(0, "EOF")}, unknown: true},
		"gone":                              {answers: []error{engineSays(400, gone)}},
		"given back, then gone":             {answers: []error{engineSays(503, "Amazon could not be reached"), engineSays(400, gone)}},
		"unknown, then gone":                {answers: []error{proxySays(503), engineSays(400, gone)}, unknown: true},
		"unknown, then not known":           {answers: []error{proxySays(503), engineSays(400, "the state is unknown: it was used before")}, unknown: true},
		"unknown, then denied":              {answers: []error{proxySays(503), engineSays(403, "permission denied")}, unknown: true},
		"unknown, then given back":          {answers: []error{proxySays(503), engineSays(503, "sealed")}, unknown: true, repeatable: true},
		"unknown, given back, gone":         {answers: []error{proxySays(503), engineSays(503, "sealed"), engineSays(400, gone)}, unknown: true},
		"unknown, then refused for another": {answers: []error{proxySays(503), engineSays(400, "the code is spent")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := consent.Attempts{Vault: answering(c.answers...)}
			var err error
			for range c.answers {
				_, err = attempts.Complete(t.Context(), consent.Redirect{})
				require.Error(t, err)
			}
			require.Equal(t, c.unknown, consent.Unknown(err))
			require.Equal(t, c.repeatable, consent.Repeatable(err))
			done, err := attempts.Complete(t.Context(), consent.Redirect{})
			require.NoError(t, err)
			require.Equal(t, authorized(), done)
		})
	}
}
