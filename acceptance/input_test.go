// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mebibyte is also the longest value that Vault itself takes.
const mebibyte = 1 << 20

// badValue is a value of a field, and what the refusal has to say about it.
type badValue struct {
	field string
	value any
	says  string
}

func badConfigValues() []badValue {
	return []badValue{
		{"client_id", "", "required"},
		{"client_secret", "", "empty"},
		{"client_secret", " \n", "empty"},
		{"client_secret", nil, "empty"},
		{"client_secret", "a\x00b", "control character"},
		{"client_secret", strings.Repeat("s", mebibyte), "longer than"},
		{"client_secret", map[string]any{"x": "y"}, "must be a string"},
		{"region", "us", "one of"},
		{"token_min_ttl", "59s", "from 1m to 55m"},
		{"token_min_ttl", "56m", "from 1m to 55m"},
		{"token_min_ttl", -1, "must be"},
		{"token_min_ttl", "99999999999999999999", "duration"},
		{"token_min_ttl", "soon", "duration"},
		{"request_timeout", "0s", "from 1s to 1m"},
		{"request_timeout", "61s", "from 1s to 1m"},
		{"max_concurrent_exchanges", 0, "from 1 to 1024"},
		{"max_concurrent_exchanges", 1025, "from 1 to 1024"},
		{"max_concurrent_exchanges", 1.5, "whole number"},
		{"generate_lease", "perhaps", "true or false"},
		{"client_secret_expires_at", "tomorrow", "RFC 3339"},
		{"redirect_uri", "http://example.com/callback", "https"},
		{"clientid", "x", "unknown"},
		{"refresh_token", "x", "unknown"},
	}
}

func badEndpoints() []badValue {
	var bad []badValue
	for _, endpoint := range []string{
		"http://api.amazon.com/auth/o2/token",
		"https://user:pass@api.amazon.com/auth/o2/token",
		"https://api.amazon.com.evil.example/auth/o2/token",
		"https://api.amazon.com@evil.example/auth/o2/token",
		"https://evil.example/auth/o2/token?https://api.amazon.com/auth/o2/token",
		"https://evil.example/#api.amazon.com",
		"https://api.amazon.com:8443/auth/o2/token",
		"https://127.0.0.1/auth/o2/token",
		"https://[::1]/auth/o2/token",
		"https://54.239.28.85/auth/o2/token",
		"https://api.amazon.com/auth/o2/other",
		"https://api.amazon.com/auth/o2/token/../../x",
		"https://api.amazon.com",
		"//api.amazon.com/auth/o2/token",
		"file:///etc/passwd",
		"not a URL",
		"https://аpi.amazon.com/auth/o2/token", // Cyrillic
		"https://" + strings.Repeat("a", mebibyte/2),
	} {
		bad = append(bad, badValue{"lwa_endpoint", endpoint, ""})
	}
	for _, endpoint := range []string{
		"http://sellingpartnerapi-na.amazon.com",
		"https://sellingpartnerapi-na.amazon.com.evil.example",
		"https://sellingpartnerapi-na.amazon.com:444",
		"https://user@sellingpartnerapi-na.amazon.com",
		"https://sellingpartnerapi-na.amazon.com/path",
		"https://sellingpartnerapi-na.amazon.com?query",
		"https://sellingpartnerapi-xx.amazon.com",
		"https://127.0.0.1",
	} {
		bad = append(bad, badValue{"sp_api_endpoint", endpoint, ""})
	}
	return bad
}

func badAccountValues() []badValue {
	return []badValue{
		{"refresh_token", "", "empty"},
		{"refresh_token", nil, "empty"},
		{"refresh_token", "a\nb", "control character"},
		{"refresh_token", []string{"x"}, "must be a string"},
		{"refresh_token", strings.Repeat("t", mebibyte), "longer than"},
		{"region", "us-east-1", "one of"},
		{"selling_partner_id", "with space", "letters and digits"},
		{"selling_partner_id", strings.Repeat("A", 65), "longer than"},
		{"marketplace_ids", "A;B", "letters and digits"},
		{"marketplace_ids", strings.Repeat("A", mebibyte), ""},
		{"kind", "buyer", "seller or vendor"},
		{"metadata", "nonsense", "key=value"},
		{"metadata", map[string]any{"k": strings.Repeat("v", mebibyte)}, ""},
		{"metadata", map[string]any{strings.Repeat("k", mebibyte): "v"}, ""},
		{"authorized_at", "1999-01-01T00:00:00Z", "2000 and 2200"},
		{"authorization_expires_at", "2026-13-01T00:00:00Z", "RFC 3339"},
		{"token_min_ttl", "0s", "from 1m to 55m"},
		{"token_min_ttl", "1h", "from 1m to 55m"},
		{"enabled", "maybe", "true or false"},
		{"refresh-token", "x", "unknown"},
		{"account", "globex", "another value in the path"},
	}
}

func TestBadConfigIsRefusedAndNothingStored(t *testing.T) {
	t.Parallel()
	m := shared.newBareMount(t, "testbadconfig")
	for _, bad := range append(badConfigValues(), badEndpoints()...) {
		fields := map[string]any{"client_id": m.clientID, "client_secret": m.clientSecret, "lwa_endpoint": m.amazon.LWAEndpoint()}
		m.refused(t, http.StatusBadRequest, http.MethodPost, "config", with(fields, bad.field, bad.value), bad.field, bad.says)
		require.Equal(t, http.StatusNotFound, m.call(t, http.MethodGet, "config", nil).Status)
	}
	m.refused(t, http.StatusBadRequest, http.MethodPost, "config", map[string]any{"client_id": "x"}, "client_secret", "required")
	m.refused(t, http.StatusBadRequest, http.MethodPost, "config", map[string]any{"client_secret": "x"}, "client_id", "required")
	require.Zero(t, m.amazon.Requests(), "refused before Amazon is asked")

	m.writeConfig(t)
	before := m.everything(t)
	for _, bad := range append(badConfigValues(), badEndpoints()...) {
		if bad.field == "client_id" {
			continue // it keeps what is stored
		}
		m.refused(t, http.StatusBadRequest, http.MethodPost, "config", map[string]any{bad.field: bad.value}, bad.field, bad.says)
	}
	require.Equal(t, before, m.everything(t))
	require.Equal(t, 1, m.amazon.Requests())
}

func TestBadAccountIsRefusedAndNothingStored(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	calls := m.amazon.Requests()
	refreshToken := m.amazon.Authorize(m.clientID, "acme")
	for _, bad := range badAccountValues() {
		fields := map[string]any{"refresh_token": refreshToken}
		m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/acme", with(fields, bad.field, bad.value), bad.field, bad.says)
		require.Equal(t, http.StatusNotFound, m.call(t, http.MethodGet, "accounts/acme", nil).Status)
	}
	m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/acme", map[string]any{"region": "eu"}, "refresh_token", "required")
	for _, name := range []string{"a/b", "a%2Fb", "-a", "a-", "a b", "a*", "ä", "a:b", strings.Repeat("a", 300)} {
		m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/"+name, map[string]any{"refresh_token": refreshToken}, "account")
		m.refused(t, http.StatusBadRequest, http.MethodGet, "token/"+name, nil, "account")
	}
	require.Equal(t, http.StatusNotFound, m.call(t, "LIST", "accounts", nil).Status)

	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": refreshToken})
	before := m.everything(t, "acme")
	for _, bad := range badAccountValues() {
		m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/acme", map[string]any{bad.field: bad.value}, bad.field, bad.says)
	}
	require.Equal(t, before, m.everything(t, "acme"))
	require.Equal(t, calls+1, m.amazon.Requests())
}

func TestWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	m := shared.newBareMount(t, "testwhatdoesnotexist")
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme", nil, "no config", "vault write "+m.path+"/config")
	stored := m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": "Atzr|x"})
	require.True(t, stored.warned("unverified"), "%s", stored.Raw)
	m.writeConfig(t)
	m.refused(t, http.StatusNotFound, http.MethodGet, "accounts/globex", nil, "globex")
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/globex", nil, "globex", "vault write "+m.path+"/accounts/globex")
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme?min_tll=10m", nil, "min_tll")
	m.ok(t, http.MethodDelete, "accounts/globex", nil)
	require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, m.call(t, http.MethodGet, "nothing", nil).Status)
}

// Amazon's refusal of a new credential leaves the old one in use.
func TestRefusedCredentialsChangeNothing(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	before, token := m.everything(t, "acme"), m.token(t, "acme")
	m.amazon.AddClient("other", "other")
	revoked := m.amazon.Authorize(m.clientID, "revoked")
	m.amazon.RevokeAuthorization("revoked")
	for refreshToken, code := range map[string]string{
		"Atzr|never-issued": "invalid_grant", revoked: "invalid_grant", m.amazon.Authorize("other", "acme2"): "unauthorized_client",
	} {
		fields := map[string]any{"refresh_token": refreshToken, "region": "eu"}
		m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/acme", fields, code, "acme")
		m.refused(t, http.StatusBadRequest, http.MethodPatch, "accounts/acme", fields, code)
		m.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/new", fields, code)
	}
	m.refused(t, http.StatusBadRequest, http.MethodPost, "config", map[string]any{"client_secret": "wrong", "region": "eu"}, "invalid_client")
	require.Equal(t, before, m.everything(t, "acme"))
	require.Equal(t, token.accessToken(), m.token(t, "acme").accessToken())
	m.revoke(t, token.LeaseID)
	require.NotEqual(t, token.accessToken(), m.token(t, "acme").accessToken(), "the old credentials still work")
}
