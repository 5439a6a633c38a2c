// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const maxLWABody = 64 << 10

// requireHour checks that expires_in is written as a whole number, and that
// clients that do not look at it are served all the same.
func requireHour(t *testing.T, answer *rawAnswer) {
	t.Helper()
	left := answer.expiresIn(t)
	require.GreaterOrEqual(t, left, 3300)
	require.LessOrEqual(t, left, 3600)
}

// expiresIn is read from the answer's text: a number in quotes, or one with a
// fraction or an exponent, breaks some clients.
func (a *rawAnswer) expiresIn(t *testing.T) int {
	t.Helper()
	found := regexp.MustCompile(`"expires_in":\s*([1-9][0-9]*)\s*[,}]`).FindStringSubmatch(a.body)
	require.NotNil(t, found, "%s", a.body)
	left, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return left
}

// variation is a body as no SDK sends it today, but that Amazon takes or that a
// user of curl makes.
type variation struct {
	name        string
	headers     []string
	body        string
	method      string
	chunked     bool
	noRefreshes bool // no refresh token that could be answered was submitted
}

func variations() []variation {
	const (
		form   = `grant_type=refresh_token&refresh_token=Atzr%7CREFRESH&client_id=CLIENT&client_secret=SECRET`
		asJSON = `{"grant_type":"refresh_token","refresh_token":"Atzr|REFRESH","client_id":"CLIENT","client_secret":"SECRET"}`
		extra  = `{"grant_type":"refresh_token","refresh_token":"Atzr|REFRESH",`
	)
	return []variation{
		{name: "form, charset", headers: []string{formTypeCharset}, body: form},
		{name: "form, charset in quotes", headers: []string{`content-type: Application/X-WWW-Form-Urlencoded; charset="utf-8"`}, body: form},
		{name: "JSON, charset", headers: []string{"Content-Type: application/json;charset=utf-8"}, body: asJSON},
		{name: "JSON of no content type", body: asJSON},
		{name: "JSON that says it is a form", headers: []string{formType}, body: asJSON},
		{name: "JSON that says it is text", headers: []string{"Content-Type: text/plain"}, body: asJSON},
		{name: "JSON with white space", headers: []string{jsonType}, body: "\r\n\t " + strings.ReplaceAll(asJSON, ",", " ,\n ") + "\n"},
		{name: "JSON, escaped", headers: []string{jsonType}, body: `{"\u0067rant_type":"refresh\u005ftoken","refresh_token":"Atzr\u007cREFRESH"}`},
		{name: "form, chunked", headers: []string{formType}, body: form, chunked: true},
		{name: "JSON, chunked", headers: []string{jsonType}, body: asJSON, chunked: true},
		{name: "form, PUT", headers: []string{formType}, body: form, method: http.MethodPut},
		{name: "JSON, PUT", headers: []string{jsonType}, body: asJSON, method: http.MethodPut},
		{name: "form, surplus", headers: []string{formType}, body: form + "&code=SECRET&redirect_uri=&account=other&scope=x&min_ttl=1s&=&x"},
		{name: "JSON, surplus", headers: []string{jsonType}, body: extra + `"code":"SECRET","account":"other","scope":"x","min_ttl":"99h","url":"x","":1}`},
		{name: "JSON, odd members", headers: []string{jsonType}, body: extra + `"client_id":["CLIENT"],"client_secret":{"x":"SECRET"},"scope":[null],"x":1e300,"y":-0.5,"z":true}`},
		{name: "JSON, nulls", headers: []string{jsonType}, body: extra + `"client_id":null,"client_secret":null,"scope":null,"account":null}`},
		{name: "JSON, deep", headers: []string{jsonType}, body: extra + `"client_secret":` + strings.Repeat(`[{"x":`, 40) + `"SECRET"` + strings.Repeat(`}]`, 40) + `}`},
		{name: "form, ignored parameters twice", headers: []string{formType}, body: form + "&client_id=CLIENT&client_secret=SECRET&scope=&scope="},
		{name: "no refresh token", headers: []string{formType}, body: "grant_type=refresh_token", noRefreshes: true},
		{name: "empty refresh token", headers: []string{formType}, body: "grant_type=refresh_token&refresh_token=", noRefreshes: true},
		{name: "null for a refresh token", headers: []string{jsonType}, body: `{"grant_type":"refresh_token","refresh_token":null}`, noRefreshes: true},
		{name: "number for a refresh token", headers: []string{jsonType}, body: `{"grant_type":"refresh_token","refresh_token":7}`, noRefreshes: true},
		{name: "list for a refresh token", headers: []string{jsonType}, body: `{"grant_type":"refresh_token","refresh_token":["x"]}`, noRefreshes: true},
		{name: "object for a refresh token", headers: []string{jsonType}, body: `{"grant_type":"refresh_token","refresh_token":{"x":"y"}}`, noRefreshes: true},
		{name: "64 KiB", headers: []string{jsonType}, body: padded(`{"grant_type":"refresh_token","refresh_token":"Atzr|REFRESH","client_secret":"SECRET PADDING"}`, maxLWABody-200)},
	}
}

// padded fills up a body to so many bytes.
func padded(body string, size int) string {
	return strings.Replace(body, "PADDING", strings.Repeat("x", size-len(body)), 1)
}

func (l *lwaDesk) checkVariations(t *testing.T, d door) {
	t.Helper()
	for _, v := range variations() {
		t.Run(v.name, func(t *testing.T) {
			body, refreshToken := l.fill(v.body)
			if v.noRefreshes {
				refreshToken = ""
			}
			l.requireToken(t, d.send(t, rawRequest{method: v.method, path: "lwa/token/acme", headers: v.headers, body: body, chunked: v.chunked}), refreshToken)
		})
	}

	// A client that authenticates itself by HTTP Basic, as RFC 6749 has it.
	credentials, _ := l.fill("CLIENT:SECRET")
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	l.submitted.add("basic", strings.TrimRight(basic[len("Authorization: Basic "):], "="))
	l.requireToken(t, d.send(t, rawRequest{path: "lwa/token/acme", headers: []string{formType, basic}, body: "grant_type=refresh_token"}), "")

	// Scopes that include the one of the path, in any order.
	for _, scope := range []string{"", "sellingpartnerapi::client_credential:rotation sellingpartnerapi::notifications", " sellingpartnerapi::notifications  x "} {
		body := "grant_type=client_credentials&scope=" + url.QueryEscape(scope)
		members := d.send(t, rawRequest{path: "lwa/grantless/notifications", headers: []string{formType}, body: body}).requireLWA(t, http.StatusOK)
		require.Equal(t, "sellingpartnerapi::notifications", members["scope"], "what was given, not what was asked for")
	}
}

// What comes back as refresh_token means what was submitted, whatever it is:
// some SDKs store it.
func (l *lwaDesk) checkEchoes(t *testing.T, d door) {
	t.Helper()
	for _, text := range []string{
		"acme", "Atzr|IwEB", "null", "0", " acme ", `quotes " and \ and /`, "<b>&amp;'=+%7C</b>",
		"Grüße, 令牌, токен, \U0001F511", "line\nfeed\ttab\x7f\u2028\u2029\u200b", "nul\x00byte", strings.Repeat("Atzr|", 400),
	} {
		body := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}.Encode()
		l.requireToken(t, d.send(t, rawRequest{path: "lwa/token/acme", headers: []string{formType}, body: body}), text)
		encoded, err := json.Marshal(map[string]string{"grant_type": "refresh_token", "refresh_token": text})
		require.NoError(t, err)
		l.requireToken(t, d.send(t, rawRequest{path: "lwa/token/acme", headers: []string{jsonType}, body: string(encoded)}), text)
	}
	// As PHP and Gson write them.
	escaped := `{"grant_type":"refresh_token","refresh_token":"\u003c\u003E\u0026\u003d\u0027 \/ \ud83d\udd11 \u00fc"}`
	l.requireToken(t, d.send(t, rawRequest{path: "lwa/token/acme", headers: []string{jsonType}, body: escaped}), "<>&=' / \U0001F511 ü")
}

// checkRefusals sends what is nobody's request.
func (l *lwaDesk) checkRefusals(t *testing.T, d door) {
	t.Helper()
	secret, _ := l.fill("SECRET")
	for _, c := range []struct {
		name, path, contentType, body, says string
	}{
		{"empty body", "lwa/token/acme", "", "", "unsupported_grant_type"},
		{"empty form", "lwa/token/acme", formType, "", "unsupported_grant_type"},
		{"empty object", "lwa/token/acme", jsonType, "{}", "unsupported_grant_type"},
		{"no grant type", "lwa/token/acme", formType, "refresh_token=" + secret, "unsupported_grant_type"},
		{"null grant type", "lwa/token/acme", jsonType, `{"grant_type":null}`, "unsupported_grant_type"},
		{"list of grant types", "lwa/token/acme", jsonType, `{"grant_type":["refresh_token"]}`, "unsupported_grant_type"},
		{"two grant types", "lwa/token/acme", formType, "grant_type=refresh_token&grant_type=client_credentials", "unsupported_grant_type"},
		{"password", "lwa/token/acme", formType, "grant_type=password&username=x&password=" + secret, "unsupported_grant_type"},
		{"secret as grant type", "lwa/token/acme", formType, "grant_type=" + secret, "unsupported_grant_type"},
		{"code", "lwa/token/acme", formType, "grant_type=authorization_code&code=" + secret, "unsupported_grant_type"},
		{"grantless, at an account", "lwa/token/acme", formType, "grant_type=client_credentials&scope=sellingpartnerapi::notifications", "unsupported_grant_type"},
		{"refresh, at a scope", "lwa/grantless/notifications", formType, "grant_type=refresh_token&refresh_token=" + secret, "unsupported_grant_type"},
		{"other scope", "lwa/grantless/notifications", formType, "grant_type=client_credentials&scope=sellingpartnerapi::migration", "invalid_scope"},
		{"secret as scope", "lwa/grantless/notifications", jsonType, `{"grant_type":"client_credentials","scope":"` + secret + `"}`, "invalid_scope"},
		{"64 KiB and a byte, a form", "lwa/token/acme", formType, "grant_type=refresh_token&refresh_token=" + secret + strings.Repeat("x", maxLWABody+1), "invalid_request"},
		{"64 KiB and a byte, JSON", "lwa/token/acme", jsonType, padded(`{"grant_type":"refresh_token","client_secret":"`+secret+`PADDING"}`, maxLWABody+100), "invalid_request"},
		{"64 KiB, a name", "lwa/token/acme", formType, "grant_type=refresh_token&" + strings.Repeat("x", maxLWABody) + "=" + secret, "invalid_request"},
		{"64 KiB, nested", "lwa/grantless/notifications", jsonType, padded(`{"grant_type":"client_credentials","x":[{"x":["`+secret+`PADDING"]}]}`, maxLWABody+100), "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.contentType != "" {
				headers = []string{c.contentType}
			}
			answer := d.send(t, rawRequest{path: c.path, headers: headers, body: c.body})
			answer.requireError(t, http.StatusBadRequest, c.says)
			require.NotContains(t, answer.body, secret)
			require.Less(t, len(answer.body), 1000)
		})
	}
	l.checkVaultsRefusals(t, d, secret)
}

// checkVaultsRefusals sends what Vault cannot read, and therefore refuses itself,
// in its own shape: as a bad request or, for some JSON, as an error of its own.
func (l *lwaDesk) checkVaultsRefusals(t *testing.T, d door, secret string) {
	t.Helper()
	for _, c := range []struct{ name, contentType, body, says string }{
		{"form of no content type", "X-Nothing: 1", "grant_type=refresh_token&refresh_token=" + secret, "JSON"},
		{"form that says it is JSON", jsonType, "grant_type=refresh_token&refresh_token=" + secret, "JSON"},
		{"multipart", "Content-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\n" + secret + "\r\n--x--\r\n", "JSON"},
		{"JSON array", jsonType, `["` + secret + `"]`, "JSON"},
		{"JSON text", jsonType, `"` + secret + `"`, "JSON"},
		{"cut JSON", jsonType, `{"grant_type":"refresh_token","client_secret":"` + secret, "JSON"},
		{"JSON with a member twice", jsonType, `{"grant_type":"refresh_token","client_secret":"` + secret + `","client_secret":"` + secret + `"}`, "duplicate key"},
		{"JSON deeper than Vault goes", jsonType, `{"grant_type":"refresh_token","x":` + strings.Repeat("[", 10_000) + `"` + secret + `"` + strings.Repeat("]", 10_000) + `}`, "depth"},
		{"form with a bare percent sign", formType, "grant_type=refresh_token&client_secret=%" + secret, "form data"},
		{"form with a semicolon", formType, "grant_type=refresh_token;client_secret=" + secret, "form data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := d.send(t, rawRequest{path: "lwa/token/acme", headers: []string{c.contentType}, body: c.body})
			require.Contains(t, []int{http.StatusBadRequest, http.StatusInternalServerError}, answer.status)
			answer.requireVaults(t, answer.status, c.says)
			require.NotContains(t, answer.body, secret)
		})
	}
}
