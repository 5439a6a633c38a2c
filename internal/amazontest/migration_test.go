// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	migrationPath = "/authorization/v1/authorizationCode"
	developerID   = "1234-5678-9012"
	mwsToken      = "amzn.mws.00000000-0000-4000-8000-000000000001"
	deniedText    = "Access to requested resource is denied."
)

func mwsQuery() url.Values {
	return query("sellingPartnerId", partner, "developerId", developerID, "mwsAuthToken", mwsToken)
}

func (f *fixture) migrate(token string, q url.Values) result {
	f.t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("x-amz-access-token", token)
	}
	return f.call(http.MethodGet, f.SPAPIEndpoint()+migrationPath+"?"+q.Encode(), header, "")
}

func (f *fixture) grantless(scope string) string {
	f.t.Helper()
	return f.ok(scopeForm(scope)).text("access_token")
}

// offered brings the API back, and returns a token for it.
func (f *fixture) offered() string {
	f.t.Helper()
	f.OfferMigration(clientID, partner, developerID, mwsToken)
	return f.grantless(amazontest.ScopeMigration)
}

func (f *fixture) spError(r result, status int, code, message, details string) {
	f.t.Helper()
	require.Equal(f.t, status, r.status, "%s", r.raw)
	require.NotEmpty(f.t, r.header.Get("x-amzn-RequestId"))
	require.Empty(f.t, r.header.Get("X-Amz-Rid"), "that is Login with Amazon's")
	require.JSONEq(f.t, `{"errors":[{"code":"`+code+`","message":"`+message+`","details":"`+details+`"}]}`, string(r.raw))
}

func (f *fixture) migrationCode(r result) string {
	f.t.Helper()
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	var body struct {
		Payload struct {
			AuthorizationCode string `json:"authorizationCode"`
		} `json:"payload"`
	}
	require.NoError(f.t, json.Unmarshal(r.raw, &body))
	return body.Payload.AuthorizationCode
}

func TestMigrationIsRemoved(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.refused(f.post(scopeForm(amazontest.ScopeMigration)), 400, "invalid_scope", "The request has an invalid parameter : scope")
	token := f.grantless(amazontest.ScopeNotifications)
	f.spError(f.migrate(token, mwsQuery()), 403, "MissingAuthenticationToken", deniedText, "")
	require.Equal(t, 1, f.MigrationCalls())
}

func TestMigrationThatIsOffered(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.offered()
	r := f.migrate(token, mwsQuery())
	require.JSONEq(t, `{"payload":{"authorizationCode":"`+f.migrationCode(r)+`"}}`, string(r.raw))
	require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))

	code := f.migrationCode(r)
	require.Regexp(t, `^[A-Za-z0-9]{20}$`, code)
	refresh := f.ok(codeForm(code)).text("refresh_token")
	f.ok(refreshForm(refresh))
	require.Equal(t, 1, f.Exchanges(partner))
	f.refused(f.post(codeForm(code)), 400, "invalid_grant", invalidCode)

	late := f.migrationCode(f.migrate(token, mwsQuery()))
	f.clock.Advance(5 * time.Minute)
	f.refused(f.post(codeForm(late)), 400, "invalid_grant", invalidCode)
	require.Equal(t, 2, f.MigrationCalls())
}

func TestMigrationNeedsItsToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.offered()
	const unauthorized = "Unauthorized"
	f.spError(f.migrate("", mwsQuery()), 403, unauthorized, deniedText, "Access token is missing in the request header.")
	f.spError(f.migrate("Atza|x", mwsQuery()), 403, unauthorized, deniedText, "The access token you provided is revoked, malformed or invalid.")
	f.spError(f.migrate(f.grantless(amazontest.ScopeRotation), mwsQuery()), 403, unauthorized, deniedText, "")
	f.spError(f.migrate(f.ok(refreshForm(f.refresh)).text("access_token"), mwsQuery()), 403, unauthorized, deniedText, "")
	f.spError(f.migrate("", nil), 403, unauthorized, deniedText, "Access token is missing in the request header.")
	f.migrationCode(f.migrate(f.grantless(amazontest.ScopeMigration+" "+amazontest.ScopeRotation), mwsQuery()))
	f.spError(f.call(http.MethodPost, f.SPAPIEndpoint()+migrationPath, nil, ""), 403, "MissingAuthenticationToken", deniedText, "")
	f.clock.Advance(time.Hour)
	f.spError(f.migrate(token, mwsQuery()), 403, unauthorized, deniedText, "The access token you provided has expired.")
}

func TestMigrationNeedsTheAuthorization(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.offered()
	f.OfferMigration(clientID, otherOne, developerID, "amzn.mws.two")
	for name, change := range map[string]func(q url.Values){
		"no partner":         func(q url.Values) { q.Del("sellingPartnerId") },
		"no developer":       func(q url.Values) { q.Del("developerId") },
		"no MWS token":       func(q url.Values) { q.Del("mwsAuthToken") },
		"empty MWS token":    func(q url.Values) { q.Set("mwsAuthToken", "") },
		"two partners":       func(q url.Values) { q.Add("sellingPartnerId", partner) },
		"unknown partner":    func(q url.Values) { q.Set("sellingPartnerId", "A1NOBODY") },
		"unknown developer":  func(q url.Values) { q.Set("developerId", "1") },
		"unknown MWS token":  func(q url.Values) { q.Set("mwsAuthToken", "TEST_CASE_400") },
		"token of another":   func(q url.Values) { q.Set("mwsAuthToken", "amzn.mws.two") },
		"partner of another": func(q url.Values) { q.Set("sellingPartnerId", otherOne) },
	} {
		t.Run(name, func(t *testing.T) {
			q := mwsQuery()
			change(q)
			r := f.migrate(token, q)
			require.Equal(t, 400, r.status)
			f.spError(r, 400, "InvalidInput", "Invalid input.", "")
		})
	}

	f.AddClient("other", "other-secret")
	form := scopeForm(amazontest.ScopeMigration)
	form.Set("client_id", "other")
	form.Set("client_secret", "other-secret")
	require.Equal(t, 400, f.post(form).status, "offered to one client only")
	f.OfferMigration("other", partner, developerID, "amzn.mws.three")
	f.spError(f.migrate(f.ok(form).text("access_token"), mwsQuery()), 400, "InvalidInput", "Invalid input.", "")
	f.migrationCode(f.migrate(token, mwsQuery()))
}

func TestRemovedMigrationAnswersAsTold(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.OfferMigration(clientID, partner, developerID, mwsToken)
	f.RemoveMigrationAPI(404, "NotFound")
	token := f.grantless(amazontest.ScopeMigration)
	f.spError(f.migrate(token, mwsQuery()), 404, "NotFound", "Not Found", "")
	f.RemoveMigrationAPI(403, "MissingAuthenticationToken")
	f.spError(f.migrate(token, mwsQuery()), 403, "MissingAuthenticationToken", deniedText, "")
	f.RemoveMigrationAPI(410, "")
	r := f.migrate(token, mwsQuery())
	require.Equal(t, 410, r.status)
	require.Empty(t, r.raw)
	require.NotContains(t, r.header, "Content-Type")
	require.Panics(t, func() { f.RemoveMigrationAPI(200, "") })
	require.Panics(t, func() { f.RemoveMigrationAPI(600, "") })

	f.OfferMigration(clientID, partner, developerID, mwsToken)
	f.migrationCode(f.migrate(token, mwsQuery()))
}

func TestSellingPartnerFaults(t *testing.T) {
	t.Parallel()
	isPlain := func(status int, piece string) faultCheck {
		return func(t *testing.T, _ *fixture, r result) {
			t.Helper()
			require.NoError(t, r.err)
			require.Equal(t, status, r.status)
			require.Contains(t, string(r.raw), piece)
		}
	}
	moved := func(status int) faultCheck {
		return func(t *testing.T, f *fixture, r result) {
			t.Helper()
			require.Equal(t, status, r.status)
			require.Equal(t, f.URL()+"/elsewhere/selling-partner", r.header.Get("Location"))
			bait := f.call(http.MethodGet, r.header.Get("Location"), nil, "")
			f.refused(f.post(codeForm(f.migrationCode(bait))), 400, "invalid_grant", invalidCode)
			require.Equal(t, 1, f.RedirectsFollowed())
		}
	}
	echoes := func(status int, unescape func(string) string) faultCheck {
		return func(t *testing.T, _ *fixture, r result) {
			t.Helper()
			require.Equal(t, status, r.status)
			for _, secret := range []string{"mwsAuthToken=" + mwsToken, mwsQuery().Encode(), "Atza|"} {
				require.Contains(t, unescape(string(r.raw)), secret)
			}
		}
	}
	checks := map[amazontest.FaultKind]faultCheck{
		amazontest.FaultServerErrorHTML:        isHTML(500),
		amazontest.FaultServerError:            isPlain(500, `"code":"InternalFailure"`),
		amazontest.FaultUnavailable:            isEmpty(503, "7"),
		amazontest.FaultTemporarilyUnavailable: isPlain(503, `"code":"ServiceUnavailable"`),
		amazontest.FaultThrottled:              isPlain(429, `"code":"QuotaExceeded"`),
		amazontest.FaultReset:                  isLost(syscall.ECONNRESET),
		amazontest.FaultOKNotJSON:              isHTML(200),
		amazontest.FaultOKNotObject:            isPlain(200, `["`),
		amazontest.FaultRedirect:               moved(302),
		amazontest.FaultRedirectKeepingMethod:  moved(307),
		amazontest.FaultBadRequestNotJSON:      isHTML(400),
		amazontest.FaultForbidden:              isPlain(403, `"code":"Unauthorized"`),
		amazontest.FaultEcho:                   echoes(400, func(s string) string { return strings.ReplaceAll(s, `\u0026`, "&") }),
		amazontest.FaultEchoServerError:        echoes(500, html.UnescapeString),
		amazontest.FaultDelay:                  isPlain(200, `"authorizationCode":"`),
		amazontest.FaultSlowBody:               isPlain(200, `"authorizationCode":"`),
		amazontest.FaultTruncatedBody:          isLost(io.ErrUnexpectedEOF),
		amazontest.FaultTruncatedJSON:          isPlain(200, `{"payload`),
		amazontest.FaultHugeBody:               isPlain(200, strings.Repeat("x", 1<<20)),
		amazontest.FaultNoAccessToken:          isPlain(200, `{"payload":{}}`),
		amazontest.FaultEmptyAccessToken:       isPlain(200, `{"payload":{"authorizationCode":""}}`),
	}
	for _, kind := range amazontest.SellingPartnerFaults() {
		if kind == amazontest.FaultHang {
			continue // see TestSellingPartnerHangs
		}
		require.Contains(t, checks, kind)
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := startConsent(t)
			token := f.offered()
			f.SetSellingPartnerFault(amazontest.Fault{Kind: kind, Times: 1, Delay: time.Millisecond, RetryAfter: "7"})
			header := http.Header{"X-Amz-Access-Token": {token}}
			checks[kind](t, f, f.try(f.SPAPIEndpoint()+migrationPath+"?"+mwsQuery().Encode(), header))
			r := f.migrate(token, mwsQuery())
			require.Equal(t, 200, r.status, "healed")
			require.True(t, json.Valid(r.raw))
			f.ok(codeForm(f.migrationCode(r)))
			require.Equal(t, 2, f.MigrationCalls())
		})
	}
	require.Len(t, checks, len(amazontest.SellingPartnerFaults())-1)
}

// try is call for an answer that may be lost. Its connection is a new one: a GET
// that is lost on a used one is repeated by net/http.
func (f *fixture) try(url string, header http.Header) result {
	f.t.Helper()
	f.http.CloseIdleConnections()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(f.t, err)
	req.Header = header
	res, err := f.http.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	out := result{status: res.StatusCode, header: res.Header}
	out.raw, out.err = io.ReadAll(res.Body)
	return out
}

func TestSellingPartnerHangs(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.offered()
	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultHang})
	hung := make(chan result, 1)
	go func() {
		hung <- f.try(f.SPAPIEndpoint()+migrationPath, http.Header{"X-Amz-Access-Token": {token}})
	}()
	require.Eventually(t, func() bool { return f.MigrationCalls() == 1 }, 10*time.Second, time.Millisecond)
	require.Empty(t, hung)
	f.ok(refreshForm(f.refresh))
	f.ClearFaults()
	f.migrationCode(f.migrate(token, mwsQuery()))
	f.Close()
	require.Error(t, (<-hung).err)
}

func TestSellingPartnerFaultsSpareTheRest(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.offered()
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	f.migrationCode(f.migrate(token, mwsQuery()))
	f.ClearFaults()

	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultTruncatedJSON, Times: 1})
	f.spError(f.migrate(token, nil), 400, "InvalidInput", "Invalid input.", "")
	require.False(t, json.Valid(f.migrate(token, mwsQuery()).raw), "a refusal did not use it up")

	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultThrottled})
	for range 2 {
		r := f.migrate(token, mwsQuery())
		require.Equal(t, "TooManyRequestsException", r.header.Get("X-Amzn-Errortype"))
		require.Empty(t, r.header.Get("Retry-After"))
	}
	require.Equal(t, 429, f.get("/sellers/v1/marketplaceParticipations").status)
	f.ClearFaults()
	f.migrationCode(f.migrate(token, mwsQuery()))
	for _, kind := range []amazontest.FaultKind{"typo", amazontest.FaultInvalidGrant, amazontest.FaultChangedRefreshToken} {
		require.Panics(t, func() { f.SetSellingPartnerFault(amazontest.Fault{Kind: kind}) })
	}
}
