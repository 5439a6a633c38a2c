// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestGrantlessToken(t *testing.T) {
	t.Parallel()
	m := configured(t)
	resp := m.ok(logical.ReadOperation, "grantless/notifications", nil)
	token := resp.Data["access_token"]
	require.Equal(t, map[string]any{
		"access_token": token, "token_type": "bearer", "expires_at": rfc3339(m.clock.Now().Add(time.Hour)), "expires_in": int64(3600),
		"scope": "sellingpartnerapi::notifications", "region": "na", "endpoint": "https://sellingpartnerapi-na.amazon.com",
	}, resp.Data)
	require.Equal(t, time.Hour, resp.Secret.TTL)
	require.False(t, resp.Secret.Renewable)
	require.Equal(t, "spapi_access_token", resp.Secret.InternalData["secret_type"])
	require.Equal(t, token, m.read("grantless/notifications")["access_token"])

	require.Equal(t, "sellingpartnerapi::client_credential:rotation", m.read("grantless/client-credential-rotation")["scope"])
	m.ok(logical.PatchOperation, "config", map[string]any{"generate_lease": false, "region": "eu"})
	m.clock.Advance(time.Minute)
	resp = m.ok(logical.ReadOperation, "grantless/notifications", nil)
	require.Nil(t, resp.Secret)
	require.Equal(t, int64(1800), resp.Data["ttl"])
	require.Equal(t, int64(1800), resp.Data["rotation_period"])
	require.Equal(t, "eu", resp.Data["region"])
	require.Equal(t, int64(300), m.ok(logical.ReadOperation, "grantless/notifications", map[string]any{"min_ttl": "55m"}).Data["ttl"])
}

func TestGrantlessTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, name := range []string{"sellingpartnerapi::notifications", "none", "notifications/x", "Notifications"} {
		require.Contains(t, m.badRequest(logical.ReadOperation, "grantless/"+name, nil), `"scope"`, name)
	}
	require.Contains(t, m.badRequest(logical.ReadOperation, "grantless/notifications", map[string]any{"min_ttl": "56m"}), "min_ttl")
	require.Contains(t, m.badRequest(logical.ReadOperation, "grantless/notifications", map[string]any{"scope": "migration"}), "scope")
	text := m.badRequest(logical.ReadOperation, "grantless/migration", nil)
	require.Contains(t, text, "invalid_scope")
	require.Contains(t, text, "Seller Central")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	m.refused(http.StatusServiceUnavailable, logical.ReadOperation, "grantless/client-credential-rotation", nil)
	m.amazon.ClearFaults()
	m.amazon.AddClient(testClientID, "another secret")
	m.clock.Advance(8 * 24 * time.Hour)
	text = m.badRequest(logical.ReadOperation, "grantless/notifications", nil)
	require.Contains(t, text, "invalid_client")
	require.Contains(t, text, "vault write spapi/config client_secret=@file")
	m.ok(logical.DeleteOperation, "config", nil)
	require.Contains(t, m.badRequest(logical.ReadOperation, "grantless/notifications", nil), "vault write spapi/config")
}

// A warning says what failed, as with the tokens of accounts.
func TestStaleGrantlessToken(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.read("grantless/notifications")
	m.clock.Advance(58 * time.Minute)
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
	resp := m.ok(logical.ReadOperation, "grantless/notifications", nil)
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], "could not be renewed")
	require.Equal(t, 2*time.Minute, resp.Secret.TTL)
}

// revoke ends a lease as Vault does.
func (m *mount) revoke(resp *logical.Response) {
	m.t.Helper()
	_, err := m.backend.HandleRequest(m.t.Context(), &logical.Request{
		Operation: logical.RevokeOperation, Path: "revoked", Storage: m.storage, Secret: resp.Secret, Data: resp.Data,
	})
	require.NoError(m.t, err)
}

// Revoking takes the very token of the lease out of use, and no other.
func TestRevokeDerivedTokens(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	read := func(path, name string) (*logical.Response, any) {
		resp := m.ok(logical.ReadOperation, path, nil)
		return resp, resp.Data[name]
	}
	access, accessToken := read("token/acme", "access_token")
	grantless, grantlessToken := read("grantless/notifications", "access_token")
	restricted, restrictedToken := read("restricted/shipping/acme", "restricted_data_token")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError}) // which revoking does not meet

	m.revoke(grantless)
	m.revoke(restricted)
	_, again := read("token/acme", "access_token")
	require.Equal(t, accessToken, again)
	m.amazon.ClearFaults()
	_, again = read("grantless/notifications", "access_token")
	require.NotEqual(t, grantlessToken, again)
	second, secondToken := read("restricted/shipping/acme", "restricted_data_token")
	require.NotEqual(t, restrictedToken, secondToken)
	m.revoke(restricted) // whose token is out of use already
	_, again = read("restricted/shipping/acme", "restricted_data_token")
	require.Equal(t, secondToken, again)
	m.revoke(access)
	_, again = read("token/acme", "access_token")
	require.NotEqual(t, accessToken, again)

	// With another role, or none any more, the lease still says which token it was.
	m.ok(logical.PatchOperation, "roles/shipping", map[string]any{"allowed_accounts": "nobody"})
	m.revoke(second)
	m.ok(logical.PatchOperation, "roles/shipping", map[string]any{"allowed_accounts": "acme"})
	_, again = read("restricted/shipping/acme", "restricted_data_token")
	require.NotEqual(t, secondToken, again)

	for _, revoke := range []framework.OperationFunc{m.backend.revokeAccessToken, m.backend.revokeRestrictedToken} {
		_, err := revoke(t.Context(), &logical.Request{Data: map[string]any{"access_token": "x", "restricted_data_token": "x"}}, nil)
		require.NoError(t, err, "without a secret, too")
	}
	for _, broken := range []*logical.Request{
		{Operation: logical.RevokeOperation, Secret: &logical.Secret{InternalData: map[string]any{"secret_type": secretTypeRestrictedDataToken}}},
		{Operation: logical.RevokeOperation, Secret: &logical.Secret{InternalData: map[string]any{"secret_type": secretTypeAccessToken, "scope": 1}}, Data: map[string]any{"access_token": 7}},
	} {
		_, err := m.backend.HandleRequest(t.Context(), broken)
		require.NoError(t, err, "revoking always succeeds")
	}
}
