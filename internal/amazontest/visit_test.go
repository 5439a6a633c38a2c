// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	appID      = "amzn1.sp.solution.00000000-0000-4000-8000-000000000001"
	draftID    = "amzn1.sp.solution.00000000-0000-4000-8000-000000000002"
	bareID     = "amzn1.sp.solution.00000000-0000-4000-8000-000000000003"
	partner    = "A1SELLERONE00"
	otherOne   = "A1SELLERTWO00"
	home       = "https://app.example.com/callback"
	secondHome = "https://app.example.com/second?tenant=a%20b"
	login      = "https://app.example.com/login?from=appstore"
	oddState   = "state with +&=%|é"
)

// startConsent is start with applications and selling partners; redirects are
// not followed.
func startConsent(t *testing.T) *fixture {
	t.Helper()
	f := start(t)
	f.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.AddApplication(amazontest.Application{
		ID: appID, ClientID: clientID, RedirectURIs: []string{home, secondHome}, LoginURI: login,
	})
	f.AddApplication(amazontest.Application{
		ID: draftID, ClientID: clientID, RedirectURIs: []string{home}, LoginURI: login, Draft: true, Hybrid: true,
	})
	f.AddApplication(amazontest.Application{ID: bareID, ClientID: clientID})
	f.AddPartner(partner)
	f.AddPartner(otherOne)
	return f
}

func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return q
}

func consentPath(q url.Values) string { return "/apps/authorize/consent?" + q.Encode() }

func (f *fixture) get(path string) result {
	f.t.Helper()
	return f.call(http.MethodGet, f.URL()+path, nil, "")
}

func (f *fixture) confirm(path, token, sellingPartnerID string) result {
	f.t.Helper()
	form := query("page_token", token, "selling_partner_id", sellingPartnerID)
	return f.call(http.MethodPost, f.URL()+path, http.Header{"Content-Type": {formType}}, form.Encode())
}

// pageToken reads the form, as a browser does.
func (f *fixture) pageToken(r result) string {
	f.t.Helper()
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	found := regexp.MustCompile(`name="page_token" value="([^"]+)"`).FindSubmatch(r.raw)
	require.NotNil(f.t, found)
	return string(found[1])
}

func (f *fixture) errorPage(r result, status int, code, text string) {
	f.t.Helper()
	require.Equal(f.t, status, r.status, "%s", r.raw)
	require.Contains(f.t, r.header.Get("Content-Type"), "text/html")
	require.Contains(f.t, string(r.raw), text)
	if code == "" {
		require.NotContains(f.t, string(r.raw), "error-code")
	} else {
		require.Contains(f.t, string(r.raw), `<code id="error-code">`+code+`</code>`)
	}
}

// redirected checks where a browser is sent, but for the code, which it returns.
func (f *fixture) redirected(r result, base string, want url.Values) (code string) {
	f.t.Helper()
	require.Equal(f.t, http.StatusSeeOther, r.status, "%s", r.raw)
	return f.arrived(r.header.Get("Location"), base, want)
}

func (f *fixture) arrived(location, base string, want url.Values) (code string) {
	f.t.Helper()
	require.Equal(f.t, base, location[:len(base)], "what is registered is left as it is")
	u, err := url.Parse(location)
	require.NoError(f.t, err)
	q := u.Query()
	code = q.Get("spapi_oauth_code")
	require.Regexp(f.t, `^[A-Za-z0-9]{20}$`, code)
	q.Del("spapi_oauth_code")
	if q.Has("mws_auth_token") {
		require.Regexp(f.t, `^amzn\.mws\.[0-9a-f-]{36}$`, q.Get("mws_auth_token"))
		q.Set("mws_auth_token", "there")
	}
	require.Equal(f.t, want, q)
	return code
}

func codeForm(code string, more ...string) url.Values {
	return with(append([]string{"grant_type", "authorization_code", "code", code}, more...)...)
}

const invalidCode = "The request has an invalid grant parameter : code"
