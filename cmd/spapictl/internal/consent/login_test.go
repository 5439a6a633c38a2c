// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// login is how Amazon's Appstore opens the log-in URI, without host.
const login = "/login?amazon_callback_uri=https%3A%2F%2Famazon.com%2Fapps%2Fauthorize%2Fconfirm%2Fapp&amazon_state=amazons-state&selling_partner_id=A1EXAMPLE"

// appstore is a Vault whose states are the-state, the-state-2 and so on.
func appstore() *vaultStub {
	vault := succeeding()
	vault.begin = func(map[string]any) (consent.Link, error) {
		state := "the-state"
		if n := len(vault.begun); n > 1 {
			state += fmt.Sprintf("-%d", n)
		}
		return consent.Link{
			URL: "https://amazon.com/apps/authorize/confirm/app?state=" + state, State: credential.New(state), ExpiresAt: time.Now().Add(time.Hour),
		}, nil
	}
	return vault
}

// serveAppstore has a browser that took the invitation.
func serveAppstore(t *testing.T, vault *vaultStub) *stage {
	t.Helper()
	s := serveInvitation(t, vault)
	taken := s.follow(t, s.send(t, http.MethodPost, s.receiver.InvitationPath()))
	require.Contains(t, taken.page, "Now begin in Amazon&#39;s Appstore")
	return s
}

func serveInvitation(t *testing.T, vault *vaultStub) *stage {
	t.Helper()
	return serve(t, consent.Settings{
		Vault: vault, LoginPath: "/login", Partner: "A1EXAMPLE",
		Fields: map[string]any{"account": "acme", "selling_partner_id": "A1EXAMPLE"},
	})
}

func TestAppstore(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveAppstore(t, vault)
	require.Equal(t, http.StatusBadRequest, s.divert(t, callback).StatusCode, "nobody logged in")

	away := s.get(t, login)
	require.Equal(t, http.StatusFound, away.StatusCode)
	require.Equal(t, "https://amazon.com/apps/authorize/confirm/app?state=the-state", away.Header.Get("Location"))
	require.Equal(t, "no-store", away.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", away.Header.Get("Referrer-Policy"))
	require.Equal(t, []map[string]any{{
		"account": "acme", "selling_partner_id": "A1EXAMPLE",
		"amazon_callback_uri": "https://amazon.com/apps/authorize/confirm/app", "amazon_state": "amazons-state",
	}}, vault.begun)

	// Whoever begins anew does not spoil what was begun.
	require.Equal(t, http.StatusFound, s.get(t, login+"&version=beta").StatusCode)
	require.Equal(t, true, vault.begun[1]["draft"])

	s.follow(t, s.get(t, callback))
	done, err := s.end()
	require.NoError(t, err)
	require.Equal(t, "acme", done.Account)
}

func TestLoginOfAnotherPartner(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveAppstore(t, vault)
	denied := s.divert(t, strings.ReplaceAll(login, "A1EXAMPLE", "A2OTHER"))
	require.Equal(t, http.StatusForbidden, denied.StatusCode)
	require.Contains(t, denied.page, "This selling account is not expected")
	require.NotContains(t, denied.page, "A1EXAMPLE", "who is meant is not told to others")
	require.Empty(t, vault.begun)
}

func TestLoginThatIsIncomplete(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveAppstore(t, vault)
	for _, name := range []string{"amazon_callback_uri", "amazon_state", "selling_partner_id"} {
		for _, path := range []string{
			strings.ReplaceAll(login, name+"=", "x="),
			login + "&" + name + "=A1EXAMPLE",
			strings.ReplaceAll(login, name+"=", name+"="+strings.Repeat("a", 5000)),
			strings.ReplaceAll(login, name+"=", name+"=%00"),
		} {
			answer := s.divert(t, path)
			require.Equal(t, http.StatusBadRequest, answer.StatusCode)
			require.Contains(t, answer.page, name)
		}
	}
	require.Equal(t, http.StatusBadRequest, s.divert(t, "/login?a=%zz").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, s.send(t, http.MethodPost, login).StatusCode)
	require.Empty(t, vault.begun)
}

func TestLoginThatVaultRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, want int
		shown        bool
	}{{400, 400, true}, {403, 502, false}, {503, 503, false}, {0, 502, false}} {
		vault := appstore()
		vault.begin = func(map[string]any) (consent.Link, error) {
			return consent.Link{}, &mount.Error{Status: c.status, Messages: []string{"no host of <Amazon>'s"}}
		}
		s := serveAppstore(t, vault)
		answer := s.divert(t, login)
		require.Equal(t, c.want, answer.StatusCode)
		require.Equal(t, c.shown, strings.Contains(answer.page, "no host of &lt;Amazon&gt;&#39;s"))
		require.Contains(t, s.told(), "no host of <Amazon>'s")
	}
}

// Each log-in is a state in Vault.
func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveAppstore(t, vault)
	for range 16 {
		require.Equal(t, http.StatusFound, s.get(t, login).StatusCode)
	}
	require.Equal(t, http.StatusTooManyRequests, s.divert(t, login).StatusCode)
	require.Len(t, vault.begun, 16)
	s.follow(t, s.get(t, callback))
	_, err := s.end()
	require.NoError(t, err, "the first is not pushed out")
}

// Who comes too late is told so, while another browser still reads the outcome.
func TestLoginWhenItIsOver(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveAppstore(t, vault)
	require.Equal(t, http.StatusFound, s.get(t, login).StatusCode)
	arrived := s.get(t, callback)
	late := s.divert(t, login)
	require.Equal(t, http.StatusConflict, late.StatusCode)
	require.Contains(t, late.page, "This has been used")
	require.Len(t, vault.begun, 1)
	s.follow(t, arrived)
	_, err := s.end()
	require.NoError(t, err)
}

// An expired state makes room, and is not taken any more.
func TestExpiredLogins(t *testing.T) {
	t.Parallel()
	vault := appstore()
	vault.begin = func(map[string]any) (consent.Link, error) {
		return consent.Link{URL: "https://amazon.com/", State: credential.New("the-state"), ExpiresAt: time.Now()}, nil
	}
	s := serveAppstore(t, vault)
	for range 20 {
		require.Equal(t, http.StatusFound, s.get(t, login).StatusCode)
	}
}
