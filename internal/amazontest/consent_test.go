// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestConsentFromThePageToTheRefreshToken(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	path := consentPath(query("application_id", appID, "state", oddState))
	page := f.get(path)
	token := f.pageToken(page)
	require.Equal(t, "no-store", page.header.Get("Cache-Control"))
	for _, piece := range []string{
		appID, `type="radio" name="selling_partner_id" value="` + partner + `"`, `value="` + otherOne + `"`, `id="confirm"`,
	} {
		require.Contains(t, string(page.raw), piece)
	}

	code := f.redirected(f.confirm(path, token, partner), home, query("state", oddState, "selling_partner_id", partner))
	r := f.ok(codeForm(code, "redirect_uri", home))
	account, ok := f.AccountOf(r.text("access_token"))
	require.True(t, ok)
	require.Equal(t, partner, account)
	f.ok(refreshForm(r.text("refresh_token")))
	require.Equal(t, 1, f.Exchanges(partner))
	require.Equal(t, 1, f.CodeExchangesOf(partner))
	require.Zero(t, f.CodeExchangesOf(otherOne))
	f.refused(f.post(codeForm(code)), 400, "invalid_grant", invalidCode)
	require.Zero(t, f.SellingPartnerRequests(), "pages are not the SP-API's")
}

func TestConsentCodesAreBound(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	f.AddClient("other", "other-secret")
	consent := func(pairs ...string) string {
		q := query(append([]string{"application_id", appID, "state", "s"}, pairs...)...)
		to, err := f.Consent("https://sellercentral.amazon.de"+consentPath(q), partner)
		require.NoError(t, err)
		return to.Query().Get("spapi_oauth_code")
	}
	code := consent("redirect_uri", secondHome)
	foreign := codeForm(code)
	foreign.Set("client_id", "other")
	foreign.Set("client_secret", "other-secret")
	f.refused(f.post(foreign), 400, "invalid_grant", invalidCode)
	f.refused(f.post(codeForm(code, "redirect_uri", home)), 400, "invalid_grant", invalidCode)
	f.ok(codeForm(code, "redirect_uri", secondHome))

	f.refused(f.post(codeForm(consent(), "redirect_uri", secondHome)), 400, "invalid_grant", invalidCode)
	f.ok(codeForm(consent()))
	late := consent()
	f.clock.Advance(5 * time.Minute)
	f.refused(f.post(codeForm(late)), 400, "invalid_grant", invalidCode)
}

func TestConsentPageErrors(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	for name, c := range map[string]struct {
		q          url.Values
		code, text string
	}{
		"no application":     {query("state", "s"), "MD1000", "no such application"},
		"without the name":   {query(appID, "", "state", "s"), "MD1000", "no such application"},
		"client id":          {query("application_id", clientID, "state", "s"), "MD1000", "no such application"},
		"draft as published": {query("application_id", draftID, "state", "s"), "MD1000", "version=beta"},
		"unknown version":    {query("application_id", appID, "state", "s", "version", "2"), "", "no such version"},
		"empty version":      {query("application_id", draftID, "state", "s", "version", ""), "", "no such version"},
		"no URIs":            {query("application_id", bareID, "state", "s"), "MD5100", "no redirect URI"},
		"no URIs, one given": {query("application_id", bareID, "state", "s", "redirect_uri", home), "MD5100", "no redirect URI"},
		"no state":           {query("application_id", appID), "", "state is missing"},
		"empty state":        {query("application_id", appID, "state", ""), "", "state is missing"},
		"two states":         {query("application_id", appID, "state", "s", "state", "s"), "", "state is there more than once"},
		"unknown URI":        {query("application_id", appID, "state", "s", "redirect_uri", home+"/"), "MD5101", "not registered"},
		"URI in capitals":    {query("application_id", appID, "state", "s", "redirect_uri", "HTTPS"+home[5:]), "MD5101", "not registered"},
		"empty URI":          {query("application_id", appID, "state", "s", "redirect_uri", ""), "MD5101", "not registered"},
		"markup":             {query("application_id", "<i>", "state", "s"), "MD1000", "&lt;i&gt;"},
	} {
		t.Run(name, func(t *testing.T) {
			path := consentPath(c.q)
			f.errorPage(f.get(path), 400, c.code, c.text)
			f.errorPage(f.confirm(path, "", partner), 400, c.code, c.text)
			_, err := f.Consent("https://sellercentral.amazon.com"+path, partner)
			require.ErrorContains(t, err, c.code)
			if name != "markup" {
				require.ErrorContains(t, err, c.text)
			}
		})
	}
	f.errorPage(f.get("/apps/authorize/consent?state=%zz"), 400, "", "query cannot be read")
}

func TestConsentVersions(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	path := consentPath(query("application_id", draftID, "state", "s", "version", "beta"))
	f.redirected(f.confirm(path, f.pageToken(f.get(path)), partner), home,
		query("state", "s", "selling_partner_id", partner, "mws_auth_token", "there"))

	path = consentPath(query("application_id", appID, "state", "s", "version", "beta", "redirect_uri", secondHome))
	f.redirected(f.confirm(path, f.pageToken(f.get(path)), otherOne), secondHome+"&",
		query("tenant", "a b", "state", "s", "selling_partner_id", otherOne))
}

func TestConsentPageIsGoodForOneAnswerToItsRequest(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	path := consentPath(query("application_id", appID, "state", "s"))
	token := f.pageToken(f.get(path))
	require.Equal(t, http.StatusSeeOther, f.confirm(path, token, partner).status)
	f.errorPage(f.confirm(path, token, partner), 403, "", "used before")
	f.errorPage(f.confirm(path, "", partner), 403, "", "not ours")

	for name, other := range map[string]url.Values{
		"state":       query("application_id", appID, "state", "mine"),
		"target":      query("application_id", appID, "state", "s", "redirect_uri", secondHome),
		"application": query("application_id", draftID, "state", "s", "version", "beta"),
	} {
		token = f.pageToken(f.get(path))
		f.errorPage(f.confirm(consentPath(other), token, partner), 403, "", "another request")
		r := f.confirm(path, token, partner)
		require.Contains(t, string(r.raw), "used before", name)
	}

	token = f.pageToken(f.get(path))
	f.errorPage(f.confirm(path, token, "A1NOBODY"), 403, "", "no such selling partner")
	f.errorPage(f.confirm(path, token, partner), 403, "", "used before")
	f.errorPage(f.call(http.MethodPut, f.URL()+path, nil, ""), 405, "", "not allowed")
	require.Equal(t, 405, f.call(http.MethodHead, f.URL()+path, nil, "").status)
	f.AddApplication(amazontest.Application{ID: appID, ClientID: clientID, RedirectURIs: []string{secondHome}})
	f.errorPage(f.get(consentPath(query("application_id", appID, "state", "s", "redirect_uri", home))), 400, "MD5101", "")
}

func TestApplicationsAmazonDoesNotRegister(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, uri := range []string{
		"http://app.example.com/", "https://localhost/", "https://LOCALHOST:8443/", "https://app.localhost", "https://localhost./",
		"https://127.0.0.1:8443/", "https://[::1]/", "https://u:p@app.example.com/", "https://app.example.com/#x",
		"app.example.com", "/callback", "https:///callback", "https://%zz", "",
	} {
		require.Panics(t, func() {
			f.AddApplication(amazontest.Application{ID: appID, ClientID: clientID, RedirectURIs: []string{home, uri}})
		}, uri)
		if uri != "" {
			require.Panics(t, func() {
				f.AddApplication(amazontest.Application{ID: appID, ClientID: clientID, LoginURI: uri})
			}, uri)
		}
	}
	require.Panics(t, func() { f.AddApplication(amazontest.Application{ClientID: clientID}) })
	require.Panics(t, func() { f.AddApplication(amazontest.Application{ID: appID}) })
	require.Panics(t, func() { f.AddPartner("") })
	f.AddApplication(amazontest.Application{ID: appID, ClientID: clientID, RedirectURIs: []string{"https://app.example.com:8443/x?y=z"}})
}

func TestAppstoreFromTheClickToTheRefreshToken(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	for id, version := range map[string][]string{appID: nil, draftID: {"beta"}} {
		r := f.get("/appstore/" + id + "?selling_partner_id=" + partner)
		require.Equal(t, http.StatusSeeOther, r.status)
		require.Contains(t, r.header.Get("Location"), login+"&")
		u, err := url.Parse(r.header.Get("Location"))
		require.NoError(t, err)
		q := u.Query()
		require.Equal(t, "https://amazon.com/apps/authorize/confirm/"+id, q.Get("amazon_callback_uri"))
		require.Equal(t, partner, q.Get("selling_partner_id"))
		require.Equal(t, version, q["version"])
		require.Len(t, q, 4+len(version), "%v", slices.Collect(maps.Keys(q)))

		back := query("amazon_state", q.Get("amazon_state"), "state", oddState)
		want := query("state", oddState, "selling_partner_id", partner)
		if version != nil {
			back.Set("version", "beta")
			want.Set("mws_auth_token", "there")
		}
		path := "/apps/authorize/confirm/" + id + "?" + back.Encode()
		require.Equal(t, 405, f.call(http.MethodHead, f.URL()+path, nil, "").status)
		code := f.redirected(f.get(path), home, want)
		f.errorPage(f.get(path), 400, "", "amazon_state is unknown or was used")
		f.ok(refreshForm(f.ok(codeForm(code, "redirect_uri", home)).text("refresh_token")))
	}
	require.Equal(t, 2, f.Exchanges(partner))
}

func TestAppstoreErrors(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	f.errorPage(f.get("/appstore/typo?selling_partner_id="+partner), 400, "MD1000", "no such application")
	f.errorPage(f.get("/appstore/"+bareID+"?selling_partner_id="+partner), 400, "MD5100", "no login URI")
	f.errorPage(f.get("/appstore/"+appID), 403, "", "no such selling partner")
	_, err := f.AppstoreLogin("typo", partner)
	require.ErrorContains(t, err, "MD1000")

	amazonState := func(id string) string {
		to, err := f.AppstoreLogin(id, partner)
		require.NoError(t, err)
		return to.Query().Get("amazon_state")
	}
	live := amazonState(appID)
	for name, c := range map[string]struct {
		id         string
		q          url.Values
		code, text string
	}{
		"no amazon_state":      {appID, query("state", "s"), "", "amazon_state is missing"},
		"unknown amazon_state": {appID, query("state", "s", "amazon_state", "mine"), "", "is unknown or was used"},
		"two of them":          {appID, query("state", "s", "amazon_state", live, "amazon_state", live), "", "more than once"},
		"another application":  {appID, query("state", "s", "amazon_state", amazonState(draftID)), "", "is unknown or was used"},
		"no state":             {appID, query("amazon_state", live), "", "state is missing"},
		"unknown URI":          {appID, query("state", "s", "amazon_state", live, "redirect_uri", login), "MD5101", "not registered"},
		"unknown version":      {appID, query("state", "s", "amazon_state", live, "version", "x"), "", "no such version"},
		"draft as published":   {draftID, query("state", "s", "amazon_state", amazonState(draftID)), "MD1000", "version=beta"},
		"unknown application":  {"typo", query("state", "s", "amazon_state", live), "MD1000", "no such application"},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/apps/authorize/confirm/" + c.id + "?" + c.q.Encode()
			f.errorPage(f.get(path), 400, c.code, c.text)
			_, err := f.Consent("https://amazon.com"+path, partner)
			require.ErrorContains(t, err, c.code)
			require.ErrorContains(t, err, c.text)
		})
	}
	path := "/apps/authorize/confirm/" + appID + "?" + query("state", "s", "amazon_state", live, "redirect_uri", secondHome).Encode()
	f.redirected(f.get(path), secondHome+"&", query("tenant", "a b", "state", "s", "selling_partner_id", partner))
}

func TestVisitorInProcess(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	path := consentPath(query("application_id", appID, "state", oddState))
	for _, base := range []string{
		f.URL(), "https://sellercentral-europe.amazon.com", "https://vendorcentral.amazon.com.be", "https://www.vendorcentral.in",
	} {
		to, err := f.Consent(base+path, partner)
		require.NoError(t, err)
		f.ok(codeForm(f.arrived(to.String(), home, query("state", oddState, "selling_partner_id", partner))))
	}
	for _, bad := range []string{
		"https://sellercentral.example.com" + path, "http://sellercentral.amazon.com" + path, "https://amazon.com" + path,
		"https://sellercentral.amazon.com:444" + path, "https://sellercentral.amazon.com/apps/authorize/typo?state=" + oddState,
		f.URL() + "/appstore/" + appID, "https://amazon.com/appstore/" + appID, "https://%zz?state=" + oddState,
		"https://sellercentral.amazon.com" + path + "&x=%zz",
	} {
		_, err := f.Consent(bad, partner)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "state with")
	}
	_, err := f.Consent(f.URL()+path, "A1NOBODY")
	require.ErrorContains(t, err, "no such selling partner")

	for _, base := range []string{"https://amazon.com", f.URL()} {
		to, err := f.AppstoreLogin(appID, partner)
		require.NoError(t, err)
		back := "/apps/authorize/confirm/" + appID + "?" +
			query("state", oddState, "amazon_state", to.Query().Get("amazon_state")).Encode()
		_, err = f.Consent("https://sellercentral.amazon.com"+back, partner)
		require.ErrorContains(t, err, "no page")
		_, err = f.Consent(base+back, otherOne)
		require.ErrorContains(t, err, "another selling partner")
		to, err = f.Consent(base+back, partner)
		require.NoError(t, err)
		f.ok(codeForm(f.arrived(to.String(), home, query("state", oddState, "selling_partner_id", partner))))
	}
}

func TestRacingAnswersOfOnePage(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	path := consentPath(query("application_id", appID, "state", "s"))
	token := f.pageToken(f.get(path))
	statuses := make(chan int, 8)
	for range cap(statuses) {
		go func() {
			form := query("page_token", token, "selling_partner_id", partner)
			res, err := f.http.PostForm(f.URL()+path, form)
			if err != nil {
				statuses <- 0
				return
			}
			_ = res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	got := map[int]int{}
	for range cap(statuses) {
		got[<-statuses]++
	}
	require.Equal(t, map[int]int{303: 1, 403: 7}, got)
}
