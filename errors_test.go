// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

func storageError(cause error) error { return fault.FromStorage("write config", cause) }

// Every row of the table of errors: what Amazon says, the status, what the text
// must hold, and the exchanges that it may cost.
func TestErrorsOfAmazon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault    amazontest.Fault
		status   int
		says     []string
		requests int
	}{
		{amazontest.Fault{Kind: amazontest.FaultInvalidGrant}, http.StatusBadRequest, []string{"acme", "invalid_grant", "request id", "authorize the application again", "vault write spapi/accounts/acme"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultUnauthorizedClient}, http.StatusBadRequest, []string{"acme", "unauthorized_client", "vault read spapi/config"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultInvalidScope}, http.StatusBadRequest, []string{"invalid_scope"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultInvalidClient}, http.StatusBadRequest, []string{"invalid_client", "The application is at fault, not the account", "vault write spapi/config"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultThrottled}, http.StatusTooManyRequests, []string{"acme", "slow down", "HTTP 429"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultThrottled, RetryAfter: "0"}, http.StatusTooManyRequests, []string{"slow down"}, 3},
		{amazontest.Fault{Kind: amazontest.FaultServerErrorHTML}, http.StatusServiceUnavailable, []string{"acme", "Amazon failed", "HTTP 500"}, 3},
		{amazontest.Fault{Kind: amazontest.FaultServerError}, http.StatusServiceUnavailable, []string{"server_error"}, 3},
		{amazontest.Fault{Kind: amazontest.FaultUnavailable, RetryAfter: "3600"}, http.StatusServiceUnavailable, []string{"HTTP 503"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultReset}, http.StatusServiceUnavailable, []string{"could not be reached"}, 3},
		{amazontest.Fault{Kind: amazontest.FaultTruncatedBody}, http.StatusServiceUnavailable, []string{"could not be reached"}, 3},
		{amazontest.Fault{Kind: amazontest.FaultHang}, http.StatusServiceUnavailable, []string{"request_timeout"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultOKNotJSON}, http.StatusBadGateway, []string{"makes no sense", "text/html"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultNoAccessToken}, http.StatusBadGateway, []string{"access_token"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultExpiresInZero}, http.StatusBadGateway, []string{"expires_in"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultHugeBody}, http.StatusBadGateway, []string{"larger than"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultRedirect}, http.StatusBadGateway, []string{"HTTP 302"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultForbidden}, http.StatusBadGateway, []string{"access_denied", "HTTP 403"}, 1},
		{amazontest.Fault{Kind: amazontest.FaultBadRequestNotJSON}, http.StatusBadGateway, []string{"HTTP 400"}, 1},
	} {
		t.Run(string(c.fault.Kind)+c.fault.RetryAfter, func(t *testing.T) {
			t.Parallel()
			m := configured(t)
			m.ok(logical.UpdateOperation, "config", map[string]any{"request_timeout": "1s"})
			refreshToken := m.amazon.Authorize(testClientID, "acme")
			m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"refresh_token": refreshToken, "verify": false})
			before, requests := m.stored(), m.amazon.Requests()
			m.amazon.SetFault(c.fault)
			for range 3 {
				text := m.refused(c.status, logical.ReadOperation, "token/acme", nil)
				for _, part := range c.says {
					require.Contains(t, text, part)
				}
				require.NotContains(t, text, refreshToken)
			}
			require.Equal(t, requests+c.requests, m.amazon.Requests(), "readers get the same answer without a call")
			after := m.stored()
			delete(after, "status/acme")
			require.Equal(t, before, after)
		})
	}
}

func TestErrorsOfOurs(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	require.Contains(t, m.refused(http.StatusNotFound, logical.ReadOperation, "config", nil), "vault write spapi/config")
	require.Contains(t, m.refused(http.StatusNotFound, logical.PatchOperation, "config", map[string]any{"sandbox": true}), "no config")
	require.Contains(t, m.badRequest(logical.ReadOperation, "token/acme", nil), "vault write spapi/config")
	m.ok(logical.DeleteOperation, "config", nil)
	m.ok(logical.DeleteOperation, "accounts/nobody", nil)

	resp := m.ok(logical.UpdateOperation, "accounts/acme", m.accountData("acme"))
	require.Len(t, resp.Warnings, 1, "stored without a config")
	require.Contains(t, resp.Warnings[0], "unverified")
	require.Contains(t, resp.Warnings[0], "vault write spapi/config")

	m.ok(logical.UpdateOperation, "config", m.configData())
	require.Contains(t, m.refused(http.StatusNotFound, logical.ReadOperation, "accounts/nobody", nil), `"nobody"`)
	require.Contains(t, m.refused(http.StatusNotFound, logical.PatchOperation, "accounts/nobody", map[string]any{"kind": "seller"}), `"nobody"`)
	require.Contains(t, m.badRequest(logical.ReadOperation, "token/nobody", nil), "vault write spapi/accounts/nobody")
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"enabled": false})
	require.Contains(t, m.refused(http.StatusForbidden, logical.ReadOperation, "token/acme", nil), "account acme is disabled (enabled=false)")
}

// What the operator must not do is in the answer.
func TestUnsavedRefreshTokenIsTold(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.ok(logical.UpdateOperation, "config", m.configData())
	account := m.accountData("acme")
	account["verify"] = false
	m.ok(logical.UpdateOperation, "accounts/acme", account)
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	m.storage.Underlying().FailPut(true)
	text := m.refused(http.StatusInternalServerError, logical.ReadOperation, "token/acme", nil)
	require.Contains(t, text, `account "acme"`)
	require.Contains(t, text, "Do not seal or restart Vault")
	require.NotContains(t, text, "Atzr|")
	m.storage.Underlying().FailPut(false)
	require.Contains(t, m.read("accounts/acme")["last_error"], "kept in memory only")
}

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for kind := fault.Internal; kind <= fault.Canceled; kind++ {
		status := statusOf(kind)
		require.True(t, status >= 400 && status <= 503, kind)
		if kind != fault.Internal && kind != fault.Storage && kind != fault.Unsaved {
			require.NotEqual(t, http.StatusInternalServerError, status, "kind %d", kind)
		}
	}
}

func TestInternalErrorsSayNothing(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	err := m.backend.vaultError(&logical.Request{}, &time.ParseError{Value: "secret detail"})
	require.Equal(t, logical.CodedError(http.StatusInternalServerError, "internal error"), err)
}

// A registration without the variable closes what one with it opened.
func TestEndpointThatIsNoLongerAllowed(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.UpdateOperation, "config", map[string]any{"sp_api_endpoint": m.amazon.URL()})
	m.read("token/acme")
	none := ""
	conf := &logical.BackendConfig{StorageView: m.storage, Logger: m.backend.Logger(), System: logical.TestSystemView()}
	closed, err := Factory(Options{AllowedEndpoints: &none, Now: m.clock.Now})(t.Context(), conf)
	require.NoError(t, err)
	m.backend = closed.(*backend)
	requests := m.amazon.Requests() + m.amazon.SellingPartnerRequests()
	for _, path := range []string{"token/acme", "grantless/notifications", "restricted/shipping/acme"} {
		require.Contains(t, m.badRequest(logical.ReadOperation, path, nil), "sp_api_endpoint", path)
	}
	m.refusedAs(400, "invalid_request", logical.UpdateOperation, "lwa/token/acme", refreshGrant("acme"))
	m.refusedAs(400, "invalid_request", logical.UpdateOperation, "lwa/grantless/notifications", credentialsGrant(""))
	m.ok(logical.PatchOperation, "config", map[string]any{"sp_api_endpoint": nil})
	require.Contains(t, m.badRequest(logical.ReadOperation, "token/acme", nil), "lwa_endpoint")
	for _, path := range []string{"grantless/notifications", "restricted/shipping/acme"} {
		require.Contains(t, m.badRequest(logical.ReadOperation, path, nil), "lwa_endpoint", path)
	}
	require.Equal(t, requests, m.amazon.Requests()+m.amazon.SellingPartnerRequests())
}
