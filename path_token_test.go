// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestTokenLeased(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.clock.Advance(1500 * time.Millisecond)
	resp := m.ok(logical.ReadOperation, "token/acme", nil)
	owner, live := m.amazon.AccountOf(resp.Data["access_token"].(string))
	require.True(t, live)
	require.Equal(t, "acme", owner)
	require.Equal(t, 3598*time.Second, resp.Secret.TTL, "whole seconds, cut and not rounded")
	require.Equal(t, int64(3598), resp.Data["expires_in"])
	require.Equal(t, "2026-05-06T08:08:09Z", resp.Data["expires_at"])
	require.Equal(t, "bearer", resp.Data["token_type"])
	require.False(t, resp.Secret.Renewable)
	require.Equal(t, map[string]any{"secret_type": "spapi_access_token", "account": "acme"}, resp.Secret.InternalData)
	require.NotContains(t, resp.Data, "ttl")
	require.NotContains(t, resp.Data, "rotation_period")
}

func TestTokenUnleased(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"generate_lease": false})
	resp := m.ok(logical.ReadOperation, "token/acme", nil)
	require.Nil(t, resp.Secret)
	require.Equal(t, int64(1800), resp.Data["ttl"])
	require.Equal(t, int64(1800), resp.Data["rotation_period"])
	first := resp.Data["access_token"]
	m.clock.Advance(1801 * time.Second) // Vault Agent sleeps ttl and a second
	require.NotEqual(t, first, m.read("token/acme")["access_token"])

	resp = m.ok(logical.ReadOperation, "token/acme", map[string]any{"min_ttl": "50m"})
	require.Equal(t, int64(600), resp.Data["ttl"])
	require.Equal(t, int64(600), resp.Data["rotation_period"])
	m.clock.Advance(10 * time.Minute)
	resp = m.ok(logical.ReadOperation, "token/acme", map[string]any{"min_ttl": 3000})
	require.Equal(t, int64(1), resp.Data["ttl"], "at least 1")
}

func TestTokenUnleasedStale(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"generate_lease": false})
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	m.clock.Advance(50 * time.Minute)
	resp := m.ok(logical.ReadOperation, "token/acme", nil)
	require.Equal(t, int64(30), resp.Data["ttl"])
	require.Contains(t, strings.Join(resp.Warnings, ""), "could not be renewed")
	require.Contains(t, strings.Join(resp.Warnings, ""), "HTTP 500")
	m.clock.Advance(9 * time.Minute)
	require.Equal(t, int64(30), m.read("token/acme")["ttl"], "half of 60 seconds")
	m.clock.Advance(time.Second)
	m.refused(http.StatusServiceUnavailable, logical.ReadOperation, "token/acme", nil)
}

func TestTokenMinTTL(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, value := range []any{"0s", "-1s", "55m1s", "1h", "soon", "", "18446745874", "18446744073709551617", "999999999999999999d", []any{"1m"}} {
		require.Contains(t, m.badRequest(logical.ReadOperation, "token/acme", map[string]any{"min_ttl": value}), `"min_ttl"`, "%v", value)
	}
	for _, value := range []any{"1s", 1, "55m", 3300, "3300"} {
		m.ok(logical.ReadOperation, "token/acme", map[string]any{"min_ttl": value})
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	m := configured(t)
	lease := m.ok(logical.ReadOperation, "token/acme", nil)
	revoke := func(lease *logical.Response) {
		t.Helper()
		resp, err := m.backend.HandleRequest(t.Context(), logical.RevokeRequest("token/acme", lease.Secret, lease.Data))
		require.NoError(t, err)
		require.Nil(t, resp)
	}
	other := m.ok(logical.ReadOperation, "token/acme", nil)
	require.Equal(t, lease.Data["access_token"], other.Data["access_token"])
	m.amazon.Close()
	m.storage.Underlying().FailGet(true)
	m.storage.Underlying().FailPut(true)
	revoke(lease)
	m.refused(http.StatusInternalServerError, logical.ReadOperation, "token/acme", nil) // retired: not served from memory
	m.storage.Underlying().FailGet(false)
	m.storage.Underlying().FailPut(false)
	revoke(lease)
	m.ok(logical.DeleteOperation, "accounts/acme", nil)
	revoke(lease)
	m.ok(logical.DeleteOperation, "config", nil)
	revoke(lease)
	revoke(&logical.Response{Secret: &logical.Secret{InternalData: map[string]any{"secret_type": "spapi_access_token"}}})
	revoke(&logical.Response{Secret: &logical.Secret{InternalData: map[string]any{"secret_type": "spapi_access_token", "account": 7}}, Data: map[string]any{"access_token": 7}})
}

func TestLeaseCannotBeRenewed(t *testing.T) {
	t.Parallel()
	m := configured(t)
	lease := m.ok(logical.ReadOperation, "token/acme", nil)
	_, err := m.backend.HandleRequest(t.Context(), logical.RenewRequest("token/acme", lease.Secret, lease.Data))
	require.ErrorIs(t, err, logical.ErrUnsupportedOperation)
}

// Two mounts in one process share nothing.
func TestTwoMounts(t *testing.T) {
	t.Parallel()
	one, two := configured(t), configured(t)
	require.NotEqual(t, one.read("token/acme")["access_token"], two.read("token/acme")["access_token"])
	one.ok(logical.DeleteOperation, "accounts/acme", nil)
	two.read("token/acme")
	two.ok(logical.UpdateOperation, "config", map[string]any{"region": "fe"})
	require.Equal(t, "na", one.read("config")["region"])
}
