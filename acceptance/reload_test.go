// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// reload starts the plugin again from what is registered now.
func (s *stage) reload(t *testing.T) {
	t.Helper()
	_, _, err := s.CLI(t.Context(), "plugin", "reload", "-plugin", plugin)
	require.NoError(t, err)
}

func TestPluginReloadLosesNothing(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t, "region", "fe", "token_min_ttl", "20m")
	m.addAccount(t, "acme", "selling_partner_id", "A1B2C3")
	before, lease := m.everything(t, "acme"), m.token(t, "acme")
	process := s.onlyPlugin(t)

	s.reload(t)
	require.Equal(t, before, m.everything(t, "acme"))
	m.token(t, "acme")
	require.NotEqual(t, process, s.onlyPlugin(t))
	require.Equal(t, 2, m.amazon.Exchanges("acme"), "tokens are kept in memory only")
	m.revoke(t, lease.LeaseID)
}

// everything is what the mount tells of itself, apart from tokens.
func (m *mount) everything(t *testing.T, accounts ...string) map[string]any {
	t.Helper()
	all := map[string]any{
		"config":   m.ok(t, http.MethodGet, "config", nil).Data,
		"info":     m.ok(t, http.MethodGet, "info", nil).Data,
		"accounts": m.call(t, "LIST", "accounts", nil).Data, // an empty list is a 404
	}
	for _, account := range accounts {
		all["accounts/"+account] = m.ok(t, http.MethodGet, "accounts/"+account, nil).Data
	}
	return all
}

// Who may write the config may not thereby send credentials elsewhere; the
// registration says where, also for what was stored before.
func TestRegistrationWithoutEndpointsClosesThem(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t)
	m.addAccount(t, "acme")
	m.token(t, "acme")
	require.Contains(t, m.ok(t, http.MethodGet, "info", nil).Data["allowed_endpoints"], m.amazon.URL())
	calls := m.amazon.Requests()

	require.NoError(t, s.register(t.Context(), ""))
	s.reload(t)
	closed := m.ok(t, http.MethodGet, "info", nil)
	require.Empty(t, closed.Data["allowed_endpoints"])
	require.NotContains(t, closed.Data["endpoints"], m.amazon.URL())
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme", nil, "lwa_endpoint", "SPAPI_ALLOWED_ENDPOINTS")
	m.refused(t, http.StatusBadRequest, http.MethodPost, "config", map[string]any{"lwa_endpoint": m.amazon.LWAEndpoint()}, "lwa_endpoint")
	written := m.ok(t, http.MethodPost, "config", map[string]any{"client_secret": "amzn1.oa2-cs.v1.other", "request_timeout": "5s"})
	require.True(t, written.warned("lwa_endpoint"), "%s", written.Raw)
	account := m.ok(t, http.MethodPost, "accounts/globex", map[string]any{"refresh_token": "Atzr|globex"})
	require.True(t, account.warned("lwa_endpoint"), "%s", account.Raw)
	require.Equal(t, calls, m.amazon.Requests(), "no call reaches it")

	require.NoError(t, s.register(t.Context(), m.amazon.URL()))
	s.reload(t)
	m.token(t, "acme")
}
