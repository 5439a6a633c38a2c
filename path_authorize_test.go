// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const testPartner = "A1EXAMPLE2345"

// begun is an authorization that a selling partner was asked for.
type begun struct {
	url, state, expiresAt string
}

func (m *mount) begin(data map[string]any) begun {
	m.t.Helper()
	answer := m.ok(logical.UpdateOperation, "authorize/url", data).Data
	return begun{answer["url"].(string), answer["state"].(string), answer["expires_at"].(string)}
}

// consent is what the browser of a selling partner brings back from Amazon.
func (m *mount) consent(link, partner string) map[string]any {
	m.t.Helper()
	m.amazon.AddPartner(partner)
	redirect, err := m.amazon.Consent(link, partner)
	require.NoError(m.t, err)
	callback := map[string]any{}
	for name := range redirect.Query() {
		callback[name] = redirect.Query().Get(name)
	}
	require.Len(m.t, callback, 3)
	return callback
}

// callbackData is a good callback of a new account.
func (m *mount) callbackData(account string) map[string]any {
	m.t.Helper()
	return m.consent(m.begin(map[string]any{"account": account, "marketplace": "US"}).url, testPartner)
}

func TestWebsiteWorkflow(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "config", map[string]any{"redirect_uri": testRedirectURI})
	b := m.begin(map[string]any{
		"account": "shop", "marketplace": "de", "marketplace_ids": "A1PA6795UKMFR9,A1RKKUPIHCS9HS", "metadata": map[string]any{"team": "orders"}, "state_ttl": "10m",
	})
	link, err := url.Parse(b.url)
	require.NoError(t, err)
	require.Equal(t, "https://sellercentral-europe.amazon.com/apps/authorize/consent", "https://"+link.Host+link.Path)
	require.Equal(t, url.Values{"application_id": {testApplicationID}, "state": {b.state}, "redirect_uri": {testRedirectURI}}, link.Query())
	require.Equal(t, rfc3339(m.clock.Now().Add(10*time.Minute)), b.expiresAt)
	require.NotContains(t, m.stored(), "account/shop")
	for key, value := range m.stored() {
		require.NotContains(t, key+value, b.state, "a state is stored under its hash")
	}

	m.clock.Advance(9 * time.Minute)
	answer := m.ok(logical.UpdateOperation, "authorize/callback", m.consent(b.url, testPartner)).Data
	now := m.clock.Now()
	require.Equal(t, map[string]any{
		"account": "shop", "region": "eu", "selling_partner_id": testPartner,
		"authorized_at": rfc3339(now), "authorization_expires_at": rfc3339(now.Add(365 * 24 * time.Hour)),
	}, answer)
	account := m.read("accounts/shop")
	require.Equal(t, "active", account["status"])
	require.Equal(t, "seller", account["kind"])
	require.Equal(t, "eu", account["region"])
	require.Equal(t, []string{"A1PA6795UKMFR9", "A1RKKUPIHCS9HS"}, account["marketplace_ids"])
	require.Equal(t, map[string]string{"team": "orders"}, account["metadata"])
	form, _ := m.amazon.LastRequest()
	require.Equal(t, testRedirectURI, form.Get("redirect_uri"))

	owner, live := m.amazon.AccountOf(m.read("token/shop")["access_token"].(string))
	require.True(t, live)
	require.Equal(t, testPartner, owner)
	require.Zero(t, m.amazon.Exchanges(testPartner), "the access token of the code exchange is in memory")
	for key := range m.stored() {
		require.NotContains(t, key, "authorization/", "the state is spent")
	}
}

func TestAppstoreWorkflow(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.amazon.AddPartner(testPartner)
	login, err := m.amazon.AppstoreLogin(testApplicationID, testPartner)
	require.NoError(t, err)
	data := map[string]any{"account": "shop", "region": "fe", "redirect_uri": testRedirectURI}
	for name := range login.Query() {
		data[name] = login.Query().Get(name)
	}
	b := m.begin(data)
	require.True(t, strings.HasPrefix(b.url, "https://amazon.com/apps/authorize/confirm/"+testApplicationID+"?"), b.url)
	answer := m.ok(logical.UpdateOperation, "authorize/callback", m.consent(b.url, testPartner)).Data
	require.Equal(t, testPartner, answer["selling_partner_id"])
	require.Equal(t, "fe", answer["region"])
}

// Every marketplace has a link for sellers, and one for vendors where Amazon has a
// vendor central.
func TestEveryMarketplaceHasItsLink(t *testing.T) {
	t.Parallel()
	m := configured(t)
	require.Len(t, sellingpartner.Marketplaces(), 23)
	for _, marketplace := range sellingpartner.Marketplaces() {
		for _, name := range []string{marketplace.Country, marketplace.ID, strings.ToLower(marketplace.Country)} {
			b := m.begin(map[string]any{"account": "shop", "marketplace": name})
			require.True(t, strings.HasPrefix(b.url, "https://"+marketplace.SellerCentral+"/apps/authorize/consent?"), b.url)
			require.Empty(t, m.consentPage(b.url))
		}
		vendor := map[string]any{"account": "shop", "marketplace": marketplace.Country, "kind": "vendor", "draft": true}
		if marketplace.VendorCentral == "" {
			require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", vendor), marketplace.Name+" has no vendor central")
			continue
		}
		b := m.begin(vendor)
		require.True(t, strings.HasPrefix(b.url, "https://"+marketplace.VendorCentral+"/apps/authorize/consent?"), b.url)
		require.Contains(t, b.url, "version=beta")
	}
	require.Equal(t, m.begin(map[string]any{"account": "shop", "marketplace": "GB"}).url[:50], m.begin(map[string]any{"account": "shop", "marketplace": "UK"}).url[:50])
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", map[string]any{"account": "shop", "marketplace": "XX"}), "known are CA, US, MX, BR, IE, ES, GB")
}

// consentPage is what Amazon's page says against a link; empty if nothing.
func (m *mount) consentPage(link string) string {
	m.amazon.AddPartner(testPartner)
	if _, err := m.amazon.Consent(link, testPartner); err != nil {
		return err.Error()
	}
	return ""
}

func TestDraftApplication(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.amazon.AddApplication(amazontest.Application{ID: testApplicationID, ClientID: testClientID, RedirectURIs: []string{testRedirectURI}, Draft: true})
	require.Contains(t, m.consentPage(m.begin(map[string]any{"account": "shop", "marketplace": "US"}).url), "MD1000")
	require.Empty(t, m.consentPage(m.begin(map[string]any{"account": "shop", "marketplace": "US", "draft": true}).url))
}

// Re-authorization keeps the settings of an account, and replaces its refresh token
// only once the exchange succeeded.
func TestReauthorization(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{
		"selling_partner_id": testPartner, "marketplace_ids": "ATVPDKIKX0DER", "metadata": map[string]any{"team": "orders"}, "token_min_ttl": "20m", "generate_lease": false, "kind": "vendor",
	})
	before := m.read("accounts/acme")
	text := m.badRequest(logical.UpdateOperation, "authorize/url", map[string]any{"account": "acme", "marketplace": "US"})
	require.Contains(t, text, "reauthorize=true")

	b := m.begin(map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true})
	require.Contains(t, b.url, "https://vendorcentral.amazon.com/", "as a vendor, which the account is")
	refused := m.consent(b.url, testPartner)
	refused["spapi_oauth_code"] = "x"
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", refused), "invalid_grant")
	require.Equal(t, before, m.read("accounts/acme"))

	token := m.read("token/acme")["access_token"]
	m.clock.Advance(time.Minute)
	b = m.begin(map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true})
	m.ok(logical.UpdateOperation, "authorize/callback", m.consent(b.url, testPartner))
	after := m.read("accounts/acme")
	require.NotEqual(t, before["refresh_token_fingerprint"], after["refresh_token_fingerprint"])
	require.NotEqual(t, token, m.read("token/acme")["access_token"], "what the old authorization yielded is not served any more")
	again := m.begin(map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true})
	m.ok(logical.UpdateOperation, "authorize/callback", m.consent(again.url, testPartner))
	require.NotEqual(t, after["refresh_token_fingerprint"], m.read("accounts/acme")["refresh_token_fingerprint"])
	for _, changed := range []string{"refresh_token_fingerprint", "authorized_at", "authorization_expires_at", "last_exchange_at", "updated_at"} {
		delete(before, changed)
		delete(after, changed)
	}
	require.Equal(t, before, after)
}

// Who may authorize may not take over an account, whatever is sent.
func TestAuthorizationTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"selling_partner_id": testPartner, "region": "na"})
	before := m.stored()
	const other = "A2OTHER"
	for name, data := range map[string]map[string]any{
		"not asked for":         {"account": "acme", "marketplace": "US"},
		"its own partner":       {"account": "acme", "marketplace": "US", "selling_partner_id": testPartner},
		"another partner":       {"account": "acme", "marketplace": "US", "reauthorize": true, "selling_partner_id": other},
		"another region":        {"account": "acme", "marketplace": "DE", "reauthorize": true},
		"force alone":           {"account": "acme", "marketplace": "US", "force": true},
		"an Appstore authority": {"account": "acme", "amazon_callback_uri": "https://amazon.com/apps/authorize/confirm/x", "amazon_state": "x", "selling_partner_id": testPartner},
	} {
		m.badRequest(logical.UpdateOperation, "authorize/url", data)
		require.Equal(t, before, m.stored(), name)
	}
	// The state is for the account's own partner, also where nobody said so.
	b := m.begin(map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true})
	stolen := m.consent(b.url, other)
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", stolen), "selling_partner_id")
	stolen["selling_partner_id"] = testPartner
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", stolen), "unknown", "the first attempt spent the state")
	require.Zero(t, m.amazon.CodeExchanges())
	require.Equal(t, before, m.stored())

	// An account that came meanwhile is not overwritten.
	callback := m.callbackData("late")
	m.ok(logical.UpdateOperation, "accounts/late", m.accountData("late"))
	late := m.stored()["account/late"]
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", callback), "reauthorize=true")
	require.Equal(t, late, m.stored()["account/late"])
	require.Zero(t, m.amazon.CodeExchanges(), "it is refused before the code is spent")

	// Nor one of which nobody knows whose it is.
	m.ok(logical.UpdateOperation, "accounts/nobodys", m.accountData("nobodys"))
	again := map[string]any{"account": "nobodys", "marketplace": "US", "reauthorize": true}
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", again), "write it to the account first")
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", withField(again, "selling_partner_id", other)), "write it to the account first")
	m.ok(logical.PatchOperation, "accounts/nobodys", map[string]any{"selling_partner_id": testPartner})
	callback = m.consent(m.begin(again).url, testPartner)
	m.ok(logical.PatchOperation, "accounts/nobodys", map[string]any{"selling_partner_id": other})
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", callback), "selling_partner_id")

	// One that was deleted meanwhile does not come back.
	callback = m.consent(m.begin(withField(again, "selling_partner_id", other)).url, other)
	m.ok(logical.DeleteOperation, "accounts/nobodys", nil)
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", callback), "was deleted meanwhile")
	require.NotContains(t, m.stored(), "account/nobodys")
	require.Zero(t, m.amazon.CodeExchanges())

	// With force, all of it is the operator's to say.
	b = m.begin(map[string]any{"account": "acme", "marketplace": "DE", "reauthorize": true, "force": true})
	answer := m.ok(logical.UpdateOperation, "authorize/callback", m.consent(b.url, other)).Data
	require.Equal(t, other, answer["selling_partner_id"])
	require.Equal(t, "eu", answer["region"])
}

func TestAuthorizeURLBadInput(t *testing.T) {
	t.Parallel()
	m := configured(t)
	before := m.stored()
	const callback = "https://amazon.com/apps/authorize/confirm/x"
	appstore := func(uri string) map[string]any {
		return map[string]any{"amazon_callback_uri": uri, "amazon_state": "s", "selling_partner_id": testPartner, "marketplace": nil}
	}
	cases := map[string]map[string]any{
		"account":                            {"account": nil},
		"account dots":                       {"account": "a..b"},
		"account slash":                      {"account": "a/b"},
		"account long":                       {"account": strings.Repeat("a", maxNameLength+1)},
		"marketplace":                        {"marketplace": nil},
		"marketplace unknown":                {"marketplace": "amazon.de"},
		"kind":                               {"kind": "buyer"},
		"draft":                              {"draft": "perhaps"},
		"redirect_uri":                       {"redirect_uri": "http://app.example/callback"},
		"redirect_uri user":                  {"redirect_uri": "https://user:pass@app.example/callback"},
		"region":                             {"region": "us"},
		"region other":                       {"region": "eu"},
		"state_ttl short":                    {"state_ttl": "0s"},
		"state_ttl long":                     {"state_ttl": "61m"},
		"selling_partner_id":                 {"selling_partner_id": "A-1"},
		"reauthorize":                        {"reauthorize": "x"},
		"marketplace_ids":                    {"marketplace_ids": []any{"A/B"}},
		"amazon_callback_uri missing":        {"amazon_state": "x", "marketplace": nil},
		"amazon_state missing":               {"amazon_callback_uri": callback, "selling_partner_id": testPartner, "marketplace": nil},
		"selling_partner_id of the Appstore": {"amazon_callback_uri": callback, "amazon_state": "x", "marketplace": nil},
		"marketplace of the Appstore":        {"amazon_callback_uri": callback, "amazon_state": "x", "selling_partner_id": testPartner},
	}
	for i, uri := range []string{
		"http://amazon.com/apps/authorize/confirm/x", "https://amazon.com.evil.example/apps/authorize/confirm/x", "https://evilamazon.com/apps/authorize/confirm/x",
		"https://evil.example/apps/authorize/confirm/x", "https://amazon.com@evil.example/apps/authorize/confirm/x", "https://amazon.com:8443/apps/authorize/confirm/x",
		"https://user@amazon.com/apps/authorize/confirm/x", "https://amazon.com/gp/redirect?to=evil", "https://amazon.com/apps/authorize/../../gp/redirect", "https://amazon.com/apps/authorize/%2e%2e/%2e%2e/gp",
		"https://images.amazon.com/apps/authorize/confirm/x", "https://amazon.xyz/apps/authorize/confirm/x", "https://sellercentral.evil.de/apps/authorize/confirm/x", "https://amazon.com/apps/authorize/confirm/x#y", "amazon.com", "//amazon.com/apps/authorize/x", "https:amazon.com/apps/authorize/x", "https://amazon.com\\@evil.example/apps/authorize/x", "https://sellercentral.amazon.evil.com/apps/authorize/x",
	} {
		cases["amazon_callback_uri "+string(rune('a'+i))] = appstore(uri)
	}
	for name, change := range cases {
		data := map[string]any{"account": "shop", "marketplace": "US"}
		for field, value := range change {
			if data[field] = value; value == nil {
				delete(data, field)
			}
		}
		text := m.badRequest(logical.UpdateOperation, "authorize/url", data)
		field, _, _ := strings.Cut(name, " ")
		require.Contains(t, text, `"`+field+`"`, name)
		require.Equal(t, before, m.stored(), name)
	}
	for _, host := range []string{"amazon.com", "www.amazon.de", "sellercentral.amazon.com", "sellercentral-europe.amazon.com", "SELLERCENTRAL.amazon.co.jp", "vendorcentral.amazon.me", "amazon.com:443"} {
		data := appstore("https://" + host + "/apps/authorize/confirm/" + testApplicationID)
		delete(data, "marketplace")
		data["account"] = "shop"
		require.Contains(t, m.begin(data).url, "amazon_state=s")
	}
}

func TestAuthorizationNeedsAConfig(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	link := map[string]any{"account": "shop", "marketplace": "US"}
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", link), "vault write spapi/config client_id")
	config := m.configData()
	delete(config, "application_id")
	m.ok(logical.UpdateOperation, "config", config)
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/url", link), "vault write spapi/config application_id=")
	m.ok(logical.UpdateOperation, "config", map[string]any{"application_id": testApplicationID})
	callback := m.callbackData("shop")
	m.ok(logical.DeleteOperation, "config", nil)
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", callback), "no config yet")
	m.ok(logical.UpdateOperation, "config", m.configData())
	m.ok(logical.UpdateOperation, "authorize/callback", callback) // it was not spent
}
