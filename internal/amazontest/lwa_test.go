// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestRefreshGrantAnswersAsRecorded(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.ok(refreshForm(f.refresh))

	require.Len(t, r.raw, 806, "the recorded length")
	require.Equal(t, []string{"access_token", "expires_in", "refresh_token", "token_type"}, slices.Sorted(maps.Keys(r.body)))
	require.Len(t, r.text("access_token"), 352)
	require.True(t, strings.HasPrefix(r.text("access_token"), "Atza|"))
	require.True(t, strings.HasPrefix(f.refresh, "Atzr|"))
	require.Equal(t, f.refresh, r.text("refresh_token"))
	require.Equal(t, "bearer", r.text("token_type"))
	require.InDelta(t, 3600, r.body["expires_in"], 0)

	require.Equal(t, "Server", r.header.Get("Server"))
	require.Equal(t, "application/json;charset=UTF-8", r.header.Get("Content-Type"))
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, r.header.Get("X-Amzn-RequestId"))
	require.Equal(t, "Sat, 01 Mar 2025 12:00:00 GMT", r.header.Get("X-Amz-Date"))
	require.NotEmpty(t, r.header.Get("X-Amz-Rid"))
	require.Equal(t, "no-cache, no-store, must-revalidate", r.header.Get("Cache-Control"))
	require.Equal(t, "no-cache", r.header.Get("Pragma"))
	require.Equal(t, "Content-Type,Accept-Encoding,User-Agent", r.header.Get("Vary"))
	require.Equal(t, "max-age=47474747; includeSubDomains; preload", r.header.Get("Strict-Transport-Security"))
	require.Empty(t, r.header.Get("X-Amzn-Errortype"))
}

func TestEveryAccessTokenKeepsItsOwnHour(t *testing.T) {
	t.Parallel()
	f := start(t)
	first := f.ok(refreshForm(f.refresh)).text("access_token")
	f.clock.Advance(30 * time.Minute)
	second := f.ok(refreshForm(f.refresh)).text("access_token")
	require.NotEqual(t, first, second)

	for _, token := range []string{first, second} {
		account, ok := f.AccountOf(token)
		require.True(t, ok)
		require.Equal(t, "seller-one", account)
	}
	f.clock.Advance(30 * time.Minute)
	_, ok := f.AccountOf(first)
	require.False(t, ok, "expired to the second")
	_, ok = f.AccountOf(second)
	require.True(t, ok)

	f.SetTokenLifetime(90 * time.Second)
	r := f.ok(refreshForm(f.refresh))
	require.InDelta(t, 90, r.body["expires_in"], 0)
	f.clock.Advance(90 * time.Second)
	_, ok = f.AccountOf(r.text("access_token"))
	require.False(t, ok)
}

func TestGrantlessGrantAnswersAsRecorded(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.ok(scopeForm(amazontest.ScopeNotifications))
	require.Len(t, r.raw, 454, "the recorded length")
	require.Equal(t, []string{"access_token", "expires_in", "scope", "token_type"}, slices.Sorted(maps.Keys(r.body)))
	require.Equal(t, amazontest.ScopeNotifications, r.text("scope"))

	token := r.text("access_token")
	_, ok := f.AccountOf(token)
	require.False(t, ok, "a grantless token is nobody's")
	scopes, ok := f.ScopesOf(token)
	require.True(t, ok)
	require.Equal(t, []string{amazontest.ScopeNotifications}, scopes)
	f.clock.Advance(time.Hour)
	_, ok = f.ScopesOf(token)
	require.False(t, ok)
}

func TestScopes(t *testing.T) {
	t.Parallel()
	f := start(t)
	const invalid = "The request has an invalid parameter : scope"
	both := amazontest.ScopeNotifications + " " + amazontest.ScopeRotation
	require.Equal(t, both, f.ok(scopeForm(both)).text("scope"))
	f.refused(f.post(scopeForm(amazontest.ScopeNotifications+" typo")), 400, "invalid_scope", invalid)
	f.refused(f.post(scopeForm("sellingpartnerapi::migration")), 400, "invalid_scope", invalid)
	f.refused(f.post(scopeForm(" ")), 400, "invalid_scope", invalid)

	f.AllowScopes(clientID, "sellingpartnerapi::migration")
	f.ok(scopeForm("sellingpartnerapi::migration"))
	f.refused(f.post(scopeForm(amazontest.ScopeNotifications)), 400, "invalid_scope", invalid)
}

func TestBodiesAmazonUnderstands(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := refreshForm(f.refresh).Encode()
	asJSON, err := json.Marshal(map[string]any{
		"grant_type": "refresh_token", "refresh_token": f.refresh, "client_id": clientID, "client_secret": clientSecret,
		"scope": nil, "redirect_uri": "", "surplus": []int{1}, "other": 7,
	})
	require.NoError(t, err)
	for name, c := range map[string]struct{ contentType, body string }{
		"form":              {formType, form},
		"form with charset": {formType + ";charset=UTF-8", form},
		"form with raw |":   {formType, strings.ReplaceAll(form, "%7C", "|")},
		"form with surplus": {formType, form + "&scope=&state=x"},
		"json":              {"application/json", string(asJSON)},
		"json with charset": {"Application/JSON; charset=utf-8", string(asJSON)},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.do(t.Context(), c.contentType, c.body)
			require.NoError(t, r.err)
			require.Equal(t, http.StatusOK, r.status, "%s", r.raw)
		})
	}
}

func TestBodiesAmazonDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := refreshForm(f.refresh).Encode()
	for name, c := range map[string]struct{ contentType, body string }{
		"empty":                  {formType, ""},
		"no content type":        {"", form},
		"wrong content type":     {"text/plain", form},
		"broken content type":    {"application/", form},
		"multipart":              {"multipart/form-data; boundary=x", "--x--"},
		"json sent as form":      {formType, `{"grant_type":"refresh_token"}`},
		"form sent as json":      {"application/json", form},
		"json array":             {"application/json", `["refresh_token"]`},
		"json null":              {"application/json", `null`},
		"two json values":        {"application/json", `{"grant_type":"refresh_token"}{}`},
		"broken escape":          {formType, form + "&x=%zz"},
		"no grant type":          {formType, with("refresh_token", f.refresh).Encode()},
		"empty grant type":       {formType, with("grant_type", "").Encode()},
		"unknown grant type":     {formType, with("grant_type", "password").Encode()},
		"grant type in capitals": {formType, with("grant_type", "REFRESH_TOKEN").Encode()},
	} {
		t.Run(name, func(t *testing.T) {
			f.refused(f.do(t.Context(), c.contentType, c.body), 400, "unsupported_grant_type", unsupportedText)
		})
	}
}

func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := refreshForm(f.refresh).Encode()
	for name, c := range map[string]struct{ contentType, body string }{
		"duplicate parameter": {formType, form + "&client_id=" + clientID},
		"duplicate surplus":   {formType, form + "&x=1&x=1"},
		"json number":         {"application/json", `{"grant_type":"refresh_token","refresh_token":7}`},
		"too large":           {formType, form + "&x=" + strings.Repeat("x", 64<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			f.refused(f.do(t.Context(), c.contentType, c.body), 400, "invalid_request", "Malformed request")
		})
	}
}

func TestErrorsHaveAmazonsShape(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.post(url.Values{})
	require.Equal(t, []string{"error", "error_description", "error_index", "request_id"}, slices.Sorted(maps.Keys(r.body)))
	require.Equal(t, r.header.Get("X-Amzn-RequestId"), r.text("request_id"))
	require.Regexp(t, `^[A-Za-z0-9_-]+$`, r.text("error_index"))
	require.Equal(t, "OA2UnsupportedGrantTypeException:http://internal.amazon.com/coral/com.amazon.panda/",
		r.header.Get("X-Amzn-Errortype"))
	require.Equal(t, "application/json;charset=UTF-8", r.header.Get("Content-Type"))
	require.Equal(t, "no-cache, no-store, must-revalidate", r.header.Get("Cache-Control"))

	again := f.post(url.Values{})
	require.NotEqual(t, r.text("request_id"), again.text("request_id"))
}

func TestRequiredParametersComeBeforeTheClient(t *testing.T) {
	t.Parallel()
	f := start(t)
	for grant, names := range map[string][]string{
		"refresh_token":      {"refresh_token", "client_id", "client_secret"},
		"authorization_code": {"code", "client_id", "client_secret"},
		"client_credentials": {"scope", "client_id", "client_secret"},
	} {
		full := url.Values{"grant_type": {grant}}
		for _, name := range names {
			full.Set(name, "nonsense")
		}
		for _, name := range names {
			form := maps.Clone(full)
			form.Del(name)
			f.refused(f.post(form), 400, "invalid_request", missingText+name)
			form.Set(name, "")
			f.refused(f.post(form), 400, "invalid_request", missingText+name)
		}
		f.refused(f.post(full), 401, "invalid_client", "Client authentication failed")
	}
}

func TestClientComesBeforeTheGrantAndTheGrantBeforeNothing(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := refreshForm("Atzr|nobody")
	form.Set("client_secret", "wrong")
	f.refused(f.post(form), 401, "invalid_client", "Client authentication failed")
	form = scopeForm("typo")
	form.Set("client_id", "amzn1.sp.solution.0")
	f.refused(f.post(form), 401, "invalid_client", "Client authentication failed")

	f.refused(f.post(refreshForm("Atzr|nobody")), 400, "invalid_grant",
		"The request has an invalid grant parameter : refresh_token")

	f.AddClient("other", "other-secret")
	foreign := f.Authorize("other", "seller-two")
	f.refused(f.post(refreshForm(foreign)), 400, "unauthorized_client", "Not authorized for requested operation")
	require.Equal(t, 1, f.Exchanges("seller-two"), "counted whatever the outcome")
}

func TestRevokedAuthorization(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.AddRefreshToken(clientID, "seller-one", "Atzr|chosen")
	f.AddRefreshToken(clientID, "seller-two", "Atzr|two")
	token := f.ok(refreshForm("Atzr|chosen")).text("access_token")
	f.RevokeAuthorization("seller-one")
	for _, refresh := range []string{f.refresh, "Atzr|chosen"} {
		f.refused(f.post(refreshForm(refresh)), 400, "invalid_grant", revokedText)
	}
	f.ok(refreshForm("Atzr|two"))
	_, ok := f.AccountOf(token)
	require.True(t, ok, "no revocation of access tokens is documented")
	f.ok(refreshForm(f.Authorize(clientID, "seller-one")))
}

func TestSecretsOverlapForSevenDays(t *testing.T) {
	t.Parallel()
	f := start(t)
	try := func(secret string) int {
		form := refreshForm(f.refresh)
		form.Set("client_secret", secret)
		return f.post(form).status
	}
	require.Equal(t, 401, try("second"))
	f.RotateSecret(clientID, "second")
	f.clock.Advance(7*24*time.Hour - time.Second)
	require.Equal(t, 200, try(clientSecret))
	require.Equal(t, 200, try("second"))

	f.RotateSecret(clientID, "third")
	f.clock.Advance(time.Second)
	require.Equal(t, 401, try(clientSecret), "a second rotation does not prolong the first secret")
	require.Equal(t, 200, try("second"))
	require.Equal(t, 200, try("third"))

	f.ExpireSecret(clientID, "third")
	require.Equal(t, 401, try("third"))
	require.Equal(t, 200, try("second"))
	f.RotateSecret("nobody", "x")
	f.ExpireSecret("nobody", "x")
	f.AllowScopes("nobody", "x")
}

func TestCodes(t *testing.T) {
	t.Parallel()
	f := start(t)
	const home = "https://example.com/callback"
	const invalid = "The request has an invalid grant parameter : code"
	form := func(code string, more ...string) url.Values {
		return with(append([]string{"grant_type", "authorization_code", "code", code}, more...)...)
	}

	code := f.NewCode(clientID, "seller-new", home)
	require.Regexp(t, `^[A-Za-z0-9]{20}$`, code)
	f.refused(f.post(form(code, "redirect_uri", home+"/")), 400, "invalid_grant", invalid)
	r := f.ok(form(code, "redirect_uri", home))
	account, ok := f.AccountOf(r.text("access_token"))
	require.True(t, ok)
	require.Equal(t, "seller-new", account)
	f.ok(refreshForm(r.text("refresh_token")))
	f.refused(f.post(form(code, "redirect_uri", home)), 400, "invalid_grant", invalid)

	f.ok(form(f.NewCode(clientID, "a", home)))
	f.ok(form(f.NewCode(clientID, "a", ""), "redirect_uri", home))
	f.refused(f.post(form("ANDunknown")), 400, "invalid_grant", invalid)
	f.refused(f.post(form(f.NewCode("other", "a", ""))), 400, "invalid_grant", invalid)

	late := f.NewCode(clientID, "a", "")
	f.clock.Advance(5 * time.Minute)
	f.refused(f.post(form(late)), 400, "invalid_grant", invalid)
	require.Equal(t, 8, f.CodeExchanges())
}

func TestOnlyPost(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		r := f.call(method, f.LWAEndpoint(), nil, "")
		require.Equal(t, http.StatusMethodNotAllowed, r.status)
		require.Equal(t, http.MethodPost, r.header.Get("Allow"))
	}
	require.Equal(t, 3, f.Requests())
}
