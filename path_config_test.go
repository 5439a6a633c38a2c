// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.ok(logical.UpdateOperation, "config", map[string]any{"client_id": "id", "client_secret": "secret", "verify": false})
	require.Equal(t, map[string]any{
		"client_id": "id", "client_secret_set": true,
		"client_secret_set_at": "2026-05-06T07:08:09Z", "client_secret_expires_at": "2026-11-02T07:08:09Z",
		"application_id": "", "redirect_uri": "", "region": "na", "sandbox": false,
		"token_min_ttl": int64(1800), "generate_lease": true, "request_timeout": int64(10), "max_concurrent_exchanges": 32,
		"lwa_endpoint": "https://api.amazon.com/auth/o2/token", "sp_api_endpoint": "https://sellingpartnerapi-na.amazon.com",
	}, m.read("config"))
}

func TestConfigPartialWrites(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	full := map[string]any{
		"client_id": testClientID, "client_secret": testClientSecret, "lwa_endpoint": m.amazon.LWAEndpoint(), "sp_api_endpoint": m.amazon.URL() + "/",
		"client_secret_expires_at": "2026-06-01T00:00:00+02:00", "application_id": "amzn1.sp.solution.x", "redirect_uri": "https://shop.example/callback",
		"region": "eu", "sandbox": true, "token_min_ttl": "20m", "generate_lease": "false", "request_timeout": 5, "max_concurrent_exchanges": "8",
	}
	m.ok(logical.UpdateOperation, "config", full)
	before := m.read("config")
	require.Equal(t, "2026-05-31T22:00:00Z", before["client_secret_expires_at"])
	require.Equal(t, m.amazon.URL(), before["sp_api_endpoint"])
	for name, value := range map[string]any{"region": "fe", "sandbox": false, "token_min_ttl": int64(60), "generate_lease": true, "request_timeout": int64(60), "max_concurrent_exchanges": 1024, "application_id": "y"} {
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			m.ok(operation, "config", map[string]any{name: value})
			want := before
			want[name] = value
			require.Equal(t, want, m.read("config"), "%s %s", operation, name)
		}
	}
	nulls := map[string]any{}
	for name := range full {
		if name != "client_id" && name != "client_secret" {
			nulls[name] = nil
		}
	}
	m.ok(logical.PatchOperation, "config", nulls)
	after := m.read("config")
	require.Equal(t, "https://api.amazon.com/auth/o2/token", after["lwa_endpoint"])
	require.Equal(t, "https://sellingpartnerapi-na.amazon.com", after["sp_api_endpoint"])
	require.Equal(t, "2026-11-02T07:08:09Z", after["client_secret_expires_at"])
	require.Equal(t, int64(1800), after["token_min_ttl"])
}

func TestConfigVerify(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	data := m.configData()
	data["client_secret"] = "wrong"
	text := m.badRequest(logical.UpdateOperation, "config", data)
	require.Contains(t, text, "invalid_client")
	require.Empty(t, m.stored())

	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	resp := m.ok(logical.UpdateOperation, "config", m.configData())
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], "could not be proven")
	m.amazon.ClearFaults()
	requests := m.amazon.Requests()
	require.Nil(t, m.ok(logical.UpdateOperation, "config", map[string]any{"region": "eu"}))
	require.Equal(t, requests, m.amazon.Requests(), "nothing to prove")

	before := m.stored()
	m.badRequest(logical.UpdateOperation, "config", map[string]any{"client_secret": "wrong"})
	require.Equal(t, before, m.stored())
	require.Nil(t, m.ok(logical.UpdateOperation, "config", map[string]any{"client_secret": "unproven", "verify": false}))
	require.Equal(t, "2026-05-13T07:08:09Z", m.read("config")["previous_client_secret_expires_at"])
	m.clock.Advance(7 * 24 * time.Hour)
	require.NotContains(t, m.read("config"), "previous_client_secret_expires_at")
}

func TestConfigExpiryWarning(t *testing.T) {
	t.Parallel()
	m := configured(t)
	warnings := func() []string { return m.ok(logical.ReadOperation, "config", nil).Warnings }
	m.clock.Advance(150*24*time.Hour - time.Second)
	require.Empty(t, warnings())
	m.clock.Advance(2 * time.Second)
	require.Contains(t, strings.Join(warnings(), ""), "in 29 days")
	m.clock.Advance(30 * 24 * time.Hour)
	require.Contains(t, strings.Join(warnings(), ""), "expired at")
}

func TestConfigClientIDThatIsAnApplicationID(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	resp := m.ok(logical.UpdateOperation, "config", map[string]any{"client_id": "amzn1.sp.solution.1", "client_secret": "x", "verify": false})
	require.Contains(t, strings.Join(resp.Warnings, ""), "application id")
}

func TestConfigForce(t *testing.T) {
	t.Parallel()
	m := configured(t)
	text := m.badRequest(logical.UpdateOperation, "config", map[string]any{"client_id": "another"})
	require.Contains(t, text, "force=true")
	require.Equal(t, testClientID, m.read("config")["client_id"])
	m.ok(logical.UpdateOperation, "config", map[string]any{"client_id": "another", "force": true})
	require.Equal(t, "another", m.read("config")["client_id"])
}

func TestConfigDeleteKeepsAccounts(t *testing.T) {
	t.Parallel()
	m := configured(t)
	first := m.read("token/acme")["access_token"]
	m.ok(logical.DeleteOperation, "config", nil)
	m.badRequest(logical.ReadOperation, "token/acme", nil)
	require.Equal(t, "active", m.read("accounts/acme")["status"])
	m.ok(logical.UpdateOperation, "config", m.configData())
	require.NotEqual(t, first, m.read("token/acme")["access_token"])
}

func TestConfigBadInput(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	for name, values := range map[string][]any{
		"client_id":                {nil, "", "  ", "a b", "a\x00b", strings.Repeat("x", 257), []any{"x"}, map[string]any{"a": "b"}},
		"client_secret":            {nil, "", " \n", "a\nb", strings.Repeat("x", 1<<20), []any{"x"}},
		"client_secret_expires_at": {"tomorrow", "1999-12-31T00:00:00Z", "9999-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "1700000000", true},
		"application_id":           {strings.Repeat("x", 257), "a b", "a\tb"},
		"redirect_uri":             {"http://shop.example", "shop.example", "https://", "https://u:p@shop.example", "https://shop.example/#f", "javascript:alert(1)", "https://x/" + strings.Repeat("x", 2048)},
		"region":                   {"us", "NA ", "na,eu", strings.Repeat("x", 1000)},
		"sandbox":                  {"perhaps", 7.5, []any{true}},
		"token_min_ttl":            {"59s", "56m", "0", "-1h", "soon", "", "99999999999999999999h", "18446745874", "213504d", "1e3", []any{"30m"}, map[string]any{}},
		"generate_lease":           {"perhaps"},
		"request_timeout":          {"0s", "999ms", "61s", "1d", "-5"},
		"max_concurrent_exchanges": {0, 1025, -1, "many", "1.5", "99999999999999999999"},
		"lwa_endpoint":             badEndpoints(),
		"sp_api_endpoint":          append(badEndpoints(), "https://sellingpartnerapi-us.amazon.com", m.amazon.URL()+"/path"),
		"verify":                   {"perhaps"},
		"force":                    {"perhaps"},
	} {
		for _, value := range values {
			data := m.configData()
			data[name] = value
			if value == nil {
				delete(data, name)
			}
			text := m.badRequest(logical.UpdateOperation, "config", data)
			require.Contains(t, text, `"`+name+`"`, "%v", value)
			require.Less(t, len(text), 600)
			require.Empty(t, m.stored(), "%s=%v", name, value)
		}
	}
	require.Contains(t, m.badRequest(logical.UpdateOperation, "config", map[string]any{"client_id": nil, "client_secret": "x"}), "null")
	require.Zero(t, m.amazon.Requests())
}

func badEndpoints() []any {
	return []any{
		"http://api.amazon.com/auth/o2/token", "https://api.amazon.com.evil.example/auth/o2/token", "https://user:secret@api.amazon.com/auth/o2/token",
		"https://api.amazon.com:8443/auth/o2/token", "https://52.94.0.1/auth/o2/token", "https://[::1]/auth/o2/token", "https://api.amazon.com/auth/o2/token?x=1",
		"http://127.0.0.1:1/auth/o2/token", "ftp://api.amazon.com", "nonsense", "https://x/" + strings.Repeat("x", 3000),
	}
}

// What has the wrong type may be a credential: it is not repeated.
func TestWrongTypesAreNotEchoed(t *testing.T) {
	t.Parallel()
	m := configured(t)
	marker := "Atzr|canary-wrong-type"
	for _, path := range []string{"config", "accounts/acme", "accounts/new"} {
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			for name := range m.backend.Route(path).Fields {
				for _, value := range []any{map[string]any{"x": marker}, []any{marker, map[string]any{"y": marker}}, marker + "\x00"} {
					_, err := m.do(operation, path, map[string]any{name: value})
					if err != nil {
						require.NotContains(t, err.Error(), "canary", "%s of %s", name, path)
					}
				}
			}
		}
	}
}
