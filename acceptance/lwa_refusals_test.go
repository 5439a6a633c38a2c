// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	refreshGrant = "grant_type=refresh_token&refresh_token=acme"
	clientGrant  = "grant_type=client_credentials&scope=sellingpartnerapi::notifications"
)

// exchange asks for a token as an SDK does.
func (d door) exchange(t *testing.T, path, body string) *rawAnswer {
	t.Helper()
	return d.send(t, rawRequest{path: path, headers: []string{formTypeCharset}, body: body})
}

// Failures have the shape that SDKs look for, whether they come from Amazon or
// from the mount.
func TestLWAFailures(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "request_timeout", "1s")
	d := m.vaultDoor(m.stage.RootToken())
	refreshToken := m.addAccount(t, "acme")
	m.addAccount(t, "disabled", "enabled", false)

	for _, c := range []struct{ path, body, code, says string }{
		{"lwa/token/unknown", refreshGrant, "invalid_grant", "unknown"},
		{"lwa/token/not%20a%20name", refreshGrant, "invalid_grant", "account"},
		{"lwa/token/.acme", refreshGrant, "invalid_grant", "account"},
		{"lwa/token/acme/x", refreshGrant, "invalid_grant", "account"},
		{"lwa/token/disabled", refreshGrant, "access_denied", "disabled"},
		{"lwa/grantless/orders", clientGrant, "invalid_scope", "notifications"},
		{"lwa/grantless/sellingpartnerapi::notifications", clientGrant, "invalid_scope", "notifications"},
		{"lwa/grantless/migration", "grant_type=client_credentials&scope=sellingpartnerapi::migration", "invalid_scope", "invalid_scope"},
	} {
		d.exchange(t, c.path, c.body).requireError(t, http.StatusBadRequest, c.code, c.says)
	}
	for _, method := range []string{http.MethodGet, "LIST", http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			for _, path := range []string{"lwa/token/acme", "lwa/grantless/notifications"} {
				d.send(t, rawRequest{method: method, path: path}).requireError(t, http.StatusBadRequest, "invalid_request", "POST")
			}
		})
	}
	patch := rawRequest{method: http.MethodPatch, path: "lwa/token/acme", headers: []string{"Content-Type: application/merge-patch+json"}, body: "{}"}
	d.send(t, patch).requireError(t, http.StatusBadRequest, "invalid_request", "POST")

	for _, c := range []struct {
		kind   amazontest.FaultKind
		status int
		code   string
		says   string
	}{
		{amazontest.FaultInvalidGrant, http.StatusBadRequest, "invalid_grant", "authorize"},
		{amazontest.FaultUnauthorizedClient, http.StatusBadRequest, "unauthorized_client", "application"},
		{amazontest.FaultInvalidClient, http.StatusUnauthorized, "invalid_client", "client secret"},
		{amazontest.FaultThrottled, http.StatusTooManyRequests, "temporarily_unavailable", "429"},
		{amazontest.FaultServerErrorHTML, http.StatusServiceUnavailable, "temporarily_unavailable", "500"},
		{amazontest.FaultUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable", "503"},
		{amazontest.FaultReset, http.StatusServiceUnavailable, "temporarily_unavailable", "acme"},
		{amazontest.FaultHang, http.StatusServiceUnavailable, "temporarily_unavailable", "acme"},
		{amazontest.FaultOKNotJSON, http.StatusBadGateway, "server_error", "acme"},
		{amazontest.FaultNoAccessToken, http.StatusBadGateway, "server_error", "acme"},
		{amazontest.FaultEcho, http.StatusBadRequest, "invalid_grant", "acme"},
	} {
		m.amazon.ClearFaults()
		// Ends what the failure before has left: back-off, and the token if there is one.
		m.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "1s"})
		m.ok(t, http.MethodDelete, "accounts/acme", nil)
		m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": refreshToken, "verify": false})
		m.amazon.SetFault(amazontest.Fault{Kind: c.kind})
		answer := d.exchange(t, "lwa/token/acme", refreshGrant)
		answer.requireError(t, c.status, c.code, c.says)
		require.NotContains(t, answer.body, refreshToken, "%s", c.kind)
		require.NotContains(t, answer.body, m.clientSecret, "%s", c.kind)
	}
	m.amazon.ClearFaults()
	m.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "1s"})
	m.amazon.AllowScopes(m.clientID, amazontest.ScopeRotation)
	d.exchange(t, "lwa/grantless/notifications", clientGrant).requireError(t, http.StatusBadRequest, "invalid_scope", "role")
}

// Without a config the application is unknown, which SDKs call an invalid client.
func TestLWAWithoutConfig(t *testing.T) {
	t.Parallel()
	m := shared.newBareMount(t, "testlwawithoutconfig")
	d := m.vaultDoor(m.stage.RootToken())
	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": m.amazon.Authorize(m.clientID, "acme")})
	d.exchange(t, "lwa/token/acme", refreshGrant).requireError(t, http.StatusUnauthorized, "invalid_client", "config")
	d.exchange(t, "lwa/grantless/notifications", clientGrant).requireError(t, http.StatusUnauthorized, "invalid_client", "config")
	// Known by then: no account is asked for while there is no application.
	require.Zero(t, m.amazon.Requests())
}

// The policy of an application opens the LWA paths that it names. Everything else
// is refused by Vault, in Vault's own shape: the request does not reach the plugin.
func TestLWAPolicyOpensWhatItNames(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.addAccount(t, "other")
	policy := m.writePolicy(t, "acme-only", `path "spapi/lwa/token/acme" { capabilities = ["update"] }`)
	token, err := m.stage.CreateToken(t.Context(), []string{policy}, "10m")
	require.NoError(t, err)
	before := m.amazon.Requests()

	d := m.vaultDoor(token)
	require.NotEmpty(t, d.exchange(t, "lwa/token/acme", refreshGrant).requireLWA(t, http.StatusOK)["access_token"])
	for _, path := range []string{
		"lwa/token/other", "lwa/token/acme2", "lwa/token", "lwa/grantless/notifications", "lwa/grantless/client-credential-rotation",
		"token/acme", "grantless/notifications", "restricted/x/acme", "roles/x", "accounts/acme", "config", "authorize/url",
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodGet, http.MethodDelete, "LIST"} {
			answer := d.send(t, rawRequest{method: method, path: path, headers: []string{formType}, body: refreshGrant})
			answer.requireVaults(t, http.StatusForbidden, "permission denied")
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, "LIST"} {
		d.send(t, rawRequest{method: method, path: "lwa/token/acme"}).requireVaults(t, http.StatusForbidden, "permission denied")
	}
	// Vault sends whoever writes a path in another way to the plain one, or refuses.
	for _, path := range []string{"lwa/token/acme/../other", "lwa/token/acme%2f..%2fother", "lwa//token/other", "lwa/token/./other", "lwa/token/acme;x/../other", "LWA/token/acme"} {
		answer := d.exchange(t, path, refreshGrant)
		require.NotEqual(t, http.StatusOK, answer.status)
		require.NotContains(t, answer.body, "access_token")
	}
	// The account is the path's, whatever is submitted.
	members := d.exchange(t, "lwa/token/acme", "grant_type=refresh_token&refresh_token=other&account=other").requireLWA(t, http.StatusOK)
	account, _ := m.amazon.AccountOf(members["access_token"].(string))
	require.Equal(t, "acme", account)

	for _, headers := range [][]string{nil, {"X-Vault-Token: hvs.unknown"}, {"Authorization: Basic eDp5"}, {"Authorization: Bearer hvs.unknown"}} {
		d.headers = headers
		d.exchange(t, "lwa/token/acme", refreshGrant).requireVaults(t, http.StatusForbidden, "permission denied")
	}
	require.Equal(t, before, m.amazon.Requests(), "all of this cost Amazon nothing")
}

// While Amazon is down, a token of less than the 55 minutes that the path
// promises is given, with the truth about its life.
func TestLWADuringAnOutage(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "request_timeout", "1s")
	m.amazon.SetTokenLifetime(3302 * time.Second)
	m.addAccount(t, "acme")
	d := m.vaultDoor(m.stage.RootToken())
	// Before the first read, which may already start a renewal.
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerErrorHTML})
	first := d.exchange(t, "lwa/token/acme", refreshGrant).requireLWA(t, http.StatusOK)["access_token"]

	waitFor(t, "a token of less than 55 minutes", func() bool {
		answer := d.exchange(t, "lwa/token/acme", refreshGrant)
		require.Equal(t, first, answer.requireLWA(t, http.StatusOK)["access_token"])
		return answer.expiresIn(t) < 3300
	})
	m.amazon.ClearFaults()
	waitFor(t, "the back-off to end", func() bool {
		return d.exchange(t, "lwa/token/acme", refreshGrant).requireLWA(t, http.StatusOK)["access_token"] != first
	})
	require.GreaterOrEqual(t, d.exchange(t, "lwa/token/acme", refreshGrant).expiresIn(t), 60)
}

// Where Amazon's own lifetime is shorter than 55 minutes there is nothing better.
func TestLWAOfAShortLifetime(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.amazon.SetTokenLifetime(10 * time.Minute)
	m.addAccount(t, "acme")
	left := m.vaultDoor(m.stage.RootToken()).exchange(t, "lwa/token/acme", refreshGrant).expiresIn(t)
	require.LessOrEqual(t, left, 600)
	require.GreaterOrEqual(t, left, 300)
	require.Equal(t, 1, m.amazon.Exchanges("acme"), "and it is kept")
}

// An answer of this shape cannot be leased: there is nothing for Vault to revoke.
func TestLWATokensAreNoLeases(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.vaultDoor(m.stage.RootToken()).exchange(t, "lwa/token/acme", refreshGrant).requireLWA(t, http.StatusOK)
	m.sys().refused(t, http.StatusNotFound, "LIST", "sys/leases/lookup/"+m.path+"/lwa/token/acme", nil)
}
