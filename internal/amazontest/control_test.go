// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func (f *fixture) control(method, path, body string) result {
	f.t.Helper()
	return f.call(method, f.ControlURL()+path, nil, body)
}

func (f *fixture) controlled(method, path, body string) result {
	f.t.Helper()
	r := f.control(method, path, body)
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	require.Equal(f.t, "application/json", r.header.Get("Content-Type"))
	return r
}

func TestControlFaults(t *testing.T) {
	t.Parallel()
	f := start(t)
	two := f.Authorize(clientID, "seller-two")
	f.controlled(http.MethodPost, "/fault", `{"kind":"throttled","account":"seller-one","times":1,"retry_after":"9"}`)
	f.ok(refreshForm(two))
	require.Equal(t, "9", f.post(refreshForm(f.refresh)).header.Get("Retry-After"))
	f.ok(refreshForm(f.refresh))

	f.controlled(http.MethodPost, "/fault", `{"kind":"server_error","delay":"1ms"}`)
	require.Equal(t, 500, f.post(refreshForm(two)).status)
	f.controlled(http.MethodDelete, "/fault", "")
	f.ok(refreshForm(two))

	f.controlled(http.MethodPost, "/fault", `{"kind":"changed_refresh_token","changed":"Atzr|x"}`)
	require.Equal(t, "Atzr|x", f.ok(refreshForm(two)).text("refresh_token"))
}

func TestControlKnowsEveryFault(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, kind := range amazontest.Faults() {
		f.controlled(http.MethodPost, "/fault", `{"kind":"`+string(kind)+`","delay":"1ms"}`)
	}
}

func TestControlLifetime(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.controlled(http.MethodPost, "/lifetime", `{"seconds":75}`)
	require.InDelta(t, 75, f.ok(refreshForm(f.refresh)).body["expires_in"], 0)
}

func TestControlRestricted(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	f.controlled(http.MethodPost, "/restricted/lifetime", `{"seconds":75}`)
	require.InDelta(t, 75, f.restrict(seller, resources("GET", addressOfAny)).body["expiresIn"], 0)

	f.controlled(http.MethodPost, "/restricted/deny", `{"data_elements":["buyerInfo"]}`)
	f.spError(f.restrict(seller, resources("GET", ordersPath, "buyerInfo")), 400, "InvalidInput", noAccessText+"[buyerInfo]", "")
	f.controlled(http.MethodPost, "/restricted/deny", "")
	f.restricted(seller, resources("GET", ordersPath, "buyerInfo"))

	f.restricted(seller, resources("GET", documents+"/one"))
	f.controlled(http.MethodPost, "/restricted/deny-document", `{"id":"one"}`)
	f.spError(f.restrict(seller, resources("GET", documents+"/one")), 400, "InvalidInput", noDocumentText, "")
}

func TestControlAuthorizations(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.controlled(http.MethodPost, "/authorize", `{"account":"seller-two"}`)
	require.Equal(t, "seller-two", r.text("account"))
	f.ok(refreshForm(r.text("refresh_token")))
	f.controlled(http.MethodPost, "/revoke", `{"account":"seller-two"}`)
	f.refused(f.post(refreshForm(r.text("refresh_token"))), 400, "invalid_grant", revokedText)

	r = f.controlled(http.MethodPost, "/code", `{"account":"seller-two","redirect_uri":"https://example.com/"}`)
	f.ok(with("grant_type", "authorization_code", "code", r.text("spapi_oauth_code"), "redirect_uri", "https://example.com/"))

	f.AddClient("other", "secret")
	r = f.control(http.MethodPost, "/authorize", `{"account":"seller-two"}`)
	require.Equal(t, 400, r.status)
	require.Contains(t, r.text("error"), "client_id is missing")
	f.controlled(http.MethodPost, "/authorize", `{"account":"seller-two","client_id":"other"}`)
}

func TestControlConsent(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	const id = "amzn1.sp.solution.new"
	f.controlled(http.MethodPost, "/application",
		`{"id":"`+id+`","redirect_uris":["`+home+`"],"login_uri":"`+login+`","draft":true,"hybrid":true}`)
	f.controlled(http.MethodPost, "/partner", `{"selling_partner_id":"A1NEW"}`)
	to, err := f.Consent(f.URL()+consentPath(query("application_id", id, "state", "s", "version", "beta")), "A1NEW")
	require.NoError(t, err)
	f.controlled(http.MethodPost, "/fault", `{"kind":"server_error","account":"A1NEW","times":1,"spend":true}`)
	form := codeForm(f.arrived(to.String(), home, query("state", "s", "selling_partner_id", "A1NEW", "mws_auth_token", "there")))
	require.Equal(t, 500, f.post(form).status)
	f.refused(f.post(form), 400, "invalid_grant", invalidCode)
	_, err = f.AppstoreLogin(id, "A1NEW")
	require.NoError(t, err)
}

func TestControlStats(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.restricted(f.seller(), resources("GET", addressOfAny))
	f.ok(scopeForm(amazontest.ScopeRotation))
	require.JSONEq(t, `{"exchanges":{"seller-one":1},"grantless_exchanges":1,"code_exchanges":0,"requests":2,
		"in_flight":0,"max_in_flight":1,"redirects_followed":0,"selling_partner_requests":1,"migration_calls":0,
		"restricted_calls":{"seller-one":1}}`,
		string(f.controlled(http.MethodGet, "/stats", "").raw))
}

func TestControlRefusesWithAClearMessage(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, c := range map[string]struct{ path, body, want string }{
		"unknown kind":      {"/fault", `{"kind":"typo"}`, `unknown fault kind "typo", known are: server_error_html, `},
		"no kind":           {"/fault", ``, `unknown fault kind ""`},
		"unknown field":     {"/fault", `{"kind":"hang","tims":1}`, `unknown field "tims"`},
		"negative times":    {"/fault", `{"kind":"hang","times":-1}`, "times is -1"},
		"bad delay":         {"/fault", `{"kind":"delay","delay":"soon"}`, "bad delay"},
		"delay without":     {"/fault", `{"kind":"delay"}`, "needs a delay"},
		"fault of nobody":   {"/fault", `{"kind":"hang","account":"nobody"}`, `no account "nobody"`},
		"not JSON":          {"/fault", `kind=hang`, "bad body"},
		"two values":        {"/fault", `{"kind":"hang"}{}`, "more than one JSON value"},
		"too large":         {"/fault", `{"kind":"` + strings.Repeat("x", 64<<10) + `"}`, "too large"},
		"no lifetime":       {"/lifetime", `{}`, "seconds is 0"},
		"endless lifetime":  {"/lifetime", `{"seconds":9223372036854775807}`, "must be 1 to"},
		"no account":        {"/authorize", `{}`, "account is missing"},
		"unknown client":    {"/authorize", `{"account":"a","client_id":"x"}`, `no client "x"`},
		"code of nobody":    {"/code", `{"redirect_uri":"https://example.com"}`, "account is missing"},
		"revoke of nobody":  {"/revoke", `{"account":"nobody"}`, `no account "nobody"`},
		"revoke of nothing": {"/revoke", `{}`, `no account ""`},
		"no application id": {"/application", `{}`, "no application id"},
		"http redirect":     {"/application", `{"id":"a","redirect_uris":["http://app.example.com/"]}`, "must be https"},
		"client of nobody":  {"/application", `{"id":"a","client_id":"x"}`, `no client "x"`},
		"no partner":        {"/partner", `{}`, "selling_partner_id is missing"},
		"unknown element":   {"/restricted/deny", `{"data_elements":["buyer"]}`, `unknown data element "buyer", known are: buyerInfo, `},
		"no document":       {"/restricted/deny-document", `{}`, "id is missing"},
		"no RDT lifetime":   {"/restricted/lifetime", `{}`, "seconds is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.control(http.MethodPost, c.path, c.body)
			require.Equal(t, http.StatusBadRequest, r.status)
			require.Contains(t, r.text("error"), c.want)
		})
	}
	require.Equal(t, 400, f.control(http.MethodDelete, "/fault", `{"kind":"hang"}`).status)
	require.Equal(t, 405, f.control(http.MethodGet, "/fault", "").status)
	require.Equal(t, 404, f.control(http.MethodPost, "/typo", "").status)
	f.ok(refreshForm(f.refresh))
	require.Equal(t, 1, f.Requests(), "the control API is not counted")
}
