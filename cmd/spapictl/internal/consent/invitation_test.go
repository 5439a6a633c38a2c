// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

// Opening the invitation does not take it: scanners of mail open what they find.
func TestInvitation(t *testing.T) {
	t.Parallel()
	s := serveInvitation(t, appstore())
	path := s.receiver.InvitationPath()
	require.Regexp(t, `^/callback/begin/[A-Z2-7]{20,}$`, path)
	scanner := s.another(t)
	for range 2 {
		opened := scanner.get(t, path)
		require.Equal(t, http.StatusOK, opened.StatusCode)
		require.Contains(t, opened.page, `<form method="post" action="`+path+`"><button type="submit">Continue</button>`)
		require.NotContains(t, opened.page, "A1EXAMPLE")
		require.Empty(t, opened.Cookies())
		require.Equal(t, http.StatusMethodNotAllowed, scanner.send(t, http.MethodHead, path).StatusCode)
	}
	require.Contains(t, s.divert(t, path+"?utm_source=mail").page, "Continue")

	taken := s.send(t, http.MethodPost, path)
	require.Equal(t, path, taken.Header.Get("Location"))
	require.Regexp(t, `^__Host-spapictl-[A-Z2-7]{8}=[A-Z2-7]{20,}; Path=/; HttpOnly; Secure; SameSite=Lax$`, taken.Header.Get("Set-Cookie"))
	for range 2 { // the same browser may come again
		page := s.follow(t, taken)
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Contains(t, page.page, "Now begin in Amazon&#39;s Appstore")
		require.Contains(t, page.page, "A1EXAMPLE")
		taken = s.send(t, http.MethodPost, path)
		require.Empty(t, taken.Cookies())
	}
	require.Equal(t, "a browser took the invitation", s.told())
}

func TestInvitationInASecondBrowser(t *testing.T) {
	t.Parallel()
	s := serveAppstore(t, appstore())
	path := s.receiver.InvitationPath()
	second := s.another(t)
	for range 3 {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			answer := second.send(t, method, path)
			require.Equal(t, http.StatusConflict, answer.StatusCode)
			require.Contains(t, answer.page, "opened in another browser")
			require.Empty(t, answer.Cookies())
		}
	}
	require.Equal(t, 1, strings.Count(s.told(), "a second browser opened the invitation"))
	require.Equal(t, http.StatusFound, s.get(t, login).StatusCode, "the first goes on")
}

// A stranger who knows the selling partner id cannot become the account, nor use up
// the log-ins: Vault is asked for nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveInvitation(t, vault)
	stranger := s.another(t)
	knock := func() {
		for range 20 {
			answer := stranger.divert(t, login)
			require.Equal(t, http.StatusForbidden, answer.StatusCode)
			require.Contains(t, answer.page, "Open your invitation first")
			require.NotContains(t, answer.page, "A1EXAMPLE")
		}
	}
	knock() // before there is a browser that was invited, and after
	s.send(t, http.MethodPost, s.receiver.InvitationPath())
	knock()
	require.Empty(t, vault.begun)

	require.Equal(t, http.StatusFound, s.get(t, login).StatusCode)
	require.Equal(t, http.StatusForbidden, stranger.divert(t, callback).StatusCode, "not even with the state")
	require.Zero(t, vault.completions())
	require.Equal(t, 1, strings.Count(s.told(), "was refused"), s.told())

	s.follow(t, s.get(t, callback))
	_, err := s.end()
	require.NoError(t, err)
}

func TestForgedCookies(t *testing.T) {
	t.Parallel()
	vault := appstore()
	s := serveInvitation(t, vault)
	try := func(path string, cookie *http.Cookie) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.AddCookie(cookie)
		answer := httptest.NewRecorder()
		s.receiver.ServeHTTP(answer, req)
		return answer.Code
	}
	cookie := s.send(t, http.MethodPost, s.receiver.InvitationPath()).Cookies()[0]
	require.Equal(t, http.StatusFound, try(login, cookie))
	for _, value := range []string{"", "x", cookie.Value[1:], cookie.Value + "A"} {
		require.Equal(t, http.StatusSeeOther, try(login, &http.Cookie{Name: cookie.Name, Value: value}), "to a page that says why not")
		require.Equal(t, http.StatusConflict, try(s.receiver.InvitationPath(), &http.Cookie{Name: cookie.Name, Value: value}))
	}
	require.Len(t, vault.begun, 1)

	fresh := serveInvitation(t, appstore())
	require.NotEqual(t, s.receiver.InvitationPath(), fresh.receiver.InvitationPath())
	for _, value := range []string{"", cookie.Value} { // nobody has taken this one
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, login, nil)
		req.AddCookie(&http.Cookie{Name: fresh.receiver.InvitationCookie(), Value: value})
		answer := httptest.NewRecorder()
		fresh.receiver.ServeHTTP(answer, req)
		require.Equal(t, http.StatusSeeOther, answer.Code)
	}
}

func TestInvitationIsForOne(t *testing.T) {
	t.Parallel()
	s := serveInvitation(t, appstore())
	var browsers sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 8)
	for i := range answers {
		answers[i] = httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.receiver.InvitationPath(), nil)
		browsers.Go(func() { s.receiver.ServeHTTP(answers[i], req) })
	}
	browsers.Wait()
	took := 0
	for _, answer := range answers {
		if answer.Code == http.StatusSeeOther {
			took++
		}
	}
	require.Equal(t, 1, took)
}

func TestInvitationWhenItIsOver(t *testing.T) {
	t.Parallel()
	s := serveAppstore(t, appstore())
	s.get(t, login)
	arrived := s.get(t, callback)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		require.Contains(t, s.send(t, method, s.receiver.InvitationPath()).page, "This has been used")
	}
	s.follow(t, arrived)
	_, err := s.end()
	require.NoError(t, err)
}

func TestNoInvitationWithoutAppstore(t *testing.T) {
	t.Parallel()
	receiver, err := consent.NewReceiver(consent.Settings{Path: "/callback"})
	require.NoError(t, err)
	require.Empty(t, receiver.InvitationPath())
}
