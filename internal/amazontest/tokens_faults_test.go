// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// tryRestrict is restrict for an answer that may be lost; it may run in any goroutine.
func (f *fixture) tryRestrict(ctx context.Context, token, body string) result {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.SPAPIEndpoint()+tokensPath, strings.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-amz-access-token", token)
	res, err := f.http.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	out := result{status: res.StatusCode, header: res.Header}
	out.raw, out.err = io.ReadAll(res.Body)
	_ = json.Unmarshal(out.raw, &out.body)
	return out
}

// isRestricted checks expiresIn as written, and whether the token is alive.
func isRestricted(expiresIn string, alive bool) faultCheck {
	return func(t *testing.T, f *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, 200, r.status)
		require.Equal(t, expiresIn, string(mustMember(t, r.raw, "expiresIn")))
		require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
		_, ok := f.RestrictedOf(r.text("restrictedDataToken"))
		require.Equal(t, alive, ok)
	}
}

func restrictedChecks() map[amazontest.FaultKind]faultCheck {
	shows := func(status int, piece string) faultCheck {
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
			require.Equal(t, f.URL()+"/elsewhere/restricted", r.header.Get("Location"))
			bait := f.call(http.MethodPost, r.header.Get("Location"), nil, "{}")
			require.Equal(t, 1, f.RedirectsFollowed())
			require.Contains(t, bait.text("restrictedDataToken"), "Atz.sprdt|")
			_, ok := f.RestrictedOf(bait.text("restrictedDataToken"))
			require.False(t, ok)
		}
	}
	echoes := func(status int, unescape func(string) string) faultCheck {
		return func(t *testing.T, _ *fixture, r result) {
			t.Helper()
			require.Equal(t, status, r.status)
			for _, piece := range []string{"access token=Atza|", resources("GET", ordersPath)} {
				require.Contains(t, unescape(string(r.raw)), piece)
			}
		}
	}
	return map[amazontest.FaultKind]faultCheck{
		amazontest.FaultServerErrorHTML:        isHTML(500),
		amazontest.FaultServerError:            shows(500, `"code":"InternalFailure"`),
		amazontest.FaultUnavailable:            isEmpty(503, "7"),
		amazontest.FaultTemporarilyUnavailable: shows(503, `"code":"ServiceUnavailable"`),
		amazontest.FaultThrottled:              shows(429, `"code":"QuotaExceeded"`),
		amazontest.FaultHang:                   isLost(context.Canceled),
		amazontest.FaultReset:                  isLost(syscall.ECONNRESET),
		amazontest.FaultOKNotJSON:              isHTML(200),
		amazontest.FaultOKNotObject:            shows(200, `["`),
		amazontest.FaultRedirect:               moved(302),
		amazontest.FaultRedirectKeepingMethod:  moved(307),
		amazontest.FaultBadRequestNotJSON:      isHTML(400),
		amazontest.FaultForbidden:              shows(403, `"code":"Unauthorized"`),
		amazontest.FaultEcho:                   echoes(400, func(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }),
		amazontest.FaultEchoServerError:        echoes(500, html.UnescapeString),
		amazontest.FaultDelay:                  isRestricted("3600", true),
		amazontest.FaultSlowBody:               isRestricted("3600", true),
		amazontest.FaultTruncatedBody:          isLost(io.ErrUnexpectedEOF),
		amazontest.FaultTruncatedJSON: func(t *testing.T, _ *fixture, r result) {
			t.Helper()
			require.NoError(t, r.err)
			require.True(t, strings.HasPrefix(string(r.raw), `{"restrictedDataToken":"Atz.sprdt|`))
			require.False(t, json.Valid(r.raw))
		},
		amazontest.FaultHugeBody: func(t *testing.T, f *fixture, r result) {
			t.Helper()
			require.Greater(t, len(r.raw), 1<<20)
			isRestricted("3600", true)(t, f, r)
		},
		amazontest.FaultNoAccessToken: func(t *testing.T, f *fixture, r result) {
			t.Helper()
			isRestricted("3600", false)(t, f, r)
			require.NotContains(t, r.body, "restrictedDataToken")
		},
		amazontest.FaultEmptyAccessToken: func(t *testing.T, f *fixture, r result) {
			t.Helper()
			isRestricted("3600", false)(t, f, r)
			require.Contains(t, r.body, "restrictedDataToken")
			require.Empty(t, r.text("restrictedDataToken"))
		},
		amazontest.FaultExpiresInString:   isRestricted(`"3600"`, true),
		amazontest.FaultExpiresInFloat:    isRestricted("3600.5", true),
		amazontest.FaultExpiresInZero:     isRestricted("0", false),
		amazontest.FaultExpiresInOne:      isRestricted("1", true),
		amazontest.FaultExpiresInMissing:  isRestricted("", true),
		amazontest.FaultExpiresInNegative: isRestricted("-1", false),
		amazontest.FaultExpiresInHuge:     isRestricted("1000000000", true),
		amazontest.FaultExpiresInOverflow: isRestricted("99999999999999999999", true),
		amazontest.FaultExpiresInJunk:     isRestricted(`"soon"`, true),
		amazontest.FaultExpiresInNull:     isRestricted("null", true),
	}
}

func TestRestrictedFaults(t *testing.T) {
	t.Parallel()
	checks := restrictedChecks()
	require.Len(t, checks, len(amazontest.RestrictedFaults()))
	for _, kind := range amazontest.RestrictedFaults() {
		require.Contains(t, checks, kind)
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			body, seller := resources("GET", ordersPath), f.seller()
			f.SetSellingPartnerFault(amazontest.Fault{Kind: kind, Times: 1, Delay: time.Millisecond, RetryAfter: "7"})
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			send := func() result { return f.tryRestrict(ctx, seller, body) }
			if kind == amazontest.FaultHang {
				// One of two is answered, so that the other one surely hangs.
				results := make(chan result, 2)
				for range cap(results) {
					go func() { results <- send() }()
				}
				require.Equal(t, http.StatusOK, (<-results).status)
				require.NoError(t, f.WaitSellingPartnerInFlight(t.Context(), 1))
				giveUp()
				send = func() result { return <-results }
			}
			checks[kind](t, f, send())
			isRestricted("3600", true)(t, f, f.restrict(seller, body))
			require.NoError(t, f.WaitSellingPartnerIdle(t.Context()))
		})
	}
}

func TestFaultsOfRestrictedDataTokensSpareTheRest(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	body := resources("GET", ordersPath)
	for _, kind := range []amazontest.FaultKind{amazontest.FaultNoAccessToken, amazontest.FaultEmptyAccessToken, amazontest.FaultExpiresInZero} {
		f.SetSellingPartnerFault(amazontest.Fault{Kind: kind, Times: 1})
		f.payload(ordersPath, seller)
		require.Equal(t, 200, f.open("/sellers/v1/marketplaceParticipations", seller).status)
		f.spError(f.restrict(seller, `{}`), 400, "InvalidInput", badInputText, "")
		_, ok := f.RestrictedOf(f.restrict(seller, body).text("restrictedDataToken"))
		require.False(t, ok, "this one it hit")
		f.restricted(seller, body)
	}

	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultExpiresInZero, Times: 1})
	f.migrationCode(f.migrate(f.offered(), mwsQuery()))
	f.ClearFaults()

	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	for _, path := range []string{ordersPath, "/notifications/v1/destinations"} {
		require.Equal(t, 500, f.open(path, seller).status)
	}
	f.ok(refreshForm(f.refresh))
}

func TestStaticCasesAreFaulty(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	body := resources("GET", ordersPath+"/943-12-123434/address")
	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultExpiresInOne, Times: 1})
	isRestricted("1", true)(t, f, f.restrict(seller, body))
	f.clock.Advance(time.Second)
	_, ok := f.RestrictedOf("Atz.sprdt|AODFNESLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR")
	require.False(t, ok)
	isRestricted("3600", true)(t, f, f.restrict(seller, body))
}

func TestHoldOfTheSellingPartnerAPI(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	release := f.HoldSellingPartner()
	results := make(chan result, 3)
	for range cap(results) {
		go func() { results <- f.tryRestrict(context.Background(), seller, resources("GET", ordersPath)) }()
	}
	require.NoError(t, f.WaitSellingPartnerInFlight(t.Context(), cap(results)))
	require.Empty(t, results)
	require.Equal(t, 3, f.RestrictedCalls("seller-one"))
	require.Len(t, f.RestrictedBodies(), 3)
	require.Zero(t, f.InFlight(), "that is Login with Amazon's")
	f.ok(refreshForm(f.refresh))

	// What a request meets is decided when it passes, not when it came.
	f.SetRestrictedQuota(time.Hour, 2)
	f.clock.Advance(time.Minute)
	release()
	release()
	statuses := map[int]int{}
	for range cap(results) {
		r := <-results
		require.NoError(t, r.err)
		statuses[r.status]++
	}
	require.Equal(t, map[int]int{200: 2, 429: 1}, statuses)
	require.NoError(t, f.WaitSellingPartnerIdle(t.Context()))

	release = f.Hold()
	f.payload(ordersPath, seller)
	release()
	first, second := f.HoldSellingPartner(), f.HoldSellingPartner()
	first()
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { results <- f.tryRestrict(ctx, seller, `{}`) }()
	require.NoError(t, f.WaitSellingPartnerInFlight(t.Context(), 1))
	require.Empty(t, results, "the other one holds")
	giveUp()
	require.ErrorIs(t, (<-results).err, context.Canceled)
	require.NoError(t, f.WaitSellingPartnerIdle(t.Context()))
	second()
	f.payload(ordersPath, seller)
}

func TestCloseEndsHoldsOfTheSellingPartnerAPI(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	f.HoldSellingPartner()
	held, waiting := make(chan error, 1), make(chan error, 1)
	go func() { held <- f.tryRestrict(context.Background(), seller, `{}`).err }()
	require.NoError(t, f.WaitSellingPartnerInFlight(t.Context(), 1))
	go func() { waiting <- f.WaitSellingPartnerInFlight(context.Background(), 2) }()
	f.Close()
	require.Error(t, <-held)
	require.ErrorContains(t, <-waiting, "closed")
	require.NoError(t, f.WaitSellingPartnerIdle(t.Context()))
}
