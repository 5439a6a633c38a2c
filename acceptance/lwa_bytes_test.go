// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	formType        = "Content-Type: application/x-www-form-urlencoded"
	formTypeCharset = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8"
	jsonType        = "Content-Type: application/json"
	jsonTypeCharset = "Content-Type: application/json; charset=utf-8"
)

// sdkRequest is what an SDK sends: its headers, and its bodies. REFRESH, CLIENT
// and SECRET stand for what its user configured.
type sdkRequest struct {
	sdk       string
	headers   []string
	refresh   string
	grantless string // empty if the SDK has no such grant
}

// officialRequests are of amzn/selling-partner-api-sdk at 2a03f00, recorded at a
// listener (but for C#, which is what Newtonsoft.Json and RestSharp 112 make of its
// source).
func officialRequests() []sdkRequest {
	return []sdkRequest{
		{
			sdk: "Java", headers: []string{jsonTypeCharset, "Connection: Keep-Alive", "Accept-Encoding: gzip", "User-Agent: okhttp/3.13.1"},
			refresh:   `{"grant_type":"refresh_token","refresh_token":"Atzr|REFRESH","client_id":"CLIENT","client_secret":"SECRET","scope":""}`,
			grantless: `{"grant_type":"client_credentials","client_id":"CLIENT","client_secret":"SECRET","scope":"sellingpartnerapi::notifications"}`,
		},
		{
			sdk: "C#", headers: []string{
				"Accept: application/json, text/json, text/x-json, text/javascript, application/xml, text/xml",
				"User-Agent: RestSharp/112.0.0.0", "Accept-Encoding: gzip, deflate, br", jsonTypeCharset,
			},
			refresh:   `{"grant_type":"refresh_token","refresh_token":"Atzr|REFRESH","client_id":"CLIENT","client_secret":"SECRET","scope":null}`,
			grantless: `{"grant_type":"client_credentials","refresh_token":null,"client_id":"CLIENT","client_secret":"SECRET","scope":"sellingpartnerapi::notifications"}`,
		},
		{
			sdk: "PHP", headers: []string{"User-Agent: GuzzleHttp/7", jsonType},
			refresh:   `{"grant_type":"refresh_token","client_id":"CLIENT","client_secret":"SECRET","refresh_token":"Atzr|REFRESH","scope":null}`,
			grantless: `{"grant_type":"client_credentials","client_id":"CLIENT","client_secret":"SECRET","refresh_token":null,"scope":"sellingpartnerapi::notifications"}`,
		},
		{
			sdk: "Python", headers: []string{"User-Agent: python-requests/2.34.2", "Accept-Encoding: gzip, deflate", "Accept: */*", "Connection: keep-alive", formType},
			refresh:   `client_id=CLIENT&client_secret=SECRET&grant_type=refresh_token&refresh_token=Atzr%7CREFRESH`,
			grantless: `client_id=CLIENT&client_secret=SECRET&grant_type=client_credentials&scope=sellingpartnerapi%3A%3Anotifications`,
		},
		{
			sdk: "JavaScript", headers: []string{"Accept-Encoding: gzip, deflate", formTypeCharset, "Connection: close"},
			refresh:   `grant_type=refresh_token&refresh_token=Atzr|REFRESH&client_id=CLIENT&client_secret=SECRET`,
			grantless: `grant_type=client_credentials&client_id=CLIENT&client_secret=SECRET&scope=sellingpartnerapi::notifications`,
		},
	}
}

// communityRequests are those that differ from the official ones.
func communityRequests() []sdkRequest {
	return []sdkRequest{
		{
			sdk: "python-amazon-sp-api", headers: []string{"User-Agent: python-sp-api-2.1.20", "content-type: application/x-www-form-urlencoded;charset=UTF-8"},
			refresh:   `grant_type=refresh_token&client_id=CLIENT&refresh_token=Atzr%7CREFRESH&client_secret=SECRET`,
			grantless: `grant_type=client_credentials&client_id=CLIENT&scope=sellingpartnerapi%3A%3Anotifications&client_secret=SECRET`,
		},
		{
			sdk: "Go, from a map", headers: []string{"User-Agent: Go-http-client/1.1", jsonType, "Accept-Encoding: gzip"},
			refresh: `{"client_id":"CLIENT","client_secret":"SECRET","grant_type":"refresh_token","refresh_token":"Atzr|REFRESH"}`,
		},
		{
			// Asks for two scopes at once, of which the path gives one.
			sdk: "FikaAmazonAPI", headers: []string{"accept: application/json", formType},
			refresh:   `grant_type=refresh_token&scope=&client_id=CLIENT&client_secret=SECRET&refresh_token=Atzr%7CREFRESH`,
			grantless: `grant_type=client_credentials&scope=sellingpartnerapi%3A%3Amigration+sellingpartnerapi%3A%3Anotifications&client_id=CLIENT&client_secret=SECRET`,
		},
	}
}

// lwaDesk is a mount whose lwa/ paths are asked through several doors, and what
// was submitted there.
type lwaDesk struct {
	*mount
	doors     map[string]door
	submitted scanner
}

// fill puts marks into a body that the scanner will look for.
func (l *lwaDesk) fill(body string) (filled, refreshToken string) {
	marks := []string{rand.Text(), rand.Text(), rand.Text()}
	for _, mark := range marks {
		l.submitted.add(mark, mark)
	}
	return strings.NewReplacer("REFRESH", marks[0], "CLIENT", "amzn1.application-oa2-client."+marks[1], "SECRET", "amzn1.oa2-cs.v1."+marks[2]).Replace(body),
		"Atzr|" + marks[0]
}

// Every SDK gets what it expects, through Vault's own listener and through a
// proxy that logs in by itself; and what it sends beside the grant type is
// ignored, and nowhere to be found afterwards.
func TestLWABytesOfSDKs(t *testing.T) {
	t.Parallel()
	l := newLWADesk(t)
	for name, d := range l.doors {
		t.Run(name, func(t *testing.T) {
			for _, sdk := range append(officialRequests(), communityRequests()...) {
				l.checkSDK(t, d, sdk)
			}
			l.checkVariations(t, d)
			l.checkEchoes(t, d)
			l.checkRefusals(t, d)
		})
	}
	require.Equal(t, 1, l.amazon.Exchanges("acme"), "one token for all of them")
	require.Equal(t, 2, l.amazon.GrantlessExchanges(), "the proof of the config, and one token for all of them")
	l.checkOutage(t)
	l.checkSilence(t)
}

func newLWADesk(t *testing.T) *lwaDesk {
	t.Helper()
	s := ownStage(t, vaulttest.Options{LogLevel: "trace", Audit: true})
	l := &lwaDesk{mount: s.newBareMount(t, "spapi")}
	l.writeConfig(t)
	l.addAccount(t, "acme")
	token, err := s.CreateToken(t.Context(), []string{l.writePolicy(t, "door", example(t, "sdks/policy.hcl"))}, "10m")
	require.NoError(t, err)
	setup := l.exampleProxy(t, sdkPolicy(t))
	l.doors = map[string]door{
		"vault":              l.vaultDoor(token),
		"proxy":              l.proxyDoor(t, setup),
		"proxy, unix socket": l.proxyDoor(t, onSocket(t, setup)),
	}
	return l
}

func (l *lwaDesk) checkSDK(t *testing.T, d door, sdk sdkRequest) {
	t.Helper()
	body, refreshToken := l.fill(sdk.refresh)
	answer := d.send(t, rawRequest{path: "lwa/token/acme", headers: sdk.headers, body: body})
	l.requireToken(t, answer, refreshToken)
	require.Contains(t, answer.body, `"refresh_token":"`+refreshToken+`"`, "%s: as it came, byte for byte", sdk.sdk)

	if sdk.grantless == "" {
		return
	}
	body, _ = l.fill(sdk.grantless)
	answer = d.send(t, rawRequest{path: "lwa/grantless/notifications", headers: sdk.headers, body: body})
	members := answer.requireLWA(t, http.StatusOK)
	require.Len(t, members, 4, "%s: %s", sdk.sdk, answer.body)
	require.Equal(t, amazontest.ScopeNotifications, members["scope"])
	require.Equal(t, "bearer", members["token_type"])
	requireHour(t, answer)
	scopes, live := l.amazon.ScopesOf(members["access_token"].(string))
	require.True(t, live)
	require.Equal(t, []string{amazontest.ScopeNotifications}, scopes)
}

// requireToken checks an answer to a refresh grant. No refresh token was
// submitted, or none that is a text, if it is empty.
func (l *lwaDesk) requireToken(t *testing.T, answer *rawAnswer, refreshToken string) {
	t.Helper()
	members := answer.requireLWA(t, http.StatusOK)
	want := 3
	if refreshToken != "" {
		want = 4
		require.Equal(t, refreshToken, members["refresh_token"])
	}
	require.Len(t, members, want, "%s", answer.body)
	require.Equal(t, "bearer", members["token_type"])
	requireHour(t, answer)
	account, live := l.amazon.AccountOf(members["access_token"].(string))
	require.True(t, live)
	require.Equal(t, "acme", account)
}

// checkOutage looks at what Vault is asked while Amazon is down: by default a
// proxy would ask twelve times more, and its client wait for that.
func (l *lwaDesk) checkOutage(t *testing.T) {
	t.Helper()
	l.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "1s"})
	l.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": l.amazon.Authorize(l.clientID, "acme"), "verify": false})
	l.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultUnavailable})
	for name, d := range l.doors {
		before := l.audited(t, "spapi/lwa/token/acme")
		d.exchange(t, "lwa/token/acme", refreshGrant).requireError(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		require.Equal(t, before+1, l.audited(t, "spapi/lwa/token/acme"), "%s", name)
	}
}

// audited is how many requests of a path the audit device has seen.
func (l *lwaDesk) audited(t *testing.T, path string) int {
	t.Helper()
	log, err := os.ReadFile(l.stage.AuditFile())
	require.NoError(t, err)
	requests := 0
	for line := range bytes.Lines(log) {
		var entry struct {
			Type    string `json:"type"`
			Request struct {
				Path string `json:"path"`
			} `json:"request"`
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		if entry.Type == "request" && entry.Request.Path == path {
			requests++
		}
	}
	return requests
}

// checkSilence looks for everything that was submitted, in all files of Vault's
// and of the proxies'.
func (l *lwaDesk) checkSilence(t *testing.T) {
	t.Helper()
	found, files, err := l.submitted.findUnder(l.stage.Dir(), "plugins")
	require.NoError(t, err)
	require.Empty(t, found)
	require.Greater(t, files, 4)
	for part, file := range map[string]string{
		"[TRACE]":                     l.stage.LogFile(),
		"lwa/token/acme":              l.stage.AuditFile(),
		"lwa/grantless/notifications": l.stage.AuditFile(),
		"forwarding request to Vault": filepath.Join(l.stage.Dir(), "proxy-1.log"),
		"spapi/lwa/token/acme":        filepath.Join(l.stage.Dir(), "proxy-2.log"),
	} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Contains(content, []byte(part)), "%s holds %s", file, part)
	}
}
