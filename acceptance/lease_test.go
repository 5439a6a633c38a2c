// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A leased token ends exactly with the token, to the second, and cannot be
// renewed.
func TestLeasedRead(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme", "selling_partner_id", "A1B2C3", "marketplace_ids", "ATVPDKIKX0DER", "metadata", map[string]any{"team": "pricing"})

	a := m.token(t, "acme")
	require.Contains(t, a.LeaseID, m.path+"/token/acme/")
	require.False(t, a.Renewable)
	left := a.number(t, "expires_in")
	require.Equal(t, left, a.LeaseDuration)
	require.Positive(t, left)
	require.LessOrEqual(t, left, int64(3600))
	expiresAt, err := time.Parse(time.RFC3339, a.text("expires_at"))
	require.NoError(t, err)
	require.Equal(t, time.UTC, expiresAt.Location())
	require.Equal(t, "bearer", a.text("token_type"))
	require.Equal(t, "acme", a.text("account"))
	require.Equal(t, "na", a.text("region"))
	require.Equal(t, "https://sellingpartnerapi-na.amazon.com", a.text("endpoint"))
	require.Equal(t, "A1B2C3", a.text("selling_partner_id"))
	require.Equal(t, []any{"ATVPDKIKX0DER"}, a.Data["marketplace_ids"])
	require.Equal(t, map[string]any{"team": "pricing"}, a.Data["metadata"])
	require.NotContains(t, a.Data, "ttl")
	require.NotContains(t, a.Data, "rotation_period")

	stdout, _, err := m.stage.CLI(t.Context(), "lease", "lookup", a.LeaseID)
	require.NoError(t, err)
	require.Regexp(t, `renewable\s+false`, stdout)
	looked := m.sys().ok(t, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": a.LeaseID})
	require.LessOrEqual(t, looked.number(t, "ttl"), left)
	m.sys().refused(t, http.StatusBadRequest, http.MethodPut, "sys/leases/renew", map[string]any{"lease_id": a.LeaseID}, "lease is not renewable")

	again := m.token(t, "acme")
	require.Equal(t, a.accessToken(), again.accessToken())
	require.NotEqual(t, a.LeaseID, again.LeaseID)
	require.Equal(t, 1, m.amazon.Exchanges("acme"), "the exchange that proved the refresh token serves readers")
}

// Without a lease, the answer carries what Vault Agent needs, as whole numbers:
// it panics on a string.
func TestUnleasedRead(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "generate_lease", false, "token_min_ttl", "10m")
	m.addAccount(t, "acme")
	m.addAccount(t, "leased", "generate_lease", true)

	a := m.token(t, "acme")
	require.Empty(t, a.LeaseID)
	require.Zero(t, a.LeaseDuration)
	require.False(t, a.Renewable)
	left := a.number(t, "expires_in")
	require.Equal(t, int64(3600-600), a.number(t, "rotation_period"))
	require.InDelta(t, left-600, a.number(t, "ttl"), 1)
	require.NotEmpty(t, m.token(t, "leased").LeaseID, "an account may differ from the config")
}
