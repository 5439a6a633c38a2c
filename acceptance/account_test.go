// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDisabledAccountGivesNoToken(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	before := m.token(t, "acme")

	_, _, err := m.stage.CLI(t.Context(), "patch", m.path+"/accounts/acme", "enabled=false")
	require.NoError(t, err)
	m.refused(t, http.StatusForbidden, http.MethodGet, "token/acme", nil, "account acme is disabled (enabled=false)", "vault patch "+m.path+"/accounts/acme enabled=true")
	require.Equal(t, "disabled", m.ok(t, http.MethodGet, "accounts/acme", nil).text("status"))
	require.Equal(t, 1, m.amazon.Exchanges("acme"))

	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"enabled": true})
	require.NotEqual(t, before.accessToken(), m.token(t, "acme").accessToken(), "disabling drops the token")
}

// changed is what a write changed of what a read shows.
func changed(before, after map[string]any) map[string]any {
	diff := map[string]any{}
	for field, value := range after {
		if field != "updated_at" && fmt.Sprint(before[field]) != fmt.Sprint(value) {
			diff[field] = value
		}
	}
	return diff
}

func TestPartialWriteOfAccountKeepsTheRest(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme", "region", "eu", "selling_partner_id", "A1", "marketplace_ids", []string{"M1", "M2"}, "kind", "vendor",
		"metadata", map[string]any{"a": "1", "b": "2"}, "token_min_ttl", "20m", "generate_lease", false)
	read := func() map[string]any { return m.ok(t, http.MethodGet, "accounts/acme", nil).Data }
	written := read()

	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"selling_partner_id": "A2"})
	require.Equal(t, map[string]any{"selling_partner_id": "A2"}, changed(written, read()))
	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"selling_partner_id": "A1"})
	require.Empty(t, changed(written, read()))

	m.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"metadata": map[string]any{"b": nil, "c": "3"}})
	require.Equal(t, map[string]any{"metadata": map[string]any{"a": "1", "c": "3"}}, changed(written, read()))
	m.ok(t, http.MethodPost, "accounts/acme", map[string]any{"metadata": map[string]any{"a": "1", "b": "2"}})
	require.Empty(t, changed(written, read()), "a write replaces a map")

	_, _, err := m.stage.CLI(t.Context(), "patch", m.path+"/accounts/acme", "kind=seller")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"kind": "seller"}, changed(written, read()))
	m.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"kind": "vendor", "generate_lease": nil})
	require.Equal(t, map[string]any{"generate_lease": true}, changed(written, read()), "null is the default")

	require.Equal(t, 1, m.amazon.Exchanges("acme"), "nothing of it concerns the credential")
	m.refused(t, http.StatusNotFound, http.MethodPatch, "accounts/globex", map[string]any{"kind": "vendor"}, "globex")
}

func TestPartialWriteOfConfigKeepsTheRest(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "region", "fe", "token_min_ttl", "20m", "request_timeout", "7s", "max_concurrent_exchanges", 5,
		"application_id", "amzn1.sp.solution.1", "redirect_uri", "https://example.com/callback", "generate_lease", false, "sandbox", true)
	m.addAccount(t, "acme")
	read := func() map[string]any { return m.ok(t, http.MethodGet, "config", nil).Data }
	written := read()

	m.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "8s"})
	require.Equal(t, map[string]any{"request_timeout": json.Number("8")}, changed(written, read()))
	m.ok(t, http.MethodPatch, "config", map[string]any{"request_timeout": "7s", "redirect_uri": nil})
	require.Equal(t, map[string]any{"redirect_uri": ""}, changed(written, read()))
	_, _, err := m.stage.CLI(t.Context(), "patch", m.path+"/config", "redirect_uri=https://example.com/callback", "sandbox=false")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"sandbox": false, "sp_api_endpoint": "https://sellingpartnerapi-fe.amazon.com"}, changed(written, read()))
	m.token(t, "acme")

	bare := shared.newBareMount(t, m.path+"-bare")
	bare.refused(t, http.StatusNotFound, http.MethodPatch, "config", map[string]any{"region": "eu"}, "no config")
}

func TestListShowsDetailsAndPages(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme", "region", "eu", "selling_partner_id", "A1", "authorization_expires_at", "2099-01-02T03:04:05Z")
	m.addAccount(t, "beta", "enabled", false)
	m.addAccount(t, "gamma@example.com", "verify", false)

	all := m.ok(t, "LIST", "accounts", nil)
	require.Equal(t, []any{"acme", "beta", "gamma@example.com"}, all.Data["keys"])
	require.Equal(t, map[string]any{
		"acme":              map[string]any{"region": "eu", "status": "active", "selling_partner_id": "A1", "authorization_expires_at": "2099-01-02T03:04:05Z"},
		"beta":              map[string]any{"region": "na", "status": "disabled", "selling_partner_id": "", "authorization_expires_at": ""},
		"gamma@example.com": map[string]any{"region": "na", "status": "unverified", "selling_partner_id": "", "authorization_expires_at": ""},
	}, all.Data["key_info"])

	page := func(query string) any { return m.ok(t, http.MethodGet, "accounts?list=true&"+query, nil).Data["keys"] }
	require.Equal(t, []any{"acme", "beta"}, page("limit=2"))
	require.Equal(t, []any{"gamma@example.com"}, page("limit=2&after=beta"))
	require.Equal(t, []any{"beta"}, page("limit=1&after=b"), "after need not exist")
	require.Equal(t, http.StatusNotFound, m.call(t, "LIST", "accounts?after=gamma@example.com", nil).Status, "an empty list is Vault's 404")

	stdout, _, err := m.stage.CLI(t.Context(), "list", "-detailed", m.path+"/accounts")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^acme\s.*2099-01-02T03:04:05Z.*eu.*A1.*active`, stdout)
	require.Regexp(t, `(?m)^beta\s.*disabled`, stdout)
}

func TestMinTTLOfARead(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "token_min_ttl", "1m")
	m.addAccount(t, "acme")
	first := m.token(t, "acme")
	require.Equal(t, first.accessToken(), m.ok(t, http.MethodGet, "token/acme?min_ttl=55m", nil).accessToken())

	m.amazon.SetTokenLifetime(16 * time.Minute)
	m.addAccount(t, "short")
	short := m.token(t, "short")
	m.amazon.SetTokenLifetime(time.Hour)
	require.Equal(t, short.accessToken(), m.ok(t, http.MethodGet, "token/short?min_ttl=10m", nil).accessToken())
	// A second after it was made it has less than what this reader asks for.
	waitFor(t, "a token that lives longer", func() bool {
		longer := m.ok(t, http.MethodGet, "token/short?min_ttl=959s", nil)
		require.GreaterOrEqual(t, longer.number(t, "expires_in"), int64(959))
		return longer.accessToken() != short.accessToken()
	})

	for _, bad := range []string{"0s", "56m", "-1", "soon", ""} {
		m.refused(t, http.StatusBadRequest, http.MethodGet, "token/acme?min_ttl="+bad, nil, "min_ttl")
	}
}

// "@file" keeps the newline that editors put at the end of a file.
func TestCredentialsFromFiles(t *testing.T) {
	t.Parallel()
	m := shared.newBareMount(t, "testcredentialsfromfiles")
	dir := t.TempDir()
	file := func(name, credential string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(credential+"\r\n"), 0o600))
		return "@" + path
	}
	_, _, err := m.stage.CLI(t.Context(), "write", m.path+"/config", "client_id="+m.clientID,
		"client_secret="+file("secret", m.clientSecret), "lwa_endpoint="+m.amazon.LWAEndpoint())
	require.NoError(t, err)
	refreshToken := m.amazon.Authorize(m.clientID, "acme")
	stdout, _, err := m.stage.CLI(t.Context(), "write", m.path+"/accounts/acme", "refresh_token="+file("token", refreshToken))
	require.NoError(t, err)
	require.NotContains(t, stdout, "WARNING")
	m.token(t, "acme")
	form, _ := m.amazon.LastRequest()
	require.Equal(t, refreshToken, form.Get("refresh_token"))
	require.Equal(t, m.clientSecret, form.Get("client_secret"))
}
