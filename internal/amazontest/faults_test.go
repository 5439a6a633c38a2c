// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"context"
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

// faultCheck looks at what a client that follows no redirects gets.
type faultCheck func(t *testing.T, f *fixture, r result)

func isRefusal(status int, code string) faultCheck {
	return func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, status, r.status)
		require.Equal(t, code, r.text("error"))
		require.NotEmpty(t, r.text("error_description"))
		require.Equal(t, r.header.Get("X-Amzn-RequestId"), r.text("request_id"))
		require.Contains(t, r.header.Get("X-Amzn-Errortype"), "OA2")
	}
}

func isHTML(status int) faultCheck {
	return func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, status, r.status)
		require.Contains(t, r.header.Get("Content-Type"), "text/html")
		require.False(t, json.Valid(r.raw))
	}
}

func isEmpty(status int, retryAfter string) faultCheck {
	return func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, status, r.status)
		require.Empty(t, r.raw)
		require.Equal(t, retryAfter, r.header.Get("Retry-After"))
		require.NotContains(t, r.header, "Content-Type")
	}
}

func isRedirect(status int) faultCheck {
	return func(t *testing.T, f *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, status, r.status)
		require.Equal(t, f.URL()+"/elsewhere", r.header.Get("Location"))
		require.Zero(t, f.RedirectsFollowed())

		follower := &http.Client{Transport: f.http.Transport}
		f.SetFault(amazontest.Fault{Kind: map[int]amazontest.FaultKind{
			302: amazontest.FaultRedirect, 307: amazontest.FaultRedirectKeepingMethod,
		}[status], Times: 1})
		res, err := follower.PostForm(f.LWAEndpoint(), refreshForm(f.refresh))
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var bait struct {
			AccessToken string `json:"access_token"`
		}
		require.NoError(t, json.NewDecoder(res.Body).Decode(&bait))
		require.Equal(t, 1, f.RedirectsFollowed())
		_, ok := f.AccountOf(bait.AccessToken)
		require.False(t, ok)
	}
}

// isSuccess checks expires_in as written, and whether the token is alive.
func isSuccess(expiresIn string, alive bool) faultCheck {
	return func(t *testing.T, f *fixture, r result) {
		t.Helper()
		require.NoError(t, r.err)
		require.Equal(t, 200, r.status)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(r.raw, &members))
		require.Equal(t, expiresIn, string(members["expires_in"]))
		_, ok := f.AccountOf(r.text("access_token"))
		require.Equal(t, alive, ok)
	}
}

func isLost(want error) faultCheck {
	return func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.ErrorIs(t, r.err, want)
	}
}

func isEcho(unescape func(string) string) faultCheck {
	return func(t *testing.T, f *fixture, r result) {
		t.Helper()
		shown := unescape(string(r.raw))
		for _, secret := range []string{clientSecret, f.refresh, url.QueryEscape(f.refresh)} {
			require.Contains(t, shown, secret)
		}
	}
}

func isCut(t *testing.T, _ *fixture, r result) {
	t.Helper()
	require.NoError(t, r.err, "the HTTP is intact")
	require.Equal(t, 200, r.status)
	require.True(t, strings.HasPrefix(string(r.raw), `{"access_token":"Atza|`))
	require.False(t, json.Valid(r.raw))
}

func faultChecks() map[amazontest.FaultKind]faultCheck {
	noToken := func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.Equal(t, 200, r.status)
		require.NotEmpty(t, r.text("token_type"))
		require.NotContains(t, r.body, "access_token")
	}
	emptyToken := func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.Equal(t, 200, r.status)
		require.Contains(t, r.body, "access_token")
		require.Empty(t, r.text("access_token"))
	}
	array := func(t *testing.T, _ *fixture, r result) {
		t.Helper()
		require.Equal(t, 200, r.status)
		require.NoError(t, json.Unmarshal(r.raw, new([]any)))
	}
	huge := func(t *testing.T, f *fixture, r result) {
		t.Helper()
		require.Greater(t, len(r.raw), 1<<20)
		isSuccess("3600", true)(t, f, r)
	}
	changed := func(t *testing.T, f *fixture, r result) {
		t.Helper()
		isSuccess("3600", true)(t, f, r)
		require.NotEqual(t, f.refresh, r.text("refresh_token"))
		require.Len(t, r.text("refresh_token"), len(f.refresh))
		for _, token := range []string{r.text("refresh_token"), f.refresh} {
			require.Equal(t, token, f.ok(refreshForm(token)).text("refresh_token"))
		}
	}
	return map[amazontest.FaultKind]faultCheck{
		amazontest.FaultServerErrorHTML:        isHTML(500),
		amazontest.FaultServerError:            isRefusal(500, "server_error"),
		amazontest.FaultUnavailable:            isEmpty(503, "1"),
		amazontest.FaultTemporarilyUnavailable: isRefusal(503, "temporarily_unavailable"),
		amazontest.FaultThrottled:              isEmpty(429, ""),
		amazontest.FaultHang:                   isLost(context.Canceled),
		amazontest.FaultReset:                  isLost(syscall.ECONNRESET),
		amazontest.FaultOKNotJSON:              isHTML(200),
		amazontest.FaultOKNotObject:            array,
		amazontest.FaultRedirect:               isRedirect(302),
		amazontest.FaultRedirectKeepingMethod:  isRedirect(307),
		amazontest.FaultBadRequestNotJSON:      isHTML(400),
		amazontest.FaultForbidden:              isRefusal(403, "access_denied"),
		amazontest.FaultEcho:                   isEcho(func(s string) string { return strings.ReplaceAll(s, `\u0026`, "&") }),
		amazontest.FaultEchoServerError:        isEcho(html.UnescapeString),
		amazontest.FaultInvalidClient:          isRefusal(401, "invalid_client"),
		amazontest.FaultInvalidGrant:           isRefusal(400, "invalid_grant"),
		amazontest.FaultUnauthorizedClient:     isRefusal(400, "unauthorized_client"),
		amazontest.FaultInvalidScope:           isRefusal(400, "invalid_scope"),
		amazontest.FaultDelay:                  isSuccess("3600", true),
		amazontest.FaultSlowBody:               isLost(context.Canceled),
		amazontest.FaultTruncatedBody:          isLost(io.ErrUnexpectedEOF),
		amazontest.FaultTruncatedJSON:          isCut,
		amazontest.FaultHugeBody:               huge,
		amazontest.FaultNoAccessToken:          noToken,
		amazontest.FaultEmptyAccessToken:       emptyToken,
		amazontest.FaultExpiresInString:        isSuccess(`"3600"`, true),
		amazontest.FaultExpiresInFloat:         isSuccess("3600.5", true),
		amazontest.FaultExpiresInZero:          isSuccess("0", false),
		amazontest.FaultExpiresInOne:           isSuccess("1", true),
		amazontest.FaultExpiresInMissing:       isSuccess("", true),
		amazontest.FaultExpiresInNegative:      isSuccess("-1", false),
		amazontest.FaultExpiresInHuge:          isSuccess("1000000000", true),
		amazontest.FaultExpiresInOverflow:      isSuccess("99999999999999999999", true),
		amazontest.FaultExpiresInJunk:          isSuccess(`"soon"`, true),
		amazontest.FaultExpiresInNull:          isSuccess("null", true),
		amazontest.FaultChangedRefreshToken:    changed,
	}
}

func TestEveryFaultAndItsHealing(t *testing.T) {
	t.Parallel()
	checks := faultChecks()
	require.Len(t, checks, len(amazontest.Faults()))
	for _, kind := range amazontest.Faults() {
		require.Contains(t, checks, kind)
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			fault := amazontest.Fault{Kind: kind, Times: 1}
			if kind == amazontest.FaultDelay {
				fault.Delay = time.Millisecond
			}
			f.SetFault(fault)
			if kind == amazontest.FaultHang || kind == amazontest.FaultSlowBody {
				checks[kind](t, f, oneHangs(t, f))
			} else {
				checks[kind](t, f, f.do(t.Context(), formType, refreshForm(f.refresh).Encode()))
			}

			f.ok(refreshForm(f.refresh))
			require.NoError(t, f.WaitIdle(t.Context()))
		})
	}
}

// oneHangs sends two requests, of which one is answered and one is not, and
// gives up that one only then, so that the fault has surely been used up.
func oneHangs(t *testing.T, f *fixture) result {
	t.Helper()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	results := make(chan result, 2)
	for range cap(results) {
		go func() { results <- f.do(ctx, formType, refreshForm(f.refresh).Encode()) }()
	}
	require.Equal(t, http.StatusOK, (<-results).status)
	require.NoError(t, f.WaitInFlight(t.Context(), 1))
	giveUp()
	return <-results
}

func TestFaultsCountDownAndClear(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError, Times: 2})
	require.Equal(t, 500, f.post(refreshForm(f.refresh)).status)
	require.Equal(t, 500, f.post(scopeForm(amazontest.ScopeRotation)).status, "every grant")
	require.Equal(t, 200, f.post(refreshForm(f.refresh)).status)

	f.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	for range 3 {
		require.Equal(t, 500, f.post(refreshForm(f.refresh)).status)
	}
	f.ClearFaults()
	f.ok(refreshForm(f.refresh))
	require.Equal(t, 6, f.Exchanges("seller-one"))
}

func TestAccountFaultWinsAndTouchesNobodyElse(t *testing.T) {
	t.Parallel()
	f := start(t)
	two := f.Authorize(clientID, "seller-two")
	f.SetAccountFault("seller-one", amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	f.ok(refreshForm(two))
	f.ok(scopeForm(amazontest.ScopeRotation))
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultThrottled, RetryAfter: "7"})
	f.refused(f.post(refreshForm(f.refresh)), 400, "invalid_grant", revokedText)
	r := f.post(refreshForm(f.refresh))
	require.Equal(t, 429, r.status)
	require.Equal(t, "7", r.header.Get("Retry-After"))
	require.Equal(t, 429, f.post(refreshForm(two)).status)

	f.SetAccountFault("seller-one", amazontest.Fault{Kind: amazontest.FaultServerError})
	f.ClearFaults()
	f.ok(refreshForm(f.refresh))
}

func TestFaultsOfASuccessSpareRefusals(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultNoAccessToken, Times: 1})
	require.Equal(t, 400, f.post(refreshForm("Atzr|nobody")).status)
	require.NotContains(t, f.ok(refreshForm(f.refresh)).body, "access_token")

	f.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Times: 1, Changed: "Atzr|next"})
	require.NotContains(t, f.ok(scopeForm(amazontest.ScopeRotation)).body, "refresh_token")
	require.Equal(t, "Atzr|next", f.ok(refreshForm(f.refresh)).text("refresh_token"))
	require.Equal(t, "Atzr|next", f.ok(refreshForm("Atzr|next")).text("refresh_token"))
	require.Equal(t, 3, f.Exchanges("seller-one"), "the changed token is the same account's")
}

func TestServiceFaultSparesACode(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := with("grant_type", "authorization_code", "code", f.NewCode(clientID, "a", ""))
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultUnavailable, Times: 1, RetryAfter: "3"})
	require.Equal(t, "3", f.post(form).header.Get("Retry-After"))
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultTruncatedBody, Times: 1})
	require.ErrorIs(t, f.do(t.Context(), formType, form.Encode()).err, io.ErrUnexpectedEOF)
	require.Equal(t, 400, f.post(form).status, "the lost answer used it up")
}

func TestSlowBodyWithDelayArrives(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultSlowBody, Delay: time.Millisecond})
	require.Equal(t, f.refresh, f.ok(refreshForm(f.refresh)).text("refresh_token"))
	f.refused(f.post(refreshForm("Atzr|nobody")), 400, "invalid_grant",
		"The request has an invalid grant parameter : refresh_token")
}

func TestSlowBodySendsHeadersAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultSlowBody})
	res, err := f.http.PostForm(f.LWAEndpoint(), refreshForm(f.refresh))
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	first := make([]byte, 6)
	_, err = io.ReadFull(res.Body, first)
	require.NoError(t, err)
	require.Equal(t, `{"acce`, string(first))
	require.Equal(t, 1, f.InFlight())
	require.NoError(t, res.Body.Close())
	require.NoError(t, f.WaitIdle(t.Context()))
}

func TestDelaysEndWithTheClient(t *testing.T) {
	t.Parallel()
	for _, kind := range []amazontest.FaultKind{
		amazontest.FaultDelay, amazontest.FaultReset, amazontest.FaultServerError, amazontest.FaultSlowBody,
	} {
		f := start(t)
		f.SetFault(amazontest.Fault{Kind: kind, Delay: time.Hour})
		ctx, giveUp := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.do(ctx, formType, refreshForm(f.refresh).Encode()).err }()
		require.NoError(t, f.WaitInFlight(t.Context(), 1))
		giveUp()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, f.WaitIdle(t.Context()))
	}
}

func TestImpossibleFaultsPanic(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, fault := range []amazontest.Fault{
		{},
		{Kind: "typo"},
		{Kind: amazontest.FaultHang, Times: -1},
		{Kind: amazontest.FaultHang, Delay: -1},
		{Kind: amazontest.FaultDelay},
	} {
		require.Panics(t, func() { f.SetFault(fault) })
		require.Panics(t, func() { f.SetAccountFault("seller-one", fault) })
	}
	f.ok(refreshForm(f.refresh))
}

func TestFaultsUnderConcurrency(t *testing.T) {
	t.Parallel()
	f := start(t)
	release := f.Hold()
	const all, bad = 24, 5
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultReset, Times: bad})
	results := make(chan error, all)
	for range all {
		go func() { results <- f.do(context.Background(), formType, refreshForm(f.refresh).Encode()).err }()
	}
	require.NoError(t, f.WaitInFlight(t.Context(), all))
	release()
	var failed int
	for range all {
		if err := <-results; err != nil {
			require.NotErrorIs(t, err, context.Canceled)
			failed++
		}
	}
	require.Equal(t, bad, failed)
	require.Equal(t, all, f.Exchanges("seller-one"))
}
