// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// TestCloseLeavesNothing is not parallel: it looks at the goroutines of the process.
func TestCloseLeavesNothing(t *testing.T) {
	f := start(t)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultHang})
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- f.do(context.Background(), formType, refreshForm(f.refresh).Encode()).err }()
	}
	require.NoError(t, f.WaitInFlight(t.Context(), cap(errs)))
	f.Close()
	f.Close()
	require.Zero(t, f.InFlight())
	for range cap(errs) {
		require.Error(t, <-errs)
	}
	f.http.CloseIdleConnections()
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "net/http.(*conn)") &&
			!strings.Contains(string(stacks), "amazontest.(*Server)")
	}, 10*time.Second, time.Millisecond)
	require.Error(t, f.do(context.Background(), formType, "").err, "nobody listens")
}

func TestCloseEndsHoldsAndWaits(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Hold()
	held := make(chan error, 1)
	go func() { held <- f.do(context.Background(), formType, refreshForm(f.refresh).Encode()).err }()
	require.NoError(t, f.WaitInFlight(t.Context(), 1))
	waiting := make(chan error, 1)
	go func() { waiting <- f.WaitInFlight(context.Background(), 2) }()
	f.Close()
	require.Error(t, <-held)
	require.ErrorContains(t, <-waiting, "closed")
	_, ok := f.AccountOf("")
	require.False(t, ok)
}

func TestHoldMakesConcurrencyDeterministic(t *testing.T) {
	t.Parallel()
	f := start(t)
	two := f.Authorize(clientID, "seller-two")
	release := f.Hold()
	forms := []string{
		refreshForm(f.refresh).Encode(), refreshForm(f.refresh).Encode(),
		refreshForm(two).Encode(), scopeForm(amazontest.ScopeRotation).Encode(),
	}
	results := make(chan result, len(forms))
	for _, form := range forms {
		go func() { results <- f.do(context.Background(), formType, form) }()
	}
	require.NoError(t, f.WaitInFlight(t.Context(), len(forms)))
	require.Empty(t, results)
	require.Equal(t, 2, f.Exchanges("seller-one"))
	require.Equal(t, 1, f.Exchanges("seller-two"))
	require.Equal(t, 1, f.GrantlessExchanges())
	require.Equal(t, 4, f.Requests())
	require.Equal(t, 4, f.InFlight())

	// What a request meets is decided when it passes, not when it came.
	f.SetAccountFault("seller-two", amazontest.Fault{Kind: amazontest.FaultServerError})
	release()
	release()
	statuses := map[int]int{}
	for range forms {
		r := <-results
		require.NoError(t, r.err)
		statuses[r.status]++
	}
	require.Equal(t, map[int]int{200: 3, 500: 1}, statuses)
	require.NoError(t, f.WaitIdle(t.Context()))
	require.Equal(t, 4, f.MaxInFlight())
	require.Zero(t, f.InFlight())
	f.ok(refreshForm(f.refresh))
}

func TestHoldsNest(t *testing.T) {
	t.Parallel()
	f := start(t)
	first, second := f.Hold(), f.Hold()
	first()
	first()
	done := make(chan result, 1)
	go func() { done <- f.do(context.Background(), formType, refreshForm(f.refresh).Encode()) }()
	require.NoError(t, f.WaitInFlight(t.Context(), 1))
	require.Empty(t, done)
	second()
	require.Equal(t, http.StatusOK, (<-done).status)
}

func TestClientThatGivesUpWhileHeld(t *testing.T) {
	t.Parallel()
	f := start(t)
	defer f.Hold()()
	ctx, giveUp := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.do(ctx, formType, refreshForm(f.refresh).Encode()).err }()
	require.NoError(t, f.WaitInFlight(t.Context(), 1))
	giveUp()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, f.WaitIdle(t.Context()))
	require.Equal(t, 1, f.Exchanges("seller-one"))
}

func TestWaitInFlightHeedsItsContext(t *testing.T) {
	t.Parallel()
	f := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.WaitInFlight(ctx, 1), context.Canceled)
	require.NoError(t, f.WaitInFlight(ctx, 0))
}

func TestOneAfterTheOtherIsNeverTwoInFlight(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.http.Transport = &http.Transport{DisableKeepAlives: true}
	for _, kind := range []amazontest.FaultKind{"", amazontest.FaultHugeBody, amazontest.FaultTruncatedBody} {
		if kind != "" {
			f.SetFault(amazontest.Fault{Kind: kind})
		}
		for range 6 {
			_ = f.do(t.Context(), formType, refreshForm(f.refresh).Encode())
		}
	}
	require.Equal(t, 1, f.MaxInFlight())
	require.Equal(t, 18, f.Requests())
}

func TestLastRequest(t *testing.T) {
	t.Parallel()
	f := start(t)
	form, header := f.LastRequest()
	require.Nil(t, form)
	require.Nil(t, header)

	sent := refreshForm(f.refresh)
	f.ok(sent)
	form, header = f.LastRequest()
	require.Equal(t, sent, form)
	require.Equal(t, formType, header.Get("Content-Type"))
	form.Set("grant_type", "mine")
	form, _ = f.LastRequest()
	require.Equal(t, "refresh_token", form.Get("grant_type"))

	f.do(t.Context(), "application/json", `{"grant_type":"client_credentials","scope":"x"}`)
	form, _ = f.LastRequest()
	require.Equal(t, "x", form.Get("scope"))
	require.Equal(t, 1, f.GrantlessExchanges())
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := amazontest.New(amazontest.Options{TokenLifetime: -1})
	require.Error(t, err)
	_, err = amazontest.New(amazontest.Options{Listen: "nonsense"})
	require.Error(t, err)

	s, err := amazontest.New(amazontest.Options{Listen: ":0"})
	require.NoError(t, err)
	defer s.Close()
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL())
	require.Equal(t, s.URL(), s.SPAPIEndpoint())
	require.Equal(t, s.URL()+"/auth/o2/token", s.LWAEndpoint())
	require.Equal(t, s.URL()+"/_control", s.ControlURL())
}

func TestSellingPartnerAPI(t *testing.T) {
	t.Parallel()
	f := start(t)
	live := f.ok(refreshForm(f.refresh)).text("access_token")
	grantless := f.ok(scopeForm(amazontest.ScopeRotation)).text("access_token")
	get := func(path, token string) result {
		header := http.Header{}
		if token != "" {
			header.Set("x-amz-access-token", token)
		}
		return f.call(http.MethodGet, f.SPAPIEndpoint()+path, header, "")
	}
	denied := func(r result, details string) {
		t.Helper()
		require.Equal(t, 403, r.status)
		require.NotEmpty(t, r.header.Get("x-amzn-RequestId"))
		require.JSONEq(t, `{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied.","details":"`+
			details+`"}]}`, string(r.raw))
	}
	const path = "/sellers/v1/marketplaceParticipations"

	r := get(path, live)
	require.Equal(t, 200, r.status)
	require.Equal(t, "0.016", r.header.Get("x-amzn-RateLimit-Limit"))
	require.JSONEq(t, `{"payload":[{"marketplace":{"id":"ATVPDKIKX0DER","countryCode":"US","name":"Amazon.com",
		"defaultCurrencyCode":"USD","defaultLanguageCode":"en_US","domainName":"www.amazon.com"},
		"storeName":"BestSellerStore","participation":{"isParticipating":true,"hasSuspendedListings":false}}]}`, string(r.raw))

	denied(get(path, ""), "Access token is missing in the request header.")
	denied(get(path, "Atza|garbled"), "The access token you provided is revoked, malformed or invalid.")
	denied(get(path, grantless), "")
	f.clock.Advance(time.Hour)
	denied(get(path, live), "The access token you provided has expired.")

	for _, r := range []result{get("/orders", live), f.call(http.MethodPost, f.SPAPIEndpoint()+path, nil, "")} {
		require.Equal(t, 403, r.status)
		require.Contains(t, string(r.raw), `"code":"MissingAuthenticationToken"`)
	}
	require.Equal(t, 7, f.SellingPartnerRequests())
	require.Equal(t, 2, f.Requests())
}
