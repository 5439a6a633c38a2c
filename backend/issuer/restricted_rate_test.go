// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
)

func TestRateOfRestrictedTokens(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	waited := h.noteWaits()
	for n := range 13 {
		h.restricted(document(strconv.Itoa(n)))
	}
	require.Equal(t, []time.Duration{time.Second, time.Second, time.Second}, *waited, "10 at once, then one a second")
	h.authorize("other")
	h.restricted(shipping("other"))
	require.Len(t, *waited, 3, "the rate is an account's own")
	require.Equal(t, 13, h.amazon.RestrictedCalls("acme"), "none was refused by Amazon")
	require.Equal(t, 2, h.Quotas())
	h.clock.Advance(time.Minute)
	h.Tidy()
	require.Zero(t, h.Quotas())
}

// A reader waits for the rate as long as an exchange may take, and is told then; a
// slot is free for others meanwhile.
func TestReadersBeyondTheRate(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout, c.MaxConcurrentExchanges = 2*time.Second, 1 })
	waiting, gate := make(chan time.Duration, 100), make(chan time.Time)
	h.after = func(d time.Duration) <-chan time.Time {
		if d == 0 {
			return time.After(0)
		}
		waiting <- d
		return gate
	}
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	done := make(chan error, 2)
	for _, id := range []string{"a", "b"} {
		go func() {
			_, err := h.Restricted(h.context(), document(id))
			done <- err
		}()
		<-waiting
	}
	failed := h.restrictedFailure(document("c"))
	require.Equal(t, fault.RateLimited, failed.Kind)
	require.Equal(t, 3*time.Second, failed.RetryAfter)
	require.Contains(t, failed.Error(), "3s")
	h.restricted(document("1")) // which is in memory
	require.Equal(t, 10, h.amazon.RestrictedCalls("acme"))
	h.authorize("other")
	h.token("other") // the only slot is free
	h.clock.Advance(2 * time.Second)
	close(gate)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	waited := h.noteWaits()
	h.restricted(document("c")) // which is not held against it
	require.Equal(t, []time.Duration{time.Second}, *waited, "nor is its place in the line, which it did not take")
}

// When Amazon says that the rate is exhausted, nothing more is asked for the
// account until there is some again.
func TestAmazonSaysThatTheRateIsExhausted(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.SetRestrictedQuota(time.Second, 1)
	waited := h.noteWaits()
	h.restricted(document("1"))
	require.Empty(t, *waited)
	h.restricted(document("2"))
	require.Equal(t, 3, h.amazon.RestrictedCalls("acme"), "asked once more, after a wait")
	require.Equal(t, []time.Duration{time.Second}, *waited)
	h.restricted(document("3"))
	require.Equal(t, 4, h.amazon.RestrictedCalls("acme"), "after a wait of ours, not a refusal of Amazon's")

	h.amazon.SetRestrictedQuota(time.Hour, 1)
	h.restricted(document("4"))
	require.Equal(t, fault.RateLimited, h.restrictedFailure(document("5")).Kind)
	require.Equal(t, 8, h.amazon.RestrictedCalls("acme"), "and not more often")
}

func TestRenewalOfRestrictedTokens(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges = 1 })
	first, _ := h.restricted(shipping("acme"))
	h.clock.Advance(25 * time.Minute)
	again, _ := h.restricted(shipping("acme"))
	require.True(t, again.AccessToken.Equal(first.AccessToken), "no reader waits")
	h.Settle()
	renewed, _ := h.restricted(shipping("acme"))
	require.False(t, renewed.AccessToken.Equal(first.AccessToken))
	require.Equal(t, 2, h.amazon.RestrictedCalls("acme"))
	require.Nil(t, renewed.Failure)
}

// Ahead of need nothing waits for the rate: it would keep the renewals of others.
func TestRenewalBeyondTheRate(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.restricted(shipping("acme"))
	h.clock.Advance(25 * time.Minute)
	h.after = func(d time.Duration) <-chan time.Time {
		require.Zero(h.t, d, "nobody waits")
		return time.After(0)
	}
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	h.restricted(shipping("acme"))
	h.Settle()
	storage := h.storage.calls.Load()
	for range 10 {
		later, _ := h.restricted(shipping("acme"))
		require.Nil(t, later.Failure, "nothing is wrong")
	}
	h.Settle()
	require.Equal(t, storage, h.storage.calls.Load(), "nor is it tried at each read")
	require.Equal(t, 11, h.amazon.RestrictedCalls("acme"))
	h.clock.Advance(2 * time.Second)
	h.restricted(shipping("acme"))
	h.Settle()
	require.Equal(t, 12, h.amazon.RestrictedCalls("acme"))

	// Nor does it ask again where Amazon counts otherwise.
	h.amazon.SetRestrictedQuota(time.Hour, 1)
	h.clock.Advance(25 * time.Minute)
	h.token("acme")
	h.restricted(document("last"))
	h.Settle()
	calls := h.amazon.RestrictedCalls("acme")
	h.restricted(shipping("acme"))
	h.Settle()
	h.clock.Advance(2 * time.Minute)
	h.restricted(shipping("acme"))
	h.Settle()
	require.Equal(t, calls+2, h.amazon.RestrictedCalls("acme"))
}

// What nobody wants any more, when its turn comes, is not asked for.
func TestAccountChangedWhileARestrictedTokenWaits(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	waiting, gate := make(chan time.Duration, 100), make(chan time.Time)
	h.after = func(d time.Duration) <-chan time.Time {
		waiting <- d
		return gate
	}
	done := make(chan error, 1)
	go func() {
		_, err := h.Restricted(h.context(), document("a"))
		done <- err
	}()
	require.Equal(t, time.Second, <-waiting)
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Region = "eu" })
	require.Equal(t, time.Second, <-waiting, "the reader asks for another, in the same place of the line")
	h.clock.Advance(time.Second)
	close(gate)
	require.NoError(t, <-done)
	h.Settle()
	require.Equal(t, 11, h.amazon.RestrictedCalls("acme"))
}

func TestRetiredRestrictedTokens(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	first, _ := h.restricted(shipping("acme"))
	h.RetireRestricted("acme", first.Request, credential.New("Atz.sprdt|other"))
	h.RetireRestricted("other", first.Request, first.AccessToken)
	h.RetireRestricted("acme", "other", first.AccessToken)
	h.Retire("acme", first.AccessToken)
	same, _ := h.restricted(shipping("acme"))
	require.True(t, same.AccessToken.Equal(first.AccessToken))
	h.RetireRestricted("acme", first.Request, first.AccessToken)
	second, _ := h.restricted(shipping("acme"))
	require.False(t, second.AccessToken.Equal(first.AccessToken))
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "the access token stays")
}

// Memory is bounded: where there are too many, the token that expires first goes.
func TestTooManyRestrictedTokens(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	scope := h.grantless(lwa.ScopeNotifications)
	h.LimitDerivations(4)
	for _, id := range []string{"1", "2", "3"} {
		h.restricted(document(id))
		h.clock.Advance(time.Minute)
	}
	require.Equal(t, 4, h.Derivations())
	h.restricted(document("4"))
	require.Equal(t, 4, h.Derivations())
	require.True(t, h.grantless(lwa.ScopeNotifications).AccessToken.Equal(scope.AccessToken), "it is none of them")
	h.restricted(document("2"))
	require.Equal(t, 4, h.amazon.RestrictedCalls("acme"))
	h.restricted(document("1"))
	require.Equal(t, 5, h.amazon.RestrictedCalls("acme"), "the first one went")

	release := h.amazon.HoldSellingPartner()
	done := make(chan result, 3)
	for _, id := range []string{"a", "b", "c"} {
		go func() {
			issued, err := h.Restricted(h.context(), document(id))
			done <- result{issued, err}
		}()
	}
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 3))
	require.Equal(t, fault.Full, h.restrictedFailure(document("d")).Kind)
	release()
	for range 3 {
		require.NoError(t, (<-done).err)
	}
	h.Settle()
	h.clock.Advance(61 * time.Minute)
	h.Tidy()
	require.Zero(t, h.Derivations(), "nothing is kept of what expired")
}
