// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// allDue has n accounts that were read when their tokens had come up for
// renewal, while Amazon answers nothing.
func allDue(t *testing.T, n int, apply func(*store.Config)) (h *harness, release func()) {
	t.Helper()
	h = newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, apply)
	for account := range n {
		h.authorize(fmt.Sprint("hot", account))
		h.token(fmt.Sprint("hot", account))
	}
	h.Settle()
	h.clock.Advance(25 * time.Minute)
	release = h.amazon.Hold()
	for account := range n {
		h.token(fmt.Sprint("hot", account)) // of before, at once
	}
	return h, release
}

// busy has one slot, which the exchange of another account has until release,
// after an account that arrange has brought. Others wait for it for a second.
func busy(t *testing.T, arrange func(h *harness)) (h *harness, release func()) {
	t.Helper()
	h = newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges, c.RequestTimeout = 1, 2*patience })
	arrange(h)
	h.Settle()
	letGo := h.amazon.Hold()
	t.Cleanup(letGo)
	h.authorize("slow")
	slow := h.readers(h.context(), "slow", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = time.Second })
	return h, func() {
		t.Helper()
		letGo()
		require.NoError(t, (<-slow).err)
	}
}

// When very many tokens come due at once, their renewals wait in line, leave
// slots to readers that cannot wait, and none is forgotten.
func TestManyRenewalsAtOnce(t *testing.T) {
	t.Parallel()
	const accounts = 300
	h, release := allDue(t, accounts, func(c *store.Config) { c.MaxConcurrentExchanges = 8 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 4))
	workers, waiting := h.Renewing()
	require.Equal(t, 4, workers)
	require.Equal(t, accounts-4, waiting, "in line, not in goroutines")
	h.token("hot299")
	_, waiting = h.Renewing()
	require.Equal(t, accounts-4, waiting, "once each")

	h.authorize("cold")
	results := h.readers(h.context(), "cold", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 5))
	require.Equal(t, 1, h.amazon.Exchanges("cold"), "half of the slots is left to readers that wait")

	release()
	require.NoError(t, (<-results).err)
	h.Settle()
	for account := range accounts {
		require.Equal(t, 2, h.amazon.Exchanges(fmt.Sprint("hot", account)))
	}
	require.LessOrEqual(t, h.amazon.MaxInFlight(), 8)
}

// A renewal that finds all slots taken waits for longer than a reader would:
// nothing failed yet.
func TestRenewalsWaitForASlot(t *testing.T) {
	t.Parallel()
	h, release := busy(t, func(h *harness) {
		h.authorize("hot")
		h.token("hot")
	})
	h.clock.Advance(25 * time.Minute)
	h.token("hot")
	require.Eventually(t, func() bool { workers, _ := h.Renewing(); return workers == 1 }, patience, time.Millisecond)
	h.authorize("impatient")
	require.Contains(t, h.failure("impatient").Message, "no slot")
	release()
	h.Settle()
	require.Nil(t, h.token("hot").Failure)
	require.Equal(t, 2, h.amazon.Exchanges("hot"))
}

// A reader whose token does not last until its renewal's turn does not wait for
// that turn.
func TestReaderOvertakesItsRenewal(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 3, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.clock.Advance(10 * time.Minute) // now they are below their minimum
	results := h.readers(h.context(), "hot2", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 2))
	require.Equal(t, 2, h.amazon.Exchanges("hot2"))
	h.amazon.SetAccountFault("hot2", amazontest.Fault{Kind: amazontest.FaultHang}) // it is in flight still when its turn comes
	release()
	require.Eventually(t, func() bool { workers, _ := h.Renewing(); return workers == 0 }, patience, time.Millisecond)
	for account := range 3 {
		require.Equal(t, 2, h.amazon.Exchanges(fmt.Sprint("hot", account)), "its turn finds nothing to do")
	}
	h.Close()
	require.Error(t, (<-results).err)
}

// With fewer slots there are fewer renewals at a time, too.
func TestRenewalsKeepToAChangedConfig(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 20, func(c *store.Config) { c.MaxConcurrentExchanges = 8 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 4))
	for account := range 20 {
		if name := fmt.Sprint("hot", account); h.amazon.Exchanges(name) == 1 {
			h.amazon.SetAccountFault(name, amazontest.Fault{Kind: amazontest.FaultHang})
		}
	}
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	release()
	require.Eventually(t, func() bool { workers, _ := h.Renewing(); return workers == 1 }, patience, time.Millisecond)
	h.Close()
}

// Closing does not work off what is in line.
func TestClosingWithRenewalsInLine(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 20, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	calls := h.storage.calls.Load()
	h.Close()
	require.Equal(t, 21, h.amazon.Requests())
	require.Equal(t, calls, h.storage.calls.Load())
}

// What another node wrote is read again, and the token that is still good is
// given meanwhile, also while it is being renewed: once.
func TestInvalidationDuringARenewal(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 1, func(c *store.Config) { c.RequestTimeout = 2 * patience })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	for range 5 {
		h.Invalidate(store.PrefixAccount + "hot0")
		h.token("hot0")
		h.token("hot0")
	}
	release()
	h.Settle()
	require.Equal(t, 2, h.amazon.Exchanges("hot0"))
}

// Nor does it start another while the refresh token that Amazon changed in it is
// being stored: the one before may be worth nothing any more.
func TestInvalidationWhileAChangedRefreshTokenIsStored(t *testing.T) {
	t.Parallel()
	h := due(t)
	held, release := h.holdPuts(store.PrefixAccount)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Times: 1})
	h.token("acme")
	<-held
	h.Invalidate(store.PrefixAccount + "acme")
	h.amazon.RevokeAuthorization("acme")
	for range 3 {
		h.token("acme")
	}
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
	release()
	h.Settle()
	require.Equal(t, store.Active, h.state("acme").State)
}

// A reader whose token does not suffice waits for a slot as long as others do,
// and no longer, also if its account stands in line.
func TestReaderDoesNotStandInLine(t *testing.T) {
	t.Parallel()
	var first credential.Secret
	h, release := busy(t, func(h *harness) {
		h.authorize("hot")
		first = h.token("hot").AccessToken
	})
	h.clock.Advance(25 * time.Minute)
	h.token("hot")
	h.clock.Advance(10 * time.Minute) // now it is below its minimum
	issued := h.token("hot")
	require.Equal(t, first, issued.AccessToken)
	require.True(t, issued.Stale)
	require.Contains(t, issued.Failure.Message, "no slot")
	release()
}

// Workers that a smaller bound took away come back with a larger one.
func TestRenewalsGrowAgain(t *testing.T) {
	t.Parallel()
	const accounts = 50
	h, release := allDue(t, accounts, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges = 16 })
	for account := range accounts {
		h.token(fmt.Sprint("hot", account))
	}
	workers, _ := h.Renewing()
	require.Equal(t, 8, workers)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 8))
	release()
	h.Settle()
	for account := range accounts {
		require.Equal(t, 2, h.amazon.Exchanges(fmt.Sprint("hot", account)))
	}
}

// What was dropped while it stood in line is not fetched again for nobody.
func TestRenewalsOfDroppedTokens(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 20, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Region = "eu" })
	release()
	h.Settle()
	require.Equal(t, 21, h.amazon.Requests())
}

// A token that is not due any more is not renewed, also if memory does not know
// its account when its turn comes.
func TestRenewalAfterAnInvalidation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Invalidate(store.PrefixAccount + "acme")
	h.Renew("acme")
	h.Settle()
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
}

// A hung account takes one slot, and from its second failure on less and less
// of Amazon's time.
func TestHungAccountStarvesNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	h.authorize("hung")
	h.amazon.SetAccountFault("hung", amazontest.Fault{Kind: amazontest.FaultHang})
	hung := h.readers(h.context(), "hung", 50)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	for account := range 20 {
		h.authorize(fmt.Sprint("healthy", account))
		h.token(fmt.Sprint("healthy", account))
	}
	require.Equal(t, 1, h.amazon.Exchanges("hung"))
	h.Close()
	for range 50 {
		require.Error(t, (<-hung).err)
	}
}

// An exchange whose account changed while it waited for a slot is not made.
func TestExchangeThatNobodyWantsAnyMore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges, c.RequestTimeout = 1, time.Minute })
	h.authorize("slow")
	h.authorize("acme")
	release := h.amazon.Hold()
	defer release()
	slow := h.readers(h.context(), "slow", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))

	read := make(chan struct{}, 10)
	hook := func(key string) {
		if key == "account/acme" {
			read <- struct{}{}
		}
	}
	h.storage.afterGet.Store(&hook)
	acme := h.readers(h.context(), "acme", 1)
	<-read
	h.storage.afterGet.Store(nil)
	h.authorize("acme")
	release()
	require.NoError(t, (<-slow).err)
	require.NoError(t, (<-acme).err)
	h.Settle()
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "with the new refresh token only")
}

func TestClosedIssuerAnswers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.Close()
	for range 2 {
		require.Equal(t, fault.Unavailable, h.failure("acme").Kind)
	}
}

// Asking for what is not in memory puts nothing there.
func TestCachedRemembersNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	require.Nil(t, h.Cached("nobody", 0))
	require.Empty(t, h.Remembered())
}

// Whatever an exchange reads of the config is in force from then on.
func TestConfigReadByAnExchangeIsInForce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.authorize("other")
	h.token("acme")
	require.NoError(t, h.store.UpdateConfig(t.Context(), func(c *store.Config) (*store.Config, error) {
		changed := *c
		changed.TokenMinTTL = 5 * time.Minute
		return &changed, nil
	}, func(*store.Config) {}))
	h.token("other")
	require.Equal(t, 5*time.Minute, h.token("acme").MinTTL)
}
