// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// lwaRequest sends what an SDK would, and returns status and body.
func (m *mount) lwaRequest(operation logical.Operation, path string, data map[string]any) (status int, body string) {
	m.t.Helper()
	resp := m.ok(operation, path, data)
	require.Nil(m.t, resp.Secret)
	require.Equal(m.t, "application/json", resp.Data[logical.HTTPContentType])
	require.Equal(m.t, "no-store", resp.Data[logical.HTTPCacheControlHeader])
	require.Equal(m.t, "no-cache", resp.Data[logical.HTTPPragmaHeader])
	require.Len(m.t, resp.Data, 5)
	return resp.Data[logical.HTTPStatusCode].(int), resp.Data[logical.HTTPRawBody].(string)
}

// exchange is a request that must succeed.
func (m *mount) exchange(path string, data map[string]any) (body string, token string) {
	m.t.Helper()
	status, body := m.lwaRequest(logical.UpdateOperation, path, data)
	require.Equal(m.t, 200, status, body)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(m.t, json.Unmarshal([]byte(body), &answer))
	return body, answer.AccessToken
}

// refusedAs sends a request that must fail with a code, and returns its text.
func (m *mount) refusedAs(status int, code string, operation logical.Operation, path string, data map[string]any) string {
	m.t.Helper()
	got, body := m.lwaRequest(operation, path, data)
	require.Equal(m.t, status, got, body)
	var failure struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	require.NoError(m.t, json.Unmarshal([]byte(body), &failure))
	require.Equal(m.t, code, failure.Error, body)
	return failure.Description
}

func refreshGrant(refreshToken any) map[string]any {
	return map[string]any{"grant_type": "refresh_token", "refresh_token": refreshToken, "client_id": "a", "client_secret": "b"}
}

func credentialsGrant(scope any) map[string]any {
	return map[string]any{"grant_type": "client_credentials", "scope": scope}
}

func emptyLists(n int) []any {
	lists := make([]any, n)
	for at := range lists {
		lists[at] = []any{}
	}
	return lists
}

// The answers to the letter, cached and not.
func TestAnswersOfLoginWithAmazon(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for range 2 {
		body, token := m.exchange("lwa/token/acme", refreshGrant("acme"))
		want := `{"access_token":"` + token + `","refresh_token":"acme","token_type":"bearer","expires_in":3600}` + "\n"
		require.Equal(t, want, body)
		owner, live := m.amazon.AccountOf(token)
		require.True(t, live)
		require.Equal(t, "acme", owner)
		require.Equal(t, token, m.read("token/acme")["access_token"], "there is one token")
		body, token = m.exchange("lwa/grantless/notifications", credentialsGrant("sellingpartnerapi::notifications"))
		want = `{"access_token":"` + token + `","scope":"sellingpartnerapi::notifications","token_type":"bearer","expires_in":3600}` + "\n"
		require.Equal(t, want, body)
		require.Equal(t, token, m.read("grantless/notifications")["access_token"])
		m.start()
	}
	require.Equal(t, 2, m.amazon.Exchanges("acme"))
}

func TestEchoOfTheRefreshToken(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, submitted := range []string{"acme", "Atzr|<&>\"\\/é\u2028 ", " leading", strings.Repeat("x", 60<<10)} {
		for _, start := range []func(){func() {}, m.start} {
			start()
			body, _ := m.exchange("lwa/token/acme", refreshGrant(submitted))
			var answer map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &answer))
			require.Equal(t, submitted, answer["refresh_token"])
			require.NotContains(t, body, `\u003c`, "no more than has to be is escaped")
		}
	}
	for _, submitted := range []any{nil, "", 7, []any{"a"}, map[string]any{"a": "b"}, true} {
		for _, start := range []func(){func() {}, m.start} {
			start()
			body, _ := m.exchange("lwa/token/acme", refreshGrant(submitted))
			require.NotContains(t, body, "refresh_token")
		}
	}
}

func TestOddMembersAreIgnored(t *testing.T) {
	t.Parallel()
	m := configured(t)
	odd := map[string]any{
		"grant_type": "refresh_token", "refresh_token": "acme", "scope": "", "client_id": nil, "client_secret": 7, "account": "other", "role": "x", "redirect_uri": nil,
		"code": []any{1, map[string]any{"a": nil}}, "min_ttl": "x", "": "", "http_raw_body": "x",
	}
	for _, start := range []func(){func() {}, m.start} {
		start()
		_, token := m.exchange("lwa/token/acme", odd)
		owner, _ := m.amazon.AccountOf(token)
		require.Equal(t, "acme", owner)
	}
	for _, scope := range []any{nil, "", 7, " ", "sellingpartnerapi::migration sellingpartnerapi::notifications", []any{"x"}} {
		for _, start := range []func(){func() {}, m.start} {
			start()
			body, _ := m.exchange("lwa/grantless/notifications", credentialsGrant(scope))
			require.Contains(t, body, `"scope":"sellingpartnerapi::notifications"`)
		}
	}
}

func TestRefusalsOfLoginWithAmazon(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.UpdateOperation, "accounts/off", m.accountData("off"))
	m.ok(logical.PatchOperation, "accounts/off", map[string]any{"enabled": false})
	m.ok(logical.UpdateOperation, "accounts/revoked", m.accountData("revoked"))
	m.amazon.RevokeAuthorization("revoked")
	m.start()
	refresh, credentials := refreshGrant("x"), credentialsGrant("")
	update := logical.Operation(logical.UpdateOperation)
	for _, c := range []struct {
		code, path string
		data       map[string]any
		text       string
	}{
		{"invalid_grant", "lwa/token/nobody", refresh, "vault write spapi/accounts/nobody"},
		{"invalid_grant", "lwa/token/revoked", refresh, "reauthorize=true"},
		{"access_denied", "lwa/token/off", refresh, "enabled=true"},
		{"invalid_grant", "lwa/token/-", refresh, `"account"`},
		{"invalid_grant", "lwa/token/a/b", refresh, `"account"`},
		{"invalid_grant", "lwa/token/a..b", refresh, `"account"`},
		{"invalid_grant", "lwa/token/" + strings.Repeat("a", 257), refresh, "256"},
		{"invalid_scope", "lwa/grantless/none", credentials, "client-credential-rotation"},
		{"invalid_scope", "lwa/grantless/a/b", credentials, "client-credential-rotation"},
		{"invalid_scope", "lwa/grantless/migration", credentials, "Amazon refuses the scope"},
		{"invalid_scope", "lwa/grantless/notifications", credentialsGrant("sellingpartnerapi::migration"), "sellingpartnerapi::notifications"},
		{"unsupported_grant_type", "lwa/token/acme", credentials, "refresh_token"},
		{"unsupported_grant_type", "lwa/token/acme", map[string]any{"grant_type": "authorization_code", "code": "x"}, "refresh_token"},
		{"unsupported_grant_type", "lwa/token/acme", nil, "missing"},
		{"unsupported_grant_type", "lwa/token/acme", map[string]any{"grant_type": []any{"refresh_token"}}, "missing"},
		{"unsupported_grant_type", "lwa/token/acme", map[string]any{"grant_type": "Refresh_Token"}, "refresh_token"},
		{"unsupported_grant_type", "lwa/grantless/notifications", refresh, "client_credentials"},
		{"invalid_request", "lwa/token/acme", refreshGrant(strings.Repeat("x", 64<<10)), "65536"},
		{"invalid_request", "lwa/token/acme", map[string]any{"grant_type": "refresh_token", "x": []any{map[string]any{"y": strings.Repeat("x", 64<<10)}}}, "65536"},
		{"invalid_request", "lwa/token/acme", map[string]any{"grant_type": "refresh_token", strings.Repeat("x", 64<<10): nil}, "65536"},
		{"invalid_request", "lwa/token/acme", map[string]any{"grant_type": "refresh_token", "x": json.Number("0." + strings.Repeat("1", 64<<10))}, "65536"},
		{"invalid_request", "lwa/token/acme", map[string]any{"grant_type": "refresh_token", "x": emptyLists(32 << 10)}, "65536"},
		{"invalid_request", "lwa/grantless/notifications", credentialsGrant(strings.Repeat("x ", 32<<10)), "65536"},
	} {
		require.Contains(t, m.refusedAs(400, c.code, update, c.path, c.data), c.text, "%s %.100v", c.path, c.data)
	}
	m.exchange("lwa/token/acme", refresh)
	m.refusedAs(400, "invalid_request", update, "lwa/token/acme", refreshGrant(strings.Repeat("x", 64<<10)))
	for _, path := range []string{"lwa/token/acme/", "lwa/grantless/notifications/"} { // as Vault sends a LIST
		require.Contains(t, m.refusedAs(400, "invalid_request", logical.ListOperation, path, nil), "POST")
	}
	for _, operation := range []logical.Operation{logical.ReadOperation, logical.ListOperation, logical.DeleteOperation, logical.PatchOperation, logical.CreateOperation} {
		require.Contains(t, m.refusedAs(400, "invalid_request", operation, "lwa/token/acme", refresh), "POST", operation)
		require.Contains(t, m.refusedAs(400, "invalid_request", operation, "lwa/grantless/notifications", nil), "POST", operation)
	}
	for _, path := range []string{"lwa/", "lwa/token/", "lwa/token", "lwa/grantless", "lwa/other/acme"} {
		for _, operation := range []logical.Operation{update, logical.ReadOperation, logical.ListOperation} {
			require.Contains(t, m.refusedAs(400, "invalid_request", operation, path, refresh), "lwa/token/<account>", path)
		}
	}
	help, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.HelpOperation, Path: "lwa/token/acme", Storage: m.storage})
	require.NoError(t, err)
	require.Contains(t, help.Data["help"], "grant_type=refresh_token")
}

// What Amazon, the application or storage fails with keeps Login with Amazon's
// shape, and statuses that mean to try again are those that may get better.
func TestFailuresBehindLoginWithAmazonsShape(t *testing.T) {
	t.Parallel()
	for kind, want := range map[amazontest.FaultKind]struct {
		status int
		code   string
	}{
		amazontest.FaultServerError: {503, "temporarily_unavailable"}, amazontest.FaultReset: {503, "temporarily_unavailable"},
		amazontest.FaultThrottled: {429, "temporarily_unavailable"}, amazontest.FaultOKNotJSON: {502, "server_error"},
		amazontest.FaultForbidden: {502, "server_error"}, amazontest.FaultRedirect: {502, "server_error"},
	} {
		m := configured(t)
		m.start()
		m.amazon.SetFault(amazontest.Fault{Kind: kind})
		require.Contains(t, m.refusedAs(want.status, want.code, logical.UpdateOperation, "lwa/token/acme", refreshGrant("acme")), `account "acme"`)
		m.refusedAs(want.status, want.code, logical.UpdateOperation, "lwa/grantless/notifications", credentialsGrant(""))
	}
	m := configured(t)
	m.start()
	m.storage.Underlying().FailGet(true)
	require.Contains(t, m.refusedAs(500, "server_error", logical.UpdateOperation, "lwa/token/acme", refreshGrant("acme")), "storage failed")
	m.refusedAs(500, "server_error", logical.UpdateOperation, "lwa/grantless/notifications", credentialsGrant(""))
	m.storage.Underlying().FailGet(false)

	m.amazon.AddClient(testClientID, "another secret")
	m.clock.Advance(8 * 24 * time.Hour)
	for path, data := range map[string]map[string]any{"lwa/token/acme": refreshGrant("acme"), "lwa/grantless/notifications": credentialsGrant("")} {
		require.Contains(t, m.refusedAs(401, "invalid_client", logical.UpdateOperation, path, data), "client_secret=@file")
	}
	m.ok(logical.DeleteOperation, "config", nil)
	for path, data := range map[string]map[string]any{"lwa/token/acme": refreshGrant("acme"), "lwa/grantless/notifications": credentialsGrant("")} {
		require.Contains(t, m.refusedAs(401, "invalid_client", logical.UpdateOperation, path, data), "vault write spapi/config")
	}
}

// SDKs keep a token for an hour, or until it expired: it lives 55 minutes or more,
// but where Amazon fails or gives less.
func TestLifeOfTokensForSDKs(t *testing.T) {
	t.Parallel()
	m := configured(t)
	expiresIn := func(path string, data map[string]any) (seconds int64, token string) {
		body, token := m.exchange(path, data)
		var answer struct {
			ExpiresIn int64 `json:"expires_in"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		return answer.ExpiresIn, token
	}
	for path, data := range map[string]map[string]any{"lwa/token/acme": refreshGrant("acme"), "lwa/grantless/notifications": credentialsGrant("")} {
		m.amazon.SetTokenLifetime(time.Hour)
		m.start()
		left, first := expiresIn(path, data)
		require.Equal(t, int64(3600), left)
		m.clock.Advance(3 * time.Minute)
		left, same := expiresIn(path, data)
		require.Equal(t, int64(3420), left)
		require.Equal(t, first, same)
		m.clock.Advance(2*time.Minute + time.Second)
		m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
		left, same = expiresIn(path, data)
		require.Equal(t, int64(3299), left, "honest in an outage")
		require.Equal(t, first, same)
		m.amazon.ClearFaults()
		m.clock.Advance(time.Minute)
		left, second := expiresIn(path, data)
		require.Equal(t, int64(3600), left)
		require.NotEqual(t, first, second)

		m.amazon.SetTokenLifetime(10 * time.Minute)
		m.start()
		left, _ = expiresIn(path, data)
		require.Equal(t, int64(600), left)
	}
}

// Exchanges that memory serves call nobody; a performance standby forwards them.
func TestCachedExchanges(t *testing.T) {
	t.Parallel()
	m := configured(t)
	token := &logical.Request{Operation: logical.UpdateOperation, Path: "lwa/token/acme", Data: refreshGrant("acme"), Storage: m.storage}
	scope := &logical.Request{Operation: logical.UpdateOperation, Path: "lwa/grantless/notifications", Data: credentialsGrant(""), Storage: m.storage}
	require.Nil(t, m.backend.cachedLWA(scope))
	m.exchange(scope.Path, scope.Data)
	calls, requests := m.system.calls.Load(), m.amazon.Requests()
	m.storage.Underlying().FailGet(true)
	for _, req := range []*logical.Request{token, scope} {
		ahead := m.backend.cachedLWA(req)
		require.NotNil(t, ahead)
		byFramework, err := m.backend.Backend.HandleRequest(t.Context(), req)
		require.NoError(t, err)
		byFramework.Warnings = nil // a raw answer has none
		require.Equal(t, byFramework, ahead)
	}
	require.Equal(t, calls+2, m.system.calls.Load(), "the framework's way is counted")
	require.Equal(t, requests, m.amazon.Requests())
	m.storage.Underlying().FailGet(false)

	m.replication = consts.ReplicationPerformanceStandby
	m.start()
	_, err := m.backend.issuer.Token(t.Context(), "acme", 0)
	require.NoError(t, err)
	require.Nil(t, m.backend.cachedLWA(token))
	_, err = m.backend.HandleRequest(t.Context(), token)
	require.Equal(t, logical.ErrReadOnly, err, "bare, as gRPC needs it")
}

func FuzzExchange(f *testing.F) {
	for _, seed := range []string{`{"grant_type":"refresh_token","refresh_token":"acme"}`, `{"grant_type":null}`, `{"grant_type":{"a":[1,2,{"b":"c"}]}}`, `{}`, `null`, `{"scope":"a b","grant_type":"client_credentials"}`} {
		f.Add("lwa/token/acme", seed)
		f.Add("lwa/grantless/notifications", seed)
		f.Add("lwa/token/../config", seed)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		var data map[string]any
		if json.Unmarshal([]byte(body), &data) != nil || !strings.HasPrefix(path, lwaPrefix) {
			return
		}
		m := configured(t)
		resp, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data, Storage: m.storage, MountPoint: "spapi/"})
		require.NoError(t, err)
		var answer map[string]any
		require.NoError(t, json.Unmarshal([]byte(resp.Data[logical.HTTPRawBody].(string)), &answer))
		if resp.Data[logical.HTTPStatusCode] == 200 {
			require.NotEmpty(t, answer["access_token"])
			return
		}
		require.NotEmpty(t, answer["error"])
		require.NotEmpty(t, answer["error_description"])
	})
}
