// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// drain asks until there is no more, and tells how often there was.
func (f *fixture) drain(token, body string) int {
	f.t.Helper()
	for n := 0; ; n++ {
		require.Less(f.t, n, 100)
		r := f.restrict(token, body)
		if r.status != http.StatusTooManyRequests {
			continue
		}
		f.spError(r, 429, "QuotaExceeded", "You exceeded your quota for the requested resource.", "")
		require.Equal(f.t, "TooManyRequestsException", r.header.Get("X-Amzn-Errortype"))
		require.Empty(f.t, r.header.Get("Retry-After"))
		require.Empty(f.t, r.header.Get("x-amzn-RateLimit-Limit"))
		return n
	}
}

func TestRestrictedQuota(t *testing.T) {
	t.Parallel()
	f := start(t)
	body := resources("GET", addressOfAny)
	seller, again := f.seller(), f.seller()
	require.Equal(t, 10, f.drain(seller, body))
	require.Zero(t, f.drain(again, body), "one bucket for both tokens")
	f.clock.Advance(time.Second - 1)
	require.Zero(t, f.drain(seller, body), "refused ones took nothing, and gave nothing")
	f.clock.Advance(1)
	require.Equal(t, 1, f.drain(seller, body))
	f.clock.Advance(3 * time.Second)
	require.Equal(t, 3, f.drain(again, body))
	f.clock.Advance(time.Minute)
	require.Equal(t, 10, f.drain(seller, body), "no more than the burst")
	require.Equal(t, 24+6, f.RestrictedCalls("seller-one"))
}

func TestRestrictedQuotaIsOfOneApplicationAndAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	body := resources("GET", addressOfAny)
	f.AddClient("other", "other-secret")
	form := refreshForm(f.Authorize("other", "seller-one"))
	form.Set("client_id", "other")
	form.Set("client_secret", "other-secret")
	tokens := []string{
		f.seller(),
		f.ok(refreshForm(f.Authorize(clientID, "seller-two"))).text("access_token"),
		f.ok(form).text("access_token"),
	}
	for _, token := range tokens {
		require.Equal(t, 10, f.drain(token, body))
	}
}

func TestRestrictedQuotaCountsRefusals(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	require.Equal(t, 10, f.drain(seller, `{}`))
	f.clock.Advance(5 * time.Second)
	require.Equal(t, 415, f.sp(http.MethodPost, tokensPath, seller, formType, "").status)
	require.Equal(t, 4, f.drain(seller, resources("GET", addressOfAny)))

	f.clock.Advance(time.Second)
	f.restrict("", `{}`)
	f.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultServerError, Times: 1})
	require.Equal(t, 500, f.restrict(seller, `{}`).status)
	require.Equal(t, 1, f.drain(seller, `{}`), "neither was looked at")
}

func TestRestrictedQuotaCanBeSet(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	body := resources("GET", addressOfAny)
	require.Equal(t, 10, f.drain(seller, body))
	f.SetRestrictedQuota(2*time.Second, 1)
	require.Equal(t, "0.5", f.restrict(seller, body).header.Get("x-amzn-RateLimit-Limit"))
	require.Zero(t, f.drain(seller, body))
	f.clock.Advance(2 * time.Second)
	require.Equal(t, 1, f.drain(seller, body))
	f.SetRestrictedQuota(time.Second, 0)
	require.Zero(t, f.drain(seller, body))
	f.SetRestrictedQuota(0, 0)
	for range 50 {
		r := f.restrict(seller, body)
		require.Equal(t, 200, r.status)
		require.NotContains(t, r.header, "X-Amzn-Ratelimit-Limit")
	}
	require.Panics(t, func() { f.SetRestrictedQuota(-1, 1) })
	require.Panics(t, func() { f.SetRestrictedQuota(1, -1) })
}
