// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

// A page at an address without the query can be loaded again, and no query sticks
// to it or to the result.
func TestDiverted(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: failing(503, "Amazon could not be reached")})
	const refused = "/callback?state=the-state&error=access_denied"
	first, second := s.get(t, refused), s.get(t, refused)
	require.NotEqual(t, first.Header.Get("Location"), second.Header.Get("Location"))
	for range 2 {
		page := s.follow(t, first)
		require.Equal(t, http.StatusBadRequest, page.StatusCode)
		require.Contains(t, page.page, "access_denied")
	}
	again := s.divert(t, first.Header.Get("Location")+"?state=the-state")
	require.Contains(t, again.page, "access_denied")
	require.Equal(t, http.StatusMethodNotAllowed, s.send(t, http.MethodPost, first.Header.Get("Location")).StatusCode)

	result := s.get(t, callback).Header.Get("Location")
	stripped := s.get(t, result+"?state=the-state")
	require.Equal(t, result, stripped.Header.Get("Location"))
	require.Contains(t, s.follow(t, stripped).page, "Not complete yet")
}

// Whoever passes by cannot make it keep more and more: the oldest page goes.
func TestDivertedIsBounded(t *testing.T) {
	t.Parallel()
	const kept = 256
	s := serve(t, consent.Settings{Vault: succeeding()})
	oldest := s.get(t, "/callback?state=another")
	next := s.get(t, "/callback?state=another")
	for range kept - 2 {
		s.get(t, "/?state=another")
	}
	require.Equal(t, http.StatusBadRequest, s.follow(t, oldest).StatusCode)
	s.get(t, "/?state=another")
	require.Equal(t, http.StatusNotFound, s.follow(t, oldest).StatusCode)
	require.Equal(t, http.StatusBadRequest, s.follow(t, next).StatusCode)
}

// What stands before spapictl may pass only the path of the redirect URI on.
func TestDivertedBelowTheRedirectURI(t *testing.T) {
	t.Parallel()
	for path, below := range map[string]string{"": "/answer/", "/": "/answer/", "/a b/cb/": "/a%20b/cb/answer/"} {
		receiver, err := consent.NewReceiver(consent.Settings{Path: path})
		require.NoError(t, err)
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/elsewhere?state=x", nil))
		require.Regexp(t, "^"+below+`\w+$`, answer.Header().Get("Location"))
	}
}
