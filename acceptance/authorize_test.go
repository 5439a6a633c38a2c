// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	redirectURI = "https://app.example/callback"
	loginURI    = "https://app.example/login"
	// onePartner and anotherPartner are selling partners who can sign in.
	onePartner, anotherPartner = "A1EXAMPLE2345", "A2EXAMPLE6789"
)

// newConsentMount is newMount with an application to which selling partners can
// consent.
func (s *stage) newConsentMount(t *testing.T, config ...any) *mount {
	t.Helper()
	m := s.newBareMount(t, strings.ToLower(t.Name()))
	m.offerConsent()
	m.writeConfig(t, append([]any{"application_id", m.applicationID(), "redirect_uri", redirectURI}, config...)...)
	return m
}

func (m *mount) applicationID() string { return "amzn1.sp.solution." + m.path }

func (m *mount) offerConsent() {
	m.amazon.AddApplication(amazontest.Application{ID: m.applicationID(), ClientID: m.clientID, RedirectURIs: []string{redirectURI}, LoginURI: loginURI})
	m.amazon.AddPartner(onePartner)
	m.amazon.AddPartner(anotherPartner)
}

// begin asks for a link for an account.
func (v vault) begin(t *testing.T, account string, more ...any) *answer {
	t.Helper()
	return v.ok(t, http.MethodPost, "authorize/url", with(map[string]any{"account": account, "marketplace": "US"}, more...))
}

// consent is what a partner's browser brings back from the link.
func (m *mount) consent(t *testing.T, link, partner string) map[string]any {
	t.Helper()
	redirect, err := m.amazon.Consent(link, partner)
	require.NoError(t, err)
	return callbackOf(redirect)
}

func callbackOf(redirect *url.URL) map[string]any {
	callback := map[string]any{}
	for name, values := range redirect.Query() {
		callback[name] = values[0]
	}
	return callback
}

// Of callbacks that race with one state, one is answered 200, the others 400, and
// there is one account.
func TestRacingCallbacks(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	callback := m.consent(t, m.begin(t, "shop").text("url"), onePartner)
	release := m.amazon.Hold()
	defer release()
	const racers = 8
	answers := make(chan result, racers)
	var racing sync.WaitGroup
	for range racers {
		racing.Go(func() {
			a, err := m.send(t.Context(), http.MethodPost, "authorize/callback", callback)
			answers <- result{a, err}
		})
	}
	for range racers - 1 {
		loser := <-answers
		require.NoError(t, loser.err)
		require.Equal(t, http.StatusBadRequest, loser.Status, "%s", loser.Raw)
		require.True(t, loser.complained("the state was used before"), "%s", loser.Raw)
	}
	release()
	winner := <-answers
	racing.Wait()
	require.NoError(t, winner.err)
	require.Equal(t, http.StatusOK, winner.Status, "%s", winner.Raw)
	require.Equal(t, 1, m.amazon.CodeExchanges())
	require.Equal(t, []any{"shop"}, m.ok(t, "LIST", "accounts", nil).Data["keys"])
	owner, live := m.amazon.AccountOf(m.ok(t, http.MethodGet, "token/shop", nil).accessToken())
	require.True(t, live)
	require.Equal(t, onePartner, owner)
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", callback, "the state is unknown")
}

// An authorization says when it lapses, and reads warn a month before.
func TestAuthorizationLapses(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	a := m.ok(t, http.MethodPost, "authorize/callback", m.consent(t, m.begin(t, "shop", "marketplace", "JP", "metadata", map[string]any{"team": "orders"}).text("url"), onePartner))
	require.Len(t, a.Data, 5, "%s", a.Raw)
	require.Empty(t, a.LeaseID)
	authorized, err := time.Parse(time.RFC3339, a.text("authorized_at"))
	require.NoError(t, err)
	lapses := authorized.Add(365 * 24 * time.Hour).Format(time.RFC3339)
	require.Equal(t, lapses, a.text("authorization_expires_at"))
	require.Equal(t, "fe", m.ok(t, http.MethodGet, "accounts/shop", nil).text("region"))
	require.False(t, m.ok(t, http.MethodGet, "token/shop", nil).warned("authorization"))

	soon := time.Now().Add(20 * 24 * time.Hour).UTC().Format(time.RFC3339)
	m.ok(t, http.MethodPost, "accounts/shop", map[string]any{"authorization_expires_at": soon})
	for _, path := range []string{"token/shop", "accounts/shop"} {
		require.True(t, m.ok(t, http.MethodGet, path, nil).warned("in 19 days"), path)
	}
	query := url.Values{"limit": {"10"}, "expires_before": {time.Now().Add(30 * 24 * time.Hour).UTC().Format(time.RFC3339)}}
	require.Equal(t, []any{"shop"}, m.ok(t, "LIST", "accounts/?"+query.Encode(), nil).Data["keys"])
	query.Set("status", "disabled")
	m.refused(t, http.StatusNotFound, "LIST", "accounts/?"+query.Encode(), nil)
	query.Del("limit")
	m.refused(t, http.StatusBadRequest, "LIST", "accounts/?"+query.Encode(), nil, `"limit"`)
}

func TestCallbackThatComesLate(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	begun := m.begin(t, "shop", "state_ttl", "1s")
	callback := m.consent(t, begun.text("url"), onePartner)
	expires, err := time.Parse(time.RFC3339, begun.text("expires_at"))
	require.NoError(t, err)
	waitFor(t, "the state to expire", func() bool { return time.Now().After(expires) })
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", callback, "the state expired at "+begun.text("expires_at"), "authorize/url")

	callback = m.consent(t, m.begin(t, "shop").text("url"), onePartner)
	m.ageAmazon(5 * time.Minute)
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", callback, "invalid_grant", "within 5 minutes", "authorize/url")
	m.refused(t, http.StatusNotFound, http.MethodGet, "accounts/shop", nil)
}

// What Amazon did not look at can be sent again.
func TestCallbackWhileAmazonIsDown(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	callback := m.consent(t, m.begin(t, "shop").text("url"), onePartner)
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	m.refused(t, http.StatusServiceUnavailable, http.MethodPost, "authorize/callback", callback, "can be used again until")
	m.amazon.ClearFaults()
	m.ok(t, http.MethodPost, "authorize/callback", callback)
}

// A state that was stolen is of no use to another seller, and neither is a code of
// another's.
func TestStolenState(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	link := m.begin(t, "shop", "selling_partner_id", onePartner).text("url")
	stolen := m.consent(t, link, anotherPartner)
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", stolen, "selling_partner_id")
	own := m.consent(t, m.begin(t, "own").text("url"), anotherPartner)
	// The forged id makes no difference any more: the first attempt spent the state.
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback",
		map[string]any{"state": stolen["state"], "spapi_oauth_code": own["spapi_oauth_code"], "selling_partner_id": onePartner}, "the state is unknown")
	require.Zero(t, m.amazon.CodeExchanges())
	m.refused(t, http.StatusNotFound, http.MethodGet, "accounts/shop", nil)
}

// A public site with the example's policy can do what it is for, and nothing else.
func TestPublicSite(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	m.addAccount(t, "acme", "selling_partner_id", onePartner)
	before := m.ok(t, http.MethodGet, "accounts/acme", nil).Data
	lease := m.token(t, "acme").LeaseID
	site := m.withPolicy(t, m.writePolicy(t, "site", example(t, "onboarding/site.hcl")))

	callback := m.consent(t, site.begin(t, "shop").text("url"), anotherPartner)
	site.ok(t, http.MethodPost, "authorize/callback", callback)
	for _, request := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "accounts/acme", nil},
		{http.MethodGet, "accounts/shop", nil},
		{http.MethodPost, "accounts/shop", map[string]any{"enabled": false}},
		{http.MethodDelete, "accounts/shop", nil},
		{"LIST", "accounts/", nil},
		{http.MethodGet, "token/acme", nil},
		{http.MethodGet, "token/shop", nil},
		{http.MethodGet, "config", nil},
		{http.MethodPost, "migrate/acme", map[string]any{"selling_partner_id": onePartner}},
		{http.MethodGet, "info", nil},
	} {
		site.refused(t, http.StatusForbidden, request.method, request.path, request.body, "permission denied")
	}
	site.sys().refused(t, http.StatusForbidden, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": lease}, "permission denied")

	// Nor can it take an account over, whatever it sends.
	for _, partner := range []string{"", onePartner, anotherPartner} {
		fields := map[string]any{"account": "acme", "marketplace": "US"}
		if partner != "" {
			fields["selling_partner_id"] = partner
		}
		site.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/url", fields, "exists already")
		for _, denied := range []string{"reauthorize", "force"} {
			for _, value := range []any{true, false, "true", 1} {
				site.refused(t, http.StatusForbidden, http.MethodPost, "authorize/url", with(fields, denied, value), "permission denied")
				delete(fields, denied)
			}
		}
	}
	// Not with a link that was begun before the account came, either.
	callback = m.consent(t, site.begin(t, "late").text("url"), anotherPartner)
	m.addAccount(t, "late")
	late := m.ok(t, http.MethodGet, "accounts/late", nil).Data
	site.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", callback, "exists already")
	require.Equal(t, late, m.ok(t, http.MethodGet, "accounts/late", nil).Data)
	require.Equal(t, before, m.ok(t, http.MethodGet, "accounts/acme", nil).Data)
}

// A site for renewals may replace an authorization, by the account's own partner.
func TestRenewalSite(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	m.addAccount(t, "acme", "selling_partner_id", onePartner, "token_min_ttl", "20m")
	site := m.withPolicy(t, m.writePolicy(t, "renewals", example(t, "onboarding/renewals.hcl")))
	site.refused(t, http.StatusForbidden, http.MethodPost, "authorize/url", map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true, "force": true}, "permission denied")
	site.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/url", map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true, "selling_partner_id": anotherPartner}, "selling_partner_id")
	before := m.ok(t, http.MethodGet, "accounts/acme", nil)
	other := m.consent(t, site.begin(t, "acme", "reauthorize", true).text("url"), anotherPartner)
	site.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", other, "selling_partner_id")
	site.ok(t, http.MethodPost, "authorize/callback", m.consent(t, site.begin(t, "acme", "reauthorize", true).text("url"), onePartner))
	after := m.ok(t, http.MethodGet, "accounts/acme", nil)
	require.NotEqual(t, before.text("refresh_token_fingerprint"), after.text("refresh_token_fingerprint"))
	require.Equal(t, before.text("token_min_ttl"), after.text("token_min_ttl"))
	require.NotEmpty(t, after.text("authorization_expires_at"))
}

func TestMigrationIsGone(t *testing.T) {
	t.Parallel()
	m := shared.newConsentMount(t)
	mws := map[string]any{"selling_partner_id": onePartner, "developer_id": "1234-5678", "mws_auth_token": "amzn.mws.1"}
	m.refused(t, http.StatusBadRequest, http.MethodPost, "migrate/shop", mws, "Amazon removed the migration of MWS authorizations on 2024-03-27", "vault write "+m.path+"/authorize/url account=shop")
	m.amazon.OfferMigration(m.clientID, onePartner, "1234-5678", "amzn.mws.1")
	m.ok(t, http.MethodPost, "config", map[string]any{"sp_api_endpoint": m.amazon.SPAPIEndpoint()})
	require.Equal(t, onePartner, m.ok(t, http.MethodPost, "migrate/shop", mws).text("selling_partner_id"))
	require.NotEmpty(t, m.ok(t, http.MethodGet, "token/shop", nil).accessToken())
}
