// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"context"
	"html"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// spends tells which kinds of fault come after Amazon's work, unless told otherwise.
func spends(kind amazontest.FaultKind) bool {
	kinds := amazontest.Faults()
	return slices.Index(kinds, kind) >= slices.Index(kinds, amazontest.FaultDelay)
}

// TestFaultsOfCodeExchanges tells of every fault whether the code can be
// exchanged after it.
func TestFaultsOfCodeExchanges(t *testing.T) {
	t.Parallel()
	for _, kind := range amazontest.Faults() {
		for _, spend := range []bool{false, true} {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				f := startConsent(t)
				code := f.NewCode(clientID, partner, home)
				f.SetAccountFault(partner, amazontest.Fault{Kind: kind, Times: 1, Delay: time.Millisecond, Spend: spend})
				var r result
				if kind == amazontest.FaultHang {
					r = f.afterHang(codeForm(code))
				} else {
					f.do(t.Context(), formType, codeForm(code).Encode())
					r = f.post(codeForm(code))
				}
				if spend || spends(kind) {
					f.refused(r, 400, "invalid_grant", invalidCode)
				} else {
					require.Equal(t, 200, r.status)
				}
				require.Equal(t, 2, f.CodeExchangesOf(partner))
			})
		}
	}
}

// afterHang sends two requests, of which the first to be looked at hangs, and
// returns the answer of the other one.
func (f *fixture) afterHang(form url.Values) result {
	f.t.Helper()
	ctx, giveUp := context.WithCancel(f.t.Context())
	defer giveUp()
	results := make(chan result, 2)
	for range cap(results) {
		go func() { results <- f.do(ctx, formType, form.Encode()) }()
	}
	r := <-results
	giveUp()
	require.Error(f.t, (<-results).err)
	return r
}

func TestAccountFaultHitsTheCodesOfItsAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	mine, other := f.NewCode(clientID, partner, ""), f.NewCode(clientID, otherOne, "")
	f.SetAccountFault(partner, amazontest.Fault{Kind: amazontest.FaultThrottled, Times: 1, RetryAfter: "2"})
	f.ok(codeForm(other))
	require.Equal(t, "2", f.post(codeForm(mine)).header.Get("Retry-After"))
	f.ok(codeForm(mine))
	require.Equal(t, 2, f.CodeExchangesOf(partner))
	require.Equal(t, 1, f.CodeExchangesOf(otherOne))
	require.Zero(t, f.Exchanges(partner), "which counts refresh exchanges")
}

func TestFaultsNameTheCode(t *testing.T) {
	t.Parallel()
	f := start(t)
	code := f.NewCode(clientID, partner, home)
	form := codeForm(code, "redirect_uri", home)
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	f.refused(f.post(form), 400, "invalid_grant", invalidCode)
	for kind, unescape := range map[amazontest.FaultKind]func(string) string{
		amazontest.FaultEcho:            func(s string) string { return strings.ReplaceAll(s, `\u0026`, "&") },
		amazontest.FaultEchoServerError: html.UnescapeString,
	} {
		f.SetFault(amazontest.Fault{Kind: kind, Times: 1})
		r := f.post(form)
		if kind == amazontest.FaultEcho {
			require.Contains(t, r.text("error_description"), invalidCode+". Received: ")
		}
		shown := unescape(string(r.raw))
		require.Contains(t, shown, "code="+code)
		require.Contains(t, shown, form.Encode())
		require.Contains(t, shown, clientSecret)
	}
	f.ok(form)
}

func TestCodeAnswerWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.OmitRefreshToken(true)
	code := f.NewCode(clientID, partner, "")
	r := f.ok(codeForm(code))
	require.NotContains(t, r.body, "refresh_token")
	account, _ := f.AccountOf(r.text("access_token"))
	require.Equal(t, partner, account)
	f.refused(f.post(codeForm(code)), 400, "invalid_grant", invalidCode)
	require.NotEmpty(t, f.ok(refreshForm(f.refresh)).text("refresh_token"), "code exchanges only")

	f.OmitRefreshToken(false)
	require.NotEmpty(t, f.ok(codeForm(f.NewCode(clientID, partner, ""))).text("refresh_token"))
	f.OmitRefreshToken(true)
	f.ClearFaults()
	require.NotEmpty(t, f.ok(codeForm(f.NewCode(clientID, partner, ""))).text("refresh_token"))
}

func TestHoldOfCodeExchanges(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := codeForm(f.NewCode(clientID, partner, "")).Encode()
	release := f.Hold()
	results := make(chan result, 8)
	for range cap(results) {
		go func() { results <- f.do(context.Background(), formType, form) }()
	}
	require.NoError(t, f.WaitInFlight(t.Context(), cap(results)))
	require.Empty(t, results)
	require.Equal(t, cap(results), f.CodeExchangesOf(partner))
	release()
	got := map[int]int{}
	for range cap(results) {
		got[(<-results).status]++
	}
	require.Equal(t, map[int]int{200: 1, 400: 7}, got, "one code, one winner")
}

func TestSpendLosesTheAnswerOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	code := f.NewCode(clientID, partner, "")
	f.SetFault(amazontest.Fault{Kind: amazontest.FaultReset, Times: 1, Spend: true})
	wrong := codeForm(code)
	wrong.Set("client_secret", "wrong")
	require.ErrorIs(t, f.do(t.Context(), formType, wrong.Encode()).err, syscall.ECONNRESET)
	f.ok(codeForm(code))

	f.SetFault(amazontest.Fault{Kind: amazontest.FaultReset, Times: 1, Spend: true})
	require.ErrorIs(t, f.do(t.Context(), formType, refreshForm(f.refresh).Encode()).err, syscall.ECONNRESET)
	f.ok(refreshForm(f.refresh))
}
