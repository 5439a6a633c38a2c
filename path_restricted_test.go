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

// restricted is a configured mount whose SP-API is simulated, too.
func restricted(t *testing.T) *mount {
	t.Helper()
	m := configured(t)
	m.ok(logical.PatchOperation, "config", map[string]any{"sp_api_endpoint": m.amazon.SPAPIEndpoint()})
	m.ok(logical.UpdateOperation, "roles/documents", map[string]any{
		"restricted_resources": `[{"method":"GET","path":"/reports/2021-06-30/documents/{reportDocumentId}"}]`,
		"path_parameters":      "reportDocumentId", "allowed_accounts": "ac*",
	})
	return m
}

func TestRestrictedDataToken(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"selling_partner_id": "A1", "marketplace_ids": "M1,M2", "kind": "vendor", "metadata": map[string]any{"a": "b"}})
	resp := m.ok(logical.ReadOperation, "restricted/shipping/acme", nil)
	token, _ := resp.Data["restricted_data_token"].(string)
	require.Equal(t, map[string]any{
		"restricted_data_token": token, "token_type": "bearer", "expires_at": rfc3339(m.clock.Now().Add(time.Hour)), "expires_in": int64(3600),
		"account": "acme", "role": "shipping", "region": "na", "endpoint": m.amazon.SPAPIEndpoint(),
		"selling_partner_id": "A1", "marketplace_ids": []string{"M1", "M2"}, "kind": "vendor", "metadata": map[string]string{"a": "b"},
	}, resp.Data)
	require.Equal(t, time.Hour, resp.Secret.TTL)
	require.False(t, resp.Secret.Renewable)
	require.Equal(t, "spapi_restricted_data_token", resp.Secret.InternalData["secret_type"])
	require.NotContains(t, resp.Secret.InternalData, "restricted_data_token")
	known, live := m.amazon.RestrictedOf(token)
	require.True(t, live)
	require.Equal(t, "/orders/v0/orders/{orderId}/address", known.Resources[0].Path)

	require.NotEqual(t, token, m.read("token/acme")["access_token"])
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"generate_lease": false, "authorization_expires_at": "2026-05-08T00:00:00Z"})
	resp = m.ok(logical.ReadOperation, "restricted/shipping/acme", map[string]any{"min_ttl": "10m"})
	require.Nil(t, resp.Secret)
	require.Equal(t, token, resp.Data["restricted_data_token"])
	require.Equal(t, int64(3000), resp.Data["ttl"])
	require.Equal(t, int64(3000), resp.Data["rotation_period"])
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], "2026-05-08")
}

// The static cases of Amazon's sandbox come through as they are.
func TestSandboxOfRestrictedDataTokens(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	for path, c := range map[string]struct{ target, token string }{
		"/orders/v0/orders/{orderId}/address":     {"amzn1.sellerapps.app.target-application", "Atz.sprdt|IQEBLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR"},
		"/orders/v0/orders/943-12-123434/address": {"", "Atz.sprdt|AODFNESLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR"},
	} {
		m.ok(logical.UpdateOperation, "roles/sandbox", map[string]any{
			"restricted_resources": []any{map[string]any{"method": "GET", "path": path}}, "target_application": c.target, "allowed_accounts": "acme",
		})
		require.Equal(t, c.token, m.read("restricted/sandbox/acme")["restricted_data_token"])
	}
}

func TestPathParameters(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	for _, value := range []string{"amzn1.spdoc.1.4.eu.2f6b-4c:x", "943-12-123434", "a", strings.Repeat("a", 256)} {
		for _, form := range []any{"reportDocumentId=" + value, []any{"reportDocumentId=" + value}, map[string]any{"reportDocumentId": value}} {
			resp := m.ok(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": form})
			known, _ := m.amazon.RestrictedOf(resp.Data["restricted_data_token"].(string))
			require.Equal(t, "/reports/2021-06-30/documents/"+value, known.Resources[0].Path)
		}
	}
	require.Equal(t, 4, m.amazon.RestrictedCalls("acme"))
	for _, value := range []string{
		"", " ", "a/b", "..", ".", "a..b", "%2f", "%2F", "%2e%2e", "a%2fb", "a?b", "a#b", "a b", "a\n", "a\x00", "{orderId}", "a\\b", "ä", "a&b", "a;b", "a,b",
		"../../orders/v0/orders", strings.Repeat("a", 257), "\u2025", "a\u002f",
	} {
		text := m.badRequest(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": map[string]any{"reportDocumentId": value}})
		require.Contains(t, text, `"path_parameters"`, "%q", value)
		require.Contains(t, text, "reportDocumentId", "%q", value)
	}
	for _, bad := range []any{
		nil, "", "reportDocumentId",
		map[string]any{},
		map[string]any{"orderId": "1"},
		map[string]any{"reportDocumentId": "1", "orderId": "2"},
		map[string]any{"reportDocumentId": "1", "{x}": "2"},
		map[string]any{"reportDocumentId": []any{"1"}},
		map[string]any{"reportDocumentId": nil},
		[]any{1},
		7,
	} {
		text := m.badRequest(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": bad})
		require.Contains(t, text, "path_parameters", "%v", bad)
	}
	require.Contains(t, m.badRequest(logical.ReadOperation, "restricted/documents/acme", nil), "path_parameters=reportDocumentId=")
	require.Contains(t, m.badRequest(logical.ReadOperation, "restricted/shipping/acme", map[string]any{"path_parameters": "orderId=1"}), "it takes none")
	text := m.badRequest(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": map[string]any{"x\nforged": "a/b"}})
	require.NotContains(t, text, "forged", "a name that is none is not repeated")
	many := map[string]any{}
	for n := range 11 {
		many["p"+strings.Repeat("x", n)] = "1"
	}
	require.Contains(t, m.badRequest(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": many}), "more than 10")
	require.Equal(t, 4, m.amazon.RestrictedCalls("acme"))
}

func TestRestrictedErrors(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	m.ok(logical.UpdateOperation, "accounts/other", m.accountData("other"))
	text := m.badRequest(logical.ReadOperation, "restricted/none/acme", nil)
	require.Contains(t, text, `role "none" does not exist`)
	require.Contains(t, text, "vault write spapi/roles/none")
	text = m.refused(http.StatusForbidden, logical.ReadOperation, "restricted/documents/other", map[string]any{"path_parameters": "reportDocumentId=1"})
	require.Contains(t, text, `role "documents" does not allow account "other"`)
	require.Contains(t, text, "vault patch spapi/roles/documents allowed_accounts")
	require.Contains(t, m.badRequest(logical.ReadOperation, "restricted/shipping/nobody", nil), "vault write spapi/accounts/nobody")

	m.amazon.DenyDocument("plain")
	text = m.badRequest(logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": "reportDocumentId=plain"})
	require.Contains(t, text, "Invalid or unsupported document ID found")
	require.Contains(t, text, "request id")
	require.Contains(t, text, "vault read spapi/roles/documents")
	require.Contains(t, text, `account "acme"`)

	before := m.stored()
	for kind, status := range map[amazontest.FaultKind]int{
		amazontest.FaultServerError: 503, amazontest.FaultThrottled: 429, amazontest.FaultOKNotJSON: 502, amazontest.FaultForbidden: 400,
		amazontest.FaultNoAccessToken: 502, amazontest.FaultRedirect: 502,
	} {
		m.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: kind})
		m.clock.Advance(10 * time.Second) // for Amazon's rate
		text := m.refused(status, logical.ReadOperation, "restricted/documents/acme", map[string]any{"path_parameters": "reportDocumentId=" + strings.ReplaceAll(string(kind), "_", "-")})
		require.Contains(t, text, `account "acme"`)
	}
	require.Equal(t, before, m.stored(), "nothing that Amazon says of them changes what is stored")
	m.amazon.ClearFaults()
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"enabled": false})
	m.refused(http.StatusForbidden, logical.ReadOperation, "restricted/shipping/acme", nil)
}

func TestNamesInRestrictedPaths(t *testing.T) {
	t.Parallel()
	m := restricted(t)
	long := strings.Repeat("a", 257)
	for path, field := range map[string]string{
		"restricted/shipping/a..b": "account", "restricted/ship..ping/acme": "role", "restricted/shipping/" + long: "account", "restricted/" + long + "/acme": "role",
		"restricted/shipping/-": "account", "restricted/-/acme": "role", "restricted/shipping": "role", "restricted/shipping/": "account", "restricted/shipping/acme/x": "account",
	} {
		require.Contains(t, m.badRequest(logical.ReadOperation, path, nil), `"`+field+`"`, path)
	}
	for _, path := range []string{"roles/a..b", "roles/" + long, "roles/-", "roles/a/b"} {
		require.Contains(t, m.badRequest(logical.ReadOperation, path, nil), `"role"`, path)
	}
	m.refused(http.StatusNotFound, logical.ReadOperation, "roles/none", nil)
	m.refused(http.StatusNotFound, logical.PatchOperation, "roles/none", map[string]any{"description": "x"})
	m.ok(logical.DeleteOperation, "roles/none", nil)
}
