// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package mount_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// seen is a request as Vault would get it.
type seen struct{ method, uri, token, namespace, body string }

// vault answers every request with one answer, and keeps what it was asked.
func vault(t *testing.T, status int, body string) *[]seen {
	t.Helper()
	var all []seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		all = append(all, seen{r.Method, r.RequestURI, r.Header.Get("X-Vault-Token"), r.Header.Get("X-Vault-Namespace"), string(raw)})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "the-token")
	return &all
}

func open(t *testing.T) *mount.Mount {
	t.Helper()
	m, err := mount.Open("spapi/")
	require.NoError(t, err)
	return m
}

func TestRead(t *testing.T) {
	asked := vault(t, 200, `{"data":{"region":"eu","n":3},"warnings":["soon"]}`)
	t.Setenv("VAULT_NAMESPACE", "team")
	t.Setenv("VAULT_WRAP_TTL", "5m")
	answer, err := open(t).Read(t.Context(), "config")
	require.NoError(t, err)
	require.Equal(t, "eu", answer.Text("region"))
	require.Empty(t, answer.Text("n"))
	require.Equal(t, []string{"soon"}, answer.Warnings)
	require.Equal(t, []seen{{"GET", "/v1/spapi/config", "the-token", "team", ""}}, *asked)
}

func TestList(t *testing.T) {
	asked := vault(t, 200, `{"data":{"keys":["a"]}}`)
	answer, err := open(t).List(t.Context(), "accounts/", url.Values{"after": {"x&y"}})
	require.NoError(t, err)
	require.Equal(t, []any{"a"}, answer.Data["keys"])
	require.Equal(t, "/v1/spapi/accounts?after=x%26y&list=true", (*asked)[0].uri)
}

func TestWrite(t *testing.T) {
	asked := vault(t, 204, "")
	answer, err := open(t).Write(t.Context(), "accounts/acme", map[string]any{"region": "eu"})
	require.NoError(t, err)
	require.NotNil(t, answer)
	require.Equal(t, []seen{{"PUT", "/v1/spapi/accounts/acme", "the-token", "", `{"region":"eu"}`}}, *asked)
}

func TestWhatDoesNotExist(t *testing.T) {
	vault(t, 404, `{"errors":[]}`)
	answer, err := open(t).Read(t.Context(), "config")
	require.NoError(t, err)
	require.Nil(t, answer)
	answer, err = open(t).List(t.Context(), "accounts/", nil)
	require.NoError(t, err)
	require.Nil(t, answer)
}

// Each status is what Vault answered at the first attempt.
func TestErrors(t *testing.T) {
	cases := map[string]struct {
		status     int
		body, want string
	}{
		"refused":         {400, `{"errors":["field \"region\": is wrong"]}`, `field "region": is wrong`},
		"denied":          {403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, `Vault denied it: permission denied (the policy needs the capability "update" on the path "spapi/authorize/url")`},
		"a bad token":     {403, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`, "Vault denied it: permission denied; invalid token (the token has expired, was revoked or is of another Vault: log in with `vault login`, or set VAULT_TOKEN)"},
		"several":         {400, `{"errors":["2 errors occurred:\n\t* one\n\t* two\n\n","three"]}`, "one; two; three"},
		"no mount":        {404, `{"errors":["no handler for route \"spapi/x\". route entry not found."]}`, `no handler for route "spapi/x". route entry not found.`},
		"sealed":          {503, `{"errors":["Vault is sealed"]}`, "Vault is sealed"},
		"a proxy's page":  {502, "<html>\x1b[31mbad</html>", "<html>[31mbad</html>"},
		"nothing at all":  {500, "", "Vault answered 500 Internal Server Error"},
		"too many at all": {429, `{"errors":["slow down"]}`, "slow down"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			asked := vault(t, c.status, c.body)
			_, err := open(t).Write(t.Context(), "authorize/url", map[string]any{"state": "the-secret"})
			failed := (*mount.Error)(nil)
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.status, failed.Status)
			require.Equal(t, c.want, failed.Error())
			require.False(t, failed.Unsent())
			require.Len(t, *asked, 1, "is not repeated")
		})
	}
}

// Vault answers with a list of errors; a proxy before it does not.
func TestForeignAnswers(t *testing.T) {
	for body, foreign := range map[string]bool{
		`{"errors":["Vault is sealed"]}`: false,
		"":                               true,
		"upstream timed out":             true,
		`{"message":"bad gateway"}`:      true,
		`{"errors":[]}`:                  true,
	} {
		vault(t, 503, body)
		_, err := open(t).Write(t.Context(), "authorize/callback", nil)
		failed := (*mount.Error)(nil)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, foreign, failed.Foreign, body)
	}
}

// What is cut off a long answer must not leave a part of a secret at its end.
func TestNoSecretInAnError(t *testing.T) {
	const secret = "the/secret-of-this-test"
	for _, escaped := range []string{secret, url.QueryEscape(secret)} {
		for before := 1980; before < 2010; before++ {
			vault(t, 400, `{"errors":["`+strings.Repeat(".", before)+escaped+` of it"]}`)
			_, err := open(t).Write(t.Context(), "authorize/callback", nil, credential.New(secret))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "the")
			require.NotContains(t, err.Error(), "secret")
		}
	}
}

func TestMountThatIsMissing(t *testing.T) {
	vault(t, 404, `{"errors":["no handler for route"]}`)
	_, err := open(t).Read(t.Context(), "config")
	require.EqualError(t, err, "no handler for route")
}

func TestNoAnswer(t *testing.T) {
	vault(t, 200, "")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	_, err := open(t).Write(t.Context(), "authorize/callback", map[string]any{"state": "the-secret"})
	failed := (*mount.Error)(nil)
	require.ErrorAs(t, err, &failed)
	require.Zero(t, failed.Status)
	require.True(t, failed.Unsent())
	require.Contains(t, err.Error(), "no answer from Vault: ")
	require.NotContains(t, err.Error(), "the-secret")
	_, err = open(t).List(t.Context(), "accounts/", url.Values{"after": {"the-name"}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "the-name", "nothing of the URL is shown")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = open(t).Read(ended, "config")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnswerThatBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "the-token")
	_, err := open(t).Write(t.Context(), "authorize/callback", nil)
	failed := (*mount.Error)(nil)
	require.ErrorAs(t, err, &failed)
	require.Zero(t, failed.Status)
	require.False(t, failed.Unsent(), "something may have happened")
}

// The client resolves "..", so that a name could lead anywhere.
func TestPathsThatLeadElsewhere(t *testing.T) {
	asked := vault(t, 200, "")
	for _, path := range []string{"accounts/..", "accounts/../config", "accounts/./a", "accounts//a", "", "accounts/a\nb"} {
		_, err := open(t).Write(t.Context(), path, nil)
		require.Error(t, err, "%q", path)
	}
	require.Empty(t, *asked)
	for _, path := range []string{"", "/", "../sys", "a//b", "https://app.example/callback?spapi_oauth_code=the-code"} {
		_, err := mount.Open(path)
		require.Error(t, err, "%q", path)
		require.NotContains(t, err.Error(), "the-code")
	}
}

// The token helper of the vault command is asked where there is no VAULT_TOKEN.
func TestTokens(t *testing.T) {
	asked := vault(t, 403, `{"errors":["permission denied"]}`)
	t.Setenv("VAULT_TOKEN", "")
	dir := t.TempDir()
	helper, config, stored := filepath.Join(dir, "helper"), filepath.Join(dir, "config"), filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(helper, []byte("#!/bin/sh\n[ \"$1\" = get ] && cat "+stored+"\n"), 0o700))
	require.NoError(t, os.WriteFile(config, []byte("token_helper = \""+helper+"\"\n"), 0o600))
	t.Setenv("VAULT_CONFIG_PATH", config)

	require.NoError(t, os.WriteFile(stored, nil, 0o600))
	_, err := open(t).Read(t.Context(), "config")
	require.ErrorContains(t, err, "no token was sent")

	require.NoError(t, os.WriteFile(stored, []byte("stored"), 0o600))
	_, err = open(t).Read(t.Context(), "config")
	require.ErrorContains(t, err, `"read" on the path "spapi/config"`)
	require.Equal(t, "stored", (*asked)[1].token)

	require.NoError(t, os.Remove(stored))
	_, err = mount.Open("spapi")
	require.ErrorContains(t, err, "the token that vault login stored")
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	t.Setenv("VAULT_ADDR", "http://user:the-secret@bad host:8200")
	_, err := mount.Open("spapi")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "the-secret")
	t.Setenv("VAULT_ADDR", "")
	t.Setenv("VAULT_SKIP_VERIFY", "perhaps")
	_, err = mount.Open("spapi")
	require.ErrorContains(t, err, "VAULT_SKIP_VERIFY")
}
