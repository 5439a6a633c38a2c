// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// A denial is remembered, as every failure is, and readers of a token that is still
// good are told of it.
func TestDeniedAccessIsRemembered(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.AccessDenied, fault.BadAnswer} {
		denied := fault.New(kind, "no")
		h, spapi := scripted(t, denied, denied)
		for range 5 {
			require.Equal(t, kind, fault.KindOf(h.restrictedError(shipping("acme"))))
		}
		require.Len(t, spapi.calls, 1)
		h.clock.Advance(1001 * time.Millisecond)
		require.Error(t, h.restrictedError(shipping("acme")))
		require.Len(t, spapi.calls, 2)

		h, spapi = scripted(t)
		require.NoError(t, h.restrictedError(shipping("acme")))
		h.clock.Advance(25 * time.Minute)
		spapi.script = []*fault.Error{denied}
		require.NoError(t, h.restrictedError(shipping("acme")))
		h.Settle()
		for range 5 {
			due, err := h.Restricted(h.context(), shipping("acme"))
			require.NoError(t, err)
			require.Equal(t, kind, due.Failure.Kind)
			h.Settle()
		}
		require.Len(t, spapi.calls, 2)
	}
}

// Who comes in an outage does not stand in the line.
func TestNoLineInAnOutage(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	for n := range 9 {
		require.NoError(t, h.restrictedError(document(strconv.Itoa(n))))
	}
	spapi.script = []*fault.Error{fault.New(fault.Unavailable, "down")}
	require.Error(t, h.restrictedError(document("a")))
	waited := h.noteWaits()
	require.Equal(t, fault.Unavailable, fault.KindOf(h.restrictedError(document("b"))))
	require.Empty(t, *waited)
}

// However long the access token took, who finds a place free takes it.
func TestSlowAccessTokenAndTheRate(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	release := h.amazon.Hold()
	done := h.reading(shipping("acme"))
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.clock.Advance(11 * time.Second)
	release()
	require.NoError(t, (<-done).err)
}

// Calls that fail together are one failure.
func TestFailuresAtOnceCountOnce(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	h.token("acme")
	spapi.held, spapi.gate = make(chan struct{}, 10), make(chan struct{})
	var readers []<-chan result
	for n := range 10 {
		spapi.script = append(spapi.script, fault.New(fault.Unavailable, "down"))
		readers = append(readers, h.reading(document(strconv.Itoa(n))))
	}
	for range 10 {
		<-spapi.held
	}
	close(spapi.gate)
	for _, reader := range readers {
		require.Equal(t, fault.Unavailable, fault.KindOf((<-reader).err))
	}
	h.clock.Advance(1001 * time.Millisecond)
	require.NoError(t, h.restrictedError(document("x")))
}

// Who stands in the line when Amazon fails, or asks to wait, does not ask on.
func TestLineInAnOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said *fault.Error
		want fault.Kind
	}{
		"down":        {fault.New(fault.Unavailable, "down"), fault.Unavailable},
		"retry after": {&fault.Error{Kind: fault.RateLimited, Message: "slow down", RetryAfter: 5 * time.Minute}, fault.RateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, spapi := scripted(t)
			for n := range 10 {
				require.NoError(t, h.restrictedError(document(strconv.Itoa(n))))
			}
			turns := make(chan chan time.Time, 3)
			h.after = func(time.Duration) <-chan time.Time {
				turn := make(chan time.Time)
				turns <- turn
				return turn
			}
			var readers []<-chan result
			var gates []chan time.Time
			for _, id := range []string{"a", "b", "c"} {
				readers = append(readers, h.reading(document(id)))
				gates = append(gates, <-turns)
			}
			spapi.script = []*fault.Error{c.said}
			for n, gate := range gates {
				close(gate)
				require.Equal(t, c.want, fault.KindOf((<-readers[n]).err))
			}
			require.Len(t, spapi.calls, 11)
		})
	}
}

// What an endpoint fails with says nothing about another one, nor what an account
// fails with about the one that takes its name.
func TestFailuresAreOfAnEndpointAndAnAccount(t *testing.T) {
	t.Parallel()
	limited := &fault.Error{Kind: fault.RateLimited, Message: "slow down", RetryAfter: time.Hour}
	for _, said := range []*fault.Error{limited, fault.New(fault.Unavailable, "down"), fault.New(fault.InvalidResources, "no")} {
		h, spapi := scripted(t, said)
		require.Error(t, h.restrictedError(shipping("acme")))
		h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.SPAPIEndpoint, c.Sandbox = "", true })
		require.NoError(t, h.restrictedError(document("2")))
		require.NoError(t, h.restrictedError(shipping("acme")))
		require.Len(t, spapi.calls, 3)

		h, spapi = scripted(t, said)
		require.Error(t, h.restrictedError(shipping("acme")))
		require.NoError(t, h.DeleteAccount(t.Context(), "acme"))
		require.Equal(t, fault.UnknownAccount, fault.KindOf(h.restrictedError(shipping("acme"))))
		require.Equal(t, fault.UnknownAccount, fault.KindOf(h.restrictedError(document("1"))))
		h.authorize("acme")
		require.NoError(t, h.restrictedError(shipping("acme")))
		require.Len(t, spapi.calls, 2)
	}
}

// When the seller has withdrawn, that is what the reader hears, whatever Amazon
// said before.
func TestRefusedAccessTokenOfARevokedAuthorization(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	require.NoError(t, h.restrictedError(shipping("acme")))
	h.clock.Advance(10 * time.Minute)
	h.amazon.RevokeAuthorization("acme")
	spapi.script = []*fault.Error{fault.New(fault.AccessTokenRefused, "no")}
	_, err := h.Restricted(h.context(), issuer.RestrictedRead{Role: "shipping", Account: "acme", MinTTL: 55 * time.Minute})
	require.Equal(t, fault.InvalidGrant, fault.KindOf(err))
}

// A reader who needs more waits for the rate, also behind a renewal to which Amazon
// said that it is exhausted.
func TestReaderBehindARenewalThatAmazonLimited(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	require.NoError(t, h.restrictedError(shipping("acme")))
	h.clock.Advance(25 * time.Minute)
	spapi.script = []*fault.Error{fault.New(fault.RateLimited, "slow down")}
	require.NoError(t, h.restrictedError(shipping("acme")))
	h.Settle()
	require.Len(t, spapi.calls, 2)
	issued, err := h.Restricted(h.context(), issuer.RestrictedRead{Role: "shipping", Account: "acme", MinTTL: 50 * time.Minute})
	require.NoError(t, err)
	require.False(t, issued.Stale)
	require.Greater(t, issued.Left, 59*time.Minute)
}

// Restricted data tokens of an account whose exchanges hang do not keep those of
// others from being renewed.
func TestRenewalsBesideAHungAccount(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.authorize("other")
	h.amazon.SetRestrictedQuota(time.Millisecond, 1000)
	for n := range 20 {
		h.restricted(document(strconv.Itoa(n)))
		h.clock.Advance(time.Second)
	}
	h.restricted(shipping("other"))
	h.clock.Advance(25 * time.Minute)
	h.Retire("acme", h.token("acme").AccessToken)
	h.Settle()
	h.amazon.SetAccountFault("acme", amazontest.Fault{Kind: amazontest.FaultHang})
	exchanges := h.amazon.Exchanges("acme")
	for n := range 20 {
		h.restricted(document(strconv.Itoa(n)))
	}
	h.token("other")
	require.Eventually(t, func() bool { return h.amazon.Exchanges("other") == 2 }, patience, time.Millisecond)
	h.Settle()
	require.Equal(t, exchanges, h.amazon.Exchanges("acme"), "nobody waits ahead of need for what hangs")
}

// A failure that ends by itself is not remembered for what comes after it.
func TestRestrictedTokenBehindAnUnsavedOne(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	h.storage.Underlying().FailPut(true)
	require.Equal(t, fault.Unsaved, h.restrictedFailure(shipping("acme")).Kind)
	h.storage.Underlying().FailPut(false)
	h.Tidy()
	h.Settle()
	h.restricted(shipping("acme"))
}

// Reads that an account refuses cost no storage.
func TestRestrictedReadsOfADisabledAccount(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
	require.Equal(t, fault.Disabled, h.restrictedFailure(shipping("acme")).Kind)
	calls := h.storage.calls.Load()
	for range 5 {
		require.Equal(t, fault.Disabled, h.restrictedFailure(shipping("acme")).Kind)
	}
	require.Equal(t, calls, h.storage.calls.Load())
}

// Readers in the line are told why, when the plugin goes.
func TestLineAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	waiting := make(chan struct{}, 1)
	h.after = func(time.Duration) <-chan time.Time {
		waiting <- struct{}{}
		return nil
	}
	done := h.reading(document("a"))
	<-waiting
	h.Close()
	err := (<-done).err
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.ErrorContains(t, err, "shutting down")
}
