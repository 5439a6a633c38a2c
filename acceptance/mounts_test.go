// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// onlyPlugin waits until one plugin process runs, and returns its id.
func (s *stage) onlyPlugin(t *testing.T) int {
	t.Helper()
	var pids []int
	require.NoError(t, vaulttest.WaitFor(t.Context(), "one plugin process", func() (bool, error) {
		var err error
		pids, err = s.PluginPIDs()
		return len(pids) == 1, err
	}))
	return pids[0]
}

func TestTwoMountsInOneProcessShareNothing(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	one, two := s.newBareMount(t, "one"), s.newBareMount(t, "two")
	s.onlyPlugin(t)

	one.writeConfig(t, "max_concurrent_exchanges", 1)
	two.refused(t, http.StatusNotFound, http.MethodGet, "config", nil, "vault write two/config")
	two.writeConfig(t, "region", "eu", "max_concurrent_exchanges", 2)
	require.Equal(t, int64(1), one.ok(t, http.MethodGet, "config", nil).number(t, "max_concurrent_exchanges"))
	require.Equal(t, "na", one.ok(t, http.MethodGet, "config", nil).text("region"))

	one.addAccount(t, "acme")
	require.Equal(t, http.StatusNotFound, two.call(t, http.MethodGet, "accounts/acme", nil).Status)
	two.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme", nil, "acme", "vault write two/accounts/acme")
	refreshToken := two.addAccount(t, "acme")
	first, second := one.token(t, "acme"), two.token(t, "acme")
	require.NotEqual(t, first.accessToken(), second.accessToken())
	require.Equal(t, "eu", second.text("region"))

	// The same credential has another fingerprint in another mount.
	one.amazon.AddRefreshToken(one.clientID, "same", refreshToken)
	one.ok(t, http.MethodPost, "accounts/same", map[string]any{"refresh_token": refreshToken})
	require.NotEqual(t, two.ok(t, http.MethodGet, "accounts/acme", nil).text("refresh_token_fingerprint"),
		one.ok(t, http.MethodGet, "accounts/same", nil).text("refresh_token_fingerprint"))

	one.ok(t, http.MethodDelete, "config", nil)
	one.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme", nil, "vault write one/config")
	require.Equal(t, second.accessToken(), two.token(t, "acme").accessToken())
	require.NoError(t, s.Unmount(t.Context(), "one"))
	require.Equal(t, second.accessToken(), two.token(t, "acme").accessToken())
	s.onlyPlugin(t)
}

// A mount whose one slot is taken does not keep the other one waiting.
func TestTwoMountsInOneProcessShareNoLimits(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	one := s.newBareMount(t, "one")
	two := s.newBareMount(t, "two")
	one.writeConfig(t, "max_concurrent_exchanges", 1, "request_timeout", "60s")
	two.writeConfig(t, "max_concurrent_exchanges", 1, "request_timeout", "60s")
	s.onlyPlugin(t)
	for _, account := range []string{"acme", "globex"} {
		one.addAccount(t, account, "verify", false)
	}
	two.addAccount(t, "acme", "verify", false)

	release := one.amazon.Hold()
	defer release()
	readers := one.readAtOnce(t.Context(), 1, "token/acme", "token/globex")
	require.NoError(t, one.amazon.WaitInFlight(t.Context(), 1))
	two.token(t, "acme")
	require.Equal(t, 1, one.amazon.InFlight())
	release()
	for _, r := range readers() {
		require.NoError(t, r.err)
		require.Equal(t, http.StatusOK, r.Status, "%s", r.Raw)
	}
	require.Equal(t, 1, one.amazon.MaxInFlight(), "its own limit holds")
}
