// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

// token is what a refresh token looks like. What people are shown holds no "|":
// neither names of accounts nor of columns may, nor any text of the parsers.
const token = "Atzr|MARKER"

// sound reads a file, and checks what must hold for any. It returns the accounts,
// and whether there was no problem.
func sound(t *testing.T, text string, opts accountfile.Options) (accounts map[string]string, clean bool) {
	t.Helper()
	hidden := func(text string) { require.NotContains(t, text, "|", "a credential is shown") }
	source, problem := accountfile.Read("f", strings.NewReader(text), opts)
	if problem != nil {
		hidden(problem.String())
		return nil, false
	}
	for _, app := range source.Applications {
		hidden(app.String())
		hidden(app.Place.String())
	}
	for _, note := range source.Notes {
		hidden(note.Text)
	}
	accounts, clean = map[string]string{}, true
	lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
	for item, ok := source.Next(); ok; item, ok = source.Next() {
		if item.Problem != nil {
			clean = false
			hidden(item.Problem.String())
			require.LessOrEqual(t, item.Problem.Place.Line, lines)
			continue
		}
		a := item.Account
		hidden(a.Name)
		require.NoError(t, accountfile.CheckName(a.Name))
		require.True(t, a.Place.Line >= 1 && a.Place.Line <= lines, "line %d of %d", a.Place.Line, lines)
		value := a.RefreshToken.Reveal()
		require.NotEmpty(t, value)
		require.Equal(t, strings.TrimSpace(value), value)
		require.False(t, strings.ContainsFunc(value, unicode.IsControl))
		accounts[a.Name] = value
	}
	return accounts, clean
}

func FuzzCSV(f *testing.F) {
	f.Add("account,refresh_token\nacme,"+token+"\n", false)
	f.Add("\ufeffaccount;refresh_token;metadata\r\n\"acme\";"+token+";\"a=1;b=2\"\r\n", true)
	f.Add("account\trefresh_token\tx|y\nacme\t\"Atzr|MARKER\n", true)
	f.Add(token+","+token+"\n", false)
	f.Fuzz(func(t *testing.T, text string, ignore bool) {
		sound(t, text, accountfile.Options{Type: accountfile.CSV, IgnoreUnknown: ignore})
	})
}

func FuzzJSONLines(f *testing.F) {
	f.Add(`{"account":"acme","refresh_token":"`+token+`","metadata":{"a":"b"},"marketplace_ids":["A"],"enabled":true,"token_min_ttl":1800}`, false)
	f.Add("{\"account\":\"\\u0000\",\"refresh_token\":null}\n[]\n{\"x|y\":1}", true)
	f.Fuzz(func(t *testing.T, text string, ignore bool) {
		sound(t, text, accountfile.Options{Type: accountfile.JSONLines, IgnoreUnknown: ignore})
	})
}

func FuzzYAML(f *testing.F) {
	f.Add("version: '1.0'\ndefault:\n  refresh_token: "+token+"\n  lwa_app_id: "+id1+"\n  lwa_client_secret: x|y\n", "")
	f.Add("a: &a\n  <<: [*a, {refresh_token: "+token+"}]\n? b\n: !!str {x: *a}\n---\n<<: *a\n", "acme")
	f.Add("a:\n  refresh_token: |\n    MARKER\n  'x\n", "")
	f.Fuzz(func(t *testing.T, text, account string) {
		if accountfile.CheckName(account) != nil {
			account = ""
		}
		sound(t, text, accountfile.Options{Type: accountfile.YAML, Account: account, IgnoreUnknown: true})
	})
}

// A .env file without problems says what godotenv reads, which puts all of it into
// one map and knows no lines.
func FuzzEnv(f *testing.F) {
	for _, seed := range []string{
		"LWA_APP_ID=" + id1 + "\nLWA_CLIENT_SECRET=x|y\nSP_API_REFRESH_TOKEN_ACME=" + token + "\n",
		"export LWA_REFRESH_TOKEN_A = '" + token + "' # why\r\nLWA_REFRESH_TOKEN_B: \"a\\\"b|\\n\"\n",
		"OTHER='a\nLWA_REFRESH_TOKEN_A=1\n'\nLWA_REFRESH_TOKEN_A=\"2\"",
		"LWA_REFRESH_TOKEN_A=a#b #c\n#LWA_REFRESH_TOKEN_A=b",
		"LWA_REFRESH_TOKEN_A='" + token + "\n" + token,
		"OTHER='a\nLWA_REFRESH_TOKEN_A=1\n' B=\"2\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		accounts, clean := sound(t, text, accountfile.Options{Type: accountfile.Env})
		values, err := godotenv.Unmarshal(strings.TrimPrefix(text, "\ufeff"))
		// A line end of old Macs is one here, and godotenv takes more for blanks.
		if !clean || err != nil || strings.ContainsAny(text, "\r\u0085\u00a0\v\f") {
			return
		}
		for name, value := range accounts {
			matches := false
			for variable, other := range values {
				matches = matches || strings.HasSuffix(variable, "_REFRESH_TOKEN_"+name) && strings.TrimSpace(other) == value
			}
			require.True(t, matches, "%q is %q here, and %q there", name, value, values)
		}
	})
}
