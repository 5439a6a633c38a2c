// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestMinTTL(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	first := h.token("acme")
	require.Equal(t, 30*time.Minute, first.MinTTL)
	require.Equal(t, time.Hour, first.Left)

	h.clock.Advance(10 * time.Minute)
	same, err := h.Token(h.context(), "acme", 50*time.Minute)
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, same.AccessToken, "50 minutes are left")
	require.NoError(t, h.amazon.WaitIdle(h.context()))

	h.clock.Advance(time.Second)
	newer, err := h.Token(h.context(), "acme", 55*time.Minute)
	require.NoError(t, err)
	require.GreaterOrEqual(t, newer.Left, 55*time.Minute)
	require.NotEqual(t, first.AccessToken, newer.AccessToken)
}

func TestMinTTLOfTheAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.TokenMinTTL = 5 * time.Minute })
	require.Equal(t, 5*time.Minute, h.token("acme").MinTTL)
	h.clock.Advance(55 * time.Minute)
	require.Equal(t, 5*time.Minute, h.token("acme").Left)
	shorter, err := h.Token(h.context(), "acme", time.Second)
	require.NoError(t, err)
	require.Equal(t, time.Second, shorter.MinTTL, "a read may ask for less than the account's")
}

func TestShortLifetime(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetTokenLifetime(20 * time.Minute)
	first := h.token("acme")
	require.Equal(t, 10*time.Minute, first.MinTTL, "half the lifetime takes the place of 30 minutes")
	for range 10 {
		h.token("acme")
	}
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
	h.clock.Advance(10*time.Minute + time.Second)
	require.NotEqual(t, first.AccessToken, h.token("acme").AccessToken)
}

func TestRenewedAheadOfNeed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	first := h.token("acme")

	h.clock.Advance(20 * time.Minute) // 40 minutes are left: 30 and a third of the other 30
	require.Equal(t, first.AccessToken, h.token("acme").AccessToken)
	h.Settle()
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "not yet")

	release := h.amazon.Hold()
	h.clock.Advance(time.Second)
	for range 50 {
		require.Equal(t, first.AccessToken, h.token("acme").AccessToken, "readers do not wait for Amazon")
	}
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	release()
	require.Eventually(t, func() bool { return h.token("acme").AccessToken != first.AccessToken }, patience, time.Millisecond)
	require.NoError(t, h.amazon.WaitIdle(h.context()))
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
}

// A reader that looked before a renewal landed does not start another.
func TestRenewalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	h := due(t)
	h.token("acme")
	h.Settle()
	h.Renew("acme")
	h.Settle()
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
}

func TestColdAccountIsNotRenewed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.clock.Advance(50 * time.Minute)
	h.Tidy()
	h.Settle()
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "nobody reads it")
}

func TestFailedRenewal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	first := h.token("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
	h.clock.Advance(25 * time.Minute)
	h.token("acme")
	require.Eventually(t, func() bool { return h.token("acme").Failure != nil }, patience, time.Millisecond)
	issued := h.token("acme")
	h.Settle()
	require.Equal(t, first.AccessToken, issued.AccessToken)
	require.False(t, issued.Stale, "35 minutes are left")
	require.Equal(t, 2, h.amazon.Exchanges("acme"), "and Amazon is left alone meanwhile")
}

func TestStaleIfAmazonFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []amazontest.FaultKind{amazontest.FaultServerError, amazontest.FaultReset, amazontest.FaultThrottled, amazontest.FaultOKNotJSON} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.authorize("acme")
			first := h.token("acme")
			h.amazon.SetFault(amazontest.Fault{Kind: kind})

			h.clock.Advance(45 * time.Minute)
			stale := h.token("acme")
			require.Equal(t, first.AccessToken, stale.AccessToken)
			require.True(t, stale.Stale)
			require.NotNil(t, stale.Failure)

			h.clock.Advance(14 * time.Minute) // 60 seconds are left
			require.True(t, h.token("acme").Stale)

			h.clock.Advance(time.Second)
			require.True(t, h.failure("acme").Kind.Transient(), "under a minute it is no use any more")

			h.clock.Advance(time.Hour)
			h.amazon.ClearFaults()
			fresh := h.token("acme")
			require.Nil(t, fresh.Failure)
			require.NotEqual(t, first.AccessToken, fresh.AccessToken)
		})
	}
}

// What Amazon says about the credentials is not hidden behind an old token.
func TestNotStaleIfAmazonRefuses(t *testing.T) {
	t.Parallel()
	for kind, want := range map[amazontest.FaultKind]fault.Kind{
		amazontest.FaultInvalidGrant: fault.InvalidGrant, amazontest.FaultInvalidClient: fault.InvalidClient, amazontest.FaultUnauthorizedClient: fault.UnauthorizedClient,
	} {
		h := newHarness(t)
		h.authorize("acme")
		h.token("acme")
		h.amazon.SetFault(amazontest.Fault{Kind: kind})
		h.clock.Advance(45 * time.Minute)
		require.Equal(t, want, h.failure("acme").Kind)
	}
}

func TestTokenThatExpiresOnTheWay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetTokenLifetime(10 * time.Second)
	release := h.amazon.Hold()
	results := h.readers(h.context(), "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.clock.Advance(10 * time.Second)
	release()
	require.Equal(t, fault.BadAnswer, fault.KindOf((<-results).err))
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "and Amazon is not asked in a loop")
}
