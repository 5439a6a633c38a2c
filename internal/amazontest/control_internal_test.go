// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestControlIsForLoopbackOnly(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	require.NoError(t, err)
	defer s.Close()
	for remote, want := range map[string]int{
		"127.0.0.1:1": http.StatusOK, "[::1]:1": http.StatusOK,
		"192.0.2.1:1": http.StatusForbidden, "nonsense": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodGet, controlPath+"/stats", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Equal(t, want, w.Code, remote)
	}
}
