// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestAccountDefaults(t *testing.T) {
	t.Parallel()
	m := configured(t)
	account := m.read("accounts/acme")
	require.Regexp(t, "^[0-9a-f]{12}$", account["refresh_token_fingerprint"])
	delete(account, "refresh_token_fingerprint")
	now := "2026-05-06T07:08:09Z"
	require.Equal(t, map[string]any{
		"account": "acme", "region": "na", "selling_partner_id": "", "marketplace_ids": []string{}, "kind": "", "metadata": map[string]string{},
		"authorized_at": now, "enabled": true, "generate_lease": true, "token_min_ttl": int64(1800),
		"status": "active", "last_exchange_at": now, "last_error": "", "created_at": now, "updated_at": now,
	}, account)
}

func TestAccountInheritsFromTheConfig(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.UpdateOperation, "config", map[string]any{"region": "eu", "generate_lease": false, "token_min_ttl": "10m"})
	account := m.read("accounts/acme")
	require.Equal(t, "eu", account["region"])
	require.Equal(t, false, account["generate_lease"])
	require.Equal(t, int64(600), account["token_min_ttl"])
	require.Equal(t, "https://sellingpartnerapi-eu.amazon.com", m.read("token/acme")["endpoint"])
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"region": "fe", "generate_lease": true, "token_min_ttl": "20m"})
	token := m.ok(logical.ReadOperation, "token/acme", nil)
	require.Equal(t, "https://sellingpartnerapi-fe.amazon.com", token.Data["endpoint"])
	require.NotNil(t, token.Secret)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"region": nil, "generate_lease": nil, "token_min_ttl": nil})
	require.Equal(t, account["region"], m.read("accounts/acme")["region"])
	require.Nil(t, m.ok(logical.ReadOperation, "token/acme", nil).Secret)
}

func TestAccountPartialWrites(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{
		"region": "eu", "selling_partner_id": "A1B2C3", "marketplace_ids": "A1PA6795UKMFR9,A13V1IB3VIYZZH", "kind": "seller", "metadata": []any{"team=a", "env=b"},
		"authorized_at": "2026-01-01T00:00:00Z", "authorization_expires_at": "2027-01-01T00:00:00Z", "token_min_ttl": "20m", "generate_lease": false,
	})
	want := m.read("accounts/acme")
	require.Equal(t, map[string]string{"team": "a", "env": "b"}, want["metadata"])
	require.Equal(t, []string{"A1PA6795UKMFR9", "A13V1IB3VIYZZH"}, want["marketplace_ids"])
	m.clock.Advance(time.Minute)
	for name, value := range map[string]any{"kind": "vendor", "enabled": true, "selling_partner_id": "B", "region": "fe", "generate_lease": true, "token_min_ttl": int64(120), "authorization_expires_at": "2027-02-01T00:00:00Z"} {
		m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{name: value})
		want[name], want["updated_at"] = value, "2026-05-06T07:09:09Z"
		require.Equal(t, want, m.read("accounts/acme"), name)
	}
	fingerprint := want["refresh_token_fingerprint"]
	m.ok(logical.UpdateOperation, "accounts/acme", m.accountData("acme"))
	require.NotEqual(t, fingerprint, m.read("accounts/acme")["refresh_token_fingerprint"])
	want["refresh_token_fingerprint"], want["last_exchange_at"] = m.read("accounts/acme")["refresh_token_fingerprint"], "2026-05-06T07:09:09Z"
	require.Equal(t, want, m.read("accounts/acme"), "a new refresh token keeps the rest")
}

func TestAccountMetadata(t *testing.T) {
	t.Parallel()
	m := configured(t)
	metadata := func() any { return m.read("accounts/acme")["metadata"] }
	m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"metadata": map[string]any{"a": "1", "b": "2"}})
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"metadata": map[string]any{"b": nil, "c": "3"}})
	require.Equal(t, map[string]string{"a": "1", "c": "3"}, metadata(), "RFC 7396")
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"metadata": "d=4"})
	require.Equal(t, map[string]string{"d": "4"}, metadata())
	m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"metadata": map[string]any{"e": "5"}})
	require.Equal(t, map[string]string{"e": "5"}, metadata(), "a write replaces")
	require.Equal(t, map[string]string{"e": "5"}, m.read("token/acme")["metadata"])
	require.Equal(t, 1, m.amazon.Exchanges("acme"), "metadata drops no token")
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"metadata": nil})
	require.Empty(t, metadata())
}

func TestAccountVerify(t *testing.T) {
	t.Parallel()
	m := configured(t)
	before := m.stored()
	for _, path := range []string{"accounts/acme", "accounts/new"} {
		text := m.badRequest(logical.UpdateOperation, path, map[string]any{"refresh_token": "Atzr|unknown", "kind": "vendor"})
		require.Contains(t, text, "invalid_grant")
		require.NotContains(t, text, "Atzr|unknown")
	}
	require.Equal(t, before, m.stored())

	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	resp := m.ok(logical.UpdateOperation, "accounts/new", m.accountData("new"))
	require.Contains(t, strings.Join(resp.Warnings, ""), "unverified")
	require.Equal(t, "unverified", m.read("accounts/new")["status"])
	m.amazon.ClearFaults()
	m.read("token/new")
	require.Equal(t, "active", m.read("accounts/new")["status"])

	requests := m.amazon.Requests()
	require.Nil(t, m.ok(logical.UpdateOperation, "accounts/quiet", map[string]any{"refresh_token": "Atzr|unknown", "verify": false}))
	require.Equal(t, requests, m.amazon.Requests())
	require.Equal(t, "unverified", m.read("accounts/quiet")["status"])
	m.badRequest(logical.ReadOperation, "token/quiet", nil)
	quiet := m.read("accounts/quiet")
	require.Equal(t, "reauthorization_required", quiet["status"])
	require.Contains(t, quiet["last_error"], "invalid_grant")
}

func TestAccountCredentialIsTrimmed(t *testing.T) {
	t.Parallel()
	m := configured(t)
	refreshToken := m.amazon.Authorize(testClientID, "acme")
	m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"refresh_token": "  " + refreshToken + "\r\n"})
	form, _ := m.amazon.LastRequest()
	require.Equal(t, refreshToken, form.Get("refresh_token"))
}

func TestAccountBadInput(t *testing.T) {
	t.Parallel()
	m := configured(t)
	many := make([]any, 65)
	pairs := map[string]any{}
	for n := range many {
		many[n] = fmt.Sprint("M", n)
		pairs[fmt.Sprint(n)] = "x"
	}
	before, requests := m.stored(), m.amazon.Requests()
	for name, values := range map[string][]any{
		"refresh_token":            {nil, "", " ", "\n", "a\x00b", "a\nb", strings.Repeat("x", 1<<20), []any{"x"}, map[string]any{"x": "y"}},
		"region":                   {"us", "europe", "na eu"},
		"selling_partner_id":       {"A-B", "A B", strings.Repeat("A", 65), "../x", "Ä"},
		"marketplace_ids":          {many, "A-B", "A B", strings.Repeat("A", 33), []any{"A/B"}},
		"kind":                     {"both", "Seller"},
		"metadata":                 {pairs, map[string]any{"": "x"}, map[string]any{"a\nb": "x"}, map[string]any{"a": strings.Repeat("x", 513)}, map[string]any{strings.Repeat("x", 129): "x"}, "nonsense", "=x", map[string]any{"a": map[string]any{"b": "c"}}},
		"authorized_at":            {"yesterday", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z"},
		"authorization_expires_at": {"never", "3000-01-01T00:00:00Z"},
		"enabled":                  {"maybe", []any{}},
		"generate_lease":           {"maybe"},
		"token_min_ttl":            {"59s", "55m1s", "-1m", "forever", 0},
		"verify":                   {"maybe"},
		"account":                  {"other"},
	} {
		for _, value := range values {
			data := m.accountData("new")
			data[name] = value
			if value == nil {
				delete(data, name)
			}
			text := m.badRequest(logical.UpdateOperation, "accounts/new", data)
			require.Contains(t, text, `"`+name+`"`, "%v", value)
			require.Less(t, len(text), 400)
		}
	}
	require.Equal(t, before, m.stored())
	require.Equal(t, requests, m.amazon.Requests(), "Amazon is not asked about what cannot be stored")
}

func TestAccountNames(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, name := range []string{"a", "A.b-c_d", "seller@example.com", "0", strings.Repeat("n", 256)} {
		m.ok(logical.UpdateOperation, "accounts/"+name, m.accountData(name))
		require.Equal(t, name, m.read("token/" + name)["account"])
	}
	before := m.stored()
	for _, name := range []string{"a/b", "a//b", "-a", "a-", ".", "..", "../config", "a b", "ä", "a\nb", "a%2fb", "@", strings.Repeat("n", 257), "a/", "*", "+"} {
		for _, path := range []string{"accounts/", "token/"} {
			for _, operation := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation, logical.DeleteOperation} {
				if path == "token/" && operation != logical.ReadOperation {
					continue
				}
				text := m.badRequest(operation, path+name, nil)
				require.Contains(t, text, `"account"`, name)
			}
		}
	}
	require.Equal(t, before, m.stored())
}

func TestAccountsList(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.UpdateOperation, "accounts/off", map[string]any{"refresh_token": "Atzr|1", "verify": false, "enabled": false, "region": "eu", "selling_partner_id": "A1", "authorization_expires_at": "2027-01-01T00:00:00Z"})
	m.ok(logical.UpdateOperation, "accounts/bad", map[string]any{"refresh_token": "Atzr|2", "verify": false})
	m.badRequest(logical.ReadOperation, "token/bad", nil)
	resp := m.ok(logical.ListOperation, "accounts/", nil)
	require.Equal(t, []string{"acme", "bad", "off"}, resp.Data["keys"])
	require.Equal(t, map[string]any{
		"acme": map[string]any{"region": "na", "status": "active", "selling_partner_id": "", "authorization_expires_at": ""},
		"bad":  map[string]any{"region": "na", "status": "reauthorization_required", "selling_partner_id": "", "authorization_expires_at": ""},
		"off":  map[string]any{"region": "eu", "status": "disabled", "selling_partner_id": "A1", "authorization_expires_at": "2027-01-01T00:00:00Z"},
	}, resp.Data["key_info"])
}

func TestAccountsListPages(t *testing.T) {
	t.Parallel()
	m := configured(t)
	require.Equal(t, []string{"acme"}, m.ok(logical.ListOperation, "accounts/", nil).Data["keys"])
	for n := range 1005 {
		m.ok(logical.UpdateOperation, fmt.Sprintf("accounts/n%04d", n), map[string]any{"refresh_token": "x", "verify": false})
	}
	all := m.ok(logical.ListOperation, "accounts/", nil)
	require.Len(t, all.Data["keys"], 1006)
	require.NotContains(t, all.Data, "key_info")
	require.Contains(t, strings.Join(all.Warnings, ""), "limit=1000")

	var paged []string
	after := ""
	for {
		page := m.ok(logical.ListOperation, "accounts/", map[string]any{"after": after, "limit": "100"})
		keys, _ := page.Data["keys"].([]string)
		if len(keys) == 0 {
			break
		}
		require.Len(t, page.Data["key_info"], len(keys))
		paged, after = append(paged, keys...), keys[len(keys)-1]
	}
	require.Equal(t, all.Data["keys"], paged)
	require.Equal(t, []string{"n0000"}, m.ok(logical.ListOperation, "accounts/", map[string]any{"after": "b", "limit": 1}).Data["keys"], "after need not exist")
	for name, value := range map[string]any{"limit": -1, "after": strings.Repeat("x", 300)} {
		require.Contains(t, m.badRequest(logical.ListOperation, "accounts/", map[string]any{name: value}), name)
	}
}

func TestAccountsListFilters(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for n := range 30 {
		data := map[string]any{"refresh_token": "Atzr|x", "verify": false, "enabled": n%3 != 0}
		if n%2 == 0 {
			data["authorization_expires_at"] = rfc3339(m.clock.Now().AddDate(0, 0, n))
		}
		m.ok(logical.UpdateOperation, fmt.Sprintf("accounts/n%02d", n), data)
	}
	m.badRequest(logical.ReadOperation, "token/n01", nil)
	list := func(pairs ...any) []string {
		t.Helper()
		query := map[string]any{"limit": 1000}
		for i := 0; i < len(pairs); i += 2 {
			query[pairs[i].(string)] = pairs[i+1]
		}
		resp := m.ok(logical.ListOperation, "accounts/", query)
		keys, _ := resp.Data["keys"].([]string)
		info, _ := resp.Data["key_info"].(map[string]any)
		require.Len(t, info, len(keys))
		return keys
	}
	require.Equal(t, []string{"acme"}, list("status", "active"))
	require.Equal(t, []string{"n01"}, list("status", "reauthorization_required"))
	require.Len(t, list("status", "disabled"), 10)
	require.Len(t, list("status", "unverified"), 19)
	soon := rfc3339(m.clock.Now().AddDate(0, 0, 7))
	require.Equal(t, []string{"n00", "n02", "n04", "n06"}, list("expires_before", soon), "an expiry that is not known is not before anything")
	require.Equal(t, []string{"n00", "n06"}, list("expires_before", soon, "status", "disabled"))
	require.Equal(t, []string{"n02", "n04"}, list("expires_before", soon, "after", "n00", "limit", 2), "a page is as full as it can be")
	require.Equal(t, []string{"n06"}, list("expires_before", soon, "after", "n04", "limit", 2))
	require.Empty(t, list("status", "active", "after", "b"))

	for name, query := range map[string]map[string]any{
		"limit missing":  {"status": "active"},
		"limit zero":     {"expires_before": soon, "limit": 0},
		"limit large":    {"status": "active", "limit": 1001},
		"status":         {"status": "gone", "limit": 10},
		"expires_before": {"expires_before": "soon", "limit": 10},
	} {
		field, _, _ := strings.Cut(name, " ")
		require.Contains(t, m.badRequest(logical.ListOperation, "accounts/", query), `"`+field+`"`, name)
	}
}

// One that was deleted while it was listed still counts for the page: a short page
// is the last.
func TestAccountThatIsDeletedWhileItIsListed(t *testing.T) {
	t.Parallel()
	m := configured(t)
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: "account/gone/x"})) // listed, and not there
	resp := m.ok(logical.ListOperation, "accounts/", map[string]any{"limit": 2})
	require.Equal(t, []string{"acme", "gone/"}, resp.Data["keys"])
	require.Len(t, resp.Data["key_info"], 1)
	require.Equal(t, []string{"acme"}, m.ok(logical.ListOperation, "accounts/", map[string]any{"limit": 2, "status": "active"}).Data["keys"])
}

func TestAccountDelete(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.amazon.RevokeAuthorization("acme")
	m.clock.Advance(time.Hour)
	m.badRequest(logical.ReadOperation, "token/acme", nil)
	m.stores("status/acme")
	m.ok(logical.DeleteOperation, "accounts/acme", nil)
	require.NotContains(t, m.stored(), "status/acme")
	require.NotContains(t, m.stored(), "account/acme")
	m.badRequest(logical.ReadOperation, "token/acme", nil)
	m.refused(http.StatusNotFound, logical.ReadOperation, "accounts/acme", nil)
}

func TestAuthorizationWarnings(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, c := range [][2]string{{"2026-06-06T00:00:00Z", ""}, {"2026-06-01T00:00:00Z", "in 25 days"}, {"2026-05-01T00:00:00Z", "expired at"}} {
		expires, want := c[0], c[1]
		m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"authorization_expires_at": expires})
		for _, path := range []string{"accounts/acme", "token/acme"} {
			warnings := strings.Join(m.ok(logical.ReadOperation, path, nil).Warnings, "")
			require.Contains(t, warnings, want)
			require.Equal(t, want == "", warnings == "")
		}
	}
	resp := m.ok(logical.UpdateOperation, "accounts/acme", m.accountData("acme"))
	require.Contains(t, strings.Join(resp.Warnings, ""), "expire", "a new refresh token does not change when the authorization lapses")
}
