// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

func flow(t *testing.T, status int, body string) consent.Flow {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "the-token")
	m, err := mount.Open("spapi")
	require.NoError(t, err)
	return consent.Flow{Mount: m}
}

func TestBegin(t *testing.T) {
	const link = `{"data":{"url":"https://sellercentral.amazon.com/apps/authorize/consent?redirect_uri=https%%3A%%2F%%2Fapp.example%%2Fcb","state":%q,"expires_at":%q}}`
	got, err := flow(t, 200, fmt.Sprintf(link, "the-state", "2026-11-21T12:00:00Z")).Begin(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "the-state", got.State.Reveal())
	require.Equal(t, "https://app.example/cb", got.RedirectURI())

	for _, body := range []string{
		"", `{"data":{}}`, `{"data":{"url":"http://a/","state":"the-state","expires_at":"2026-11-21T12:00:00Z"}}`,
		fmt.Sprintf(link, "", "2026-11-21T12:00:00Z"), fmt.Sprintf(link, "the-state", "soon"),
	} {
		_, err := flow(t, 200, body).Begin(t.Context(), nil)
		require.Error(t, err, body)
		require.NotContains(t, err.Error(), "the-state")
	}
}

func TestNoSecretOfTheRequestInAnError(t *testing.T) {
	redirect := consent.Redirect{State: credential.New("the/state"), Code: credential.New("the-code"), SellingPartnerID: "A1EXAMPLE"}
	_, err := flow(t, 400, `{"errors":["the/state and the%2Fstate and the-code of A1EXAMPLE"]}`).Complete(t.Context(), redirect)
	require.EqualError(t, err, "[redacted] and [redacted] and [redacted] of A1EXAMPLE")
	require.False(t, consent.Repeatable(err))

	_, err = flow(t, 400, `{"errors":["amazons-state"]}`).Begin(t.Context(), map[string]any{"amazon_state": "amazons-state"})
	require.EqualError(t, err, "[redacted]")
}

func TestRepeatable(t *testing.T) {
	_, err := flow(t, 503, `{"errors":["Amazon could not be reached"]}`).Complete(t.Context(), consent.Redirect{})
	require.True(t, consent.Repeatable(err))

	unreachable := flow(t, 200, "")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	unreachable.Mount, err = mount.Open("spapi")
	require.NoError(t, err)
	_, err = unreachable.Complete(t.Context(), consent.Redirect{})
	require.True(t, consent.Repeatable(err))
	require.False(t, consent.Unknown(err))

	require.False(t, consent.Repeatable(nil))
	require.False(t, consent.Repeatable(consent.ErrExpired))
}

// What answers without an account is no engine; a proxy may have cut the answer.
func TestAnswerWithoutAccount(t *testing.T) {
	for _, body := range []string{"", `{"data":{}}`, `{"status":"ok"}`} {
		_, err := flow(t, 200, body).Complete(t.Context(), consent.Redirect{})
		require.True(t, consent.Unknown(err), body)
		require.False(t, consent.Repeatable(err))
	}
}

// Without an answer nobody knows whether the authorization was stored.
func TestNoAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	m, err := mount.Open("spapi")
	require.NoError(t, err)
	attempts := consent.Attempts{Vault: consent.Flow{Mount: m}}
	_, err = attempts.Complete(t.Context(), consent.Redirect{})
	require.ErrorContains(t, err, "unknown whether the authorization was stored")
	require.True(t, consent.Unknown(err))
	require.False(t, consent.Repeatable(err))
}
