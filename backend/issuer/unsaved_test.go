// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// changedAndUnsaved has a refresh token that Amazon changed and storage did not
// take.
func changedAndUnsaved(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	h.storage.Underlying().FailPut(true)
	require.Equal(t, fault.Unsaved, h.failure("acme").Kind)
	h.storage.Underlying().FailPut(false)
	return h
}

// bringsChanged has an exchange in the air, which one reader waits for, and which
// brings another refresh token once it is released.
func bringsChanged(t *testing.T, ctx func(*harness) context.Context) (h *harness, reader <-chan result, release func()) {
	t.Helper()
	h = newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	release = h.amazon.Hold()
	t.Cleanup(release)
	reader = h.readers(ctx(h), "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	return h, reader, release
}

func TestUnsavedTokenIsFreshOrReplaced(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	h.clock.Advance(50 * time.Minute)
	issued := h.token("acme")
	require.GreaterOrEqual(t, issued.Left, issued.MinTTL)
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

func TestUnsavedTokenOutlivesOtherChanges(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
	require.Equal(t, fault.Disabled, h.failure("acme").Kind)
	h.Tidy()
	h.Settle()
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"), "also of an account that gives no token")
}

// Readers do not make storage fail again at each read, and what they are told is
// what the operator sees.
func TestUnsavedTokenIsNotTriedAtEachRead(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	puts := h.storage.puts.Load()
	told := h.failure("acme")
	require.Equal(t, fault.Unsaved, told.Kind)
	require.Equal(t, puts, h.storage.puts.Load())
	require.Equal(t, told.Error(), h.state("acme").LastError)
	require.Contains(t, told.Error(), "kept in memory only")
	require.Equal(t, 1, h.log.with("[ERROR]", "could be lost", "account=acme"))

	h.storage.Underlying().FailPut(true)
	h.clock.Advance(time.Second)
	require.Equal(t, fault.Unsaved, h.failure("acme").Kind)
	h.storage.Underlying().FailPut(false)
	h.clock.Advance(time.Second)
	require.Equal(t, fault.Unsaved, h.failure("acme").Kind, "the wait doubles")
	h.clock.Advance(time.Second)
	h.token("acme")
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
	require.Empty(t, h.state("acme").LastError)
	require.Equal(t, 2, h.log.with("[ERROR]", "could be lost"), "once for each attempt")
	require.Equal(t, 1, h.log.with("[INFO]", "the new one is stored", "account=acme"))
	require.Zero(t, h.log.with("Atzr|"))
	h.Settle()
	calls := h.storage.calls.Load()
	h.Tidy()
	h.Settle()
	require.Equal(t, calls, h.storage.calls.Load(), "there is nothing left to store")

	h.clock.Advance(time.Hour)
	h.token("acme")
	form, _ := h.amazon.LastRequest()
	require.Equal(t, "Atzr|changed", form.Get("refresh_token"))
}

// A token that is still good goes on being given, with a warning.
func TestUnsavedTokenOfAHotAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	good := h.token("acme").AccessToken
	h.Settle()
	h.clock.Advance(25 * time.Minute)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	h.storage.Underlying().FailPut(true)
	require.Equal(t, good, h.token("acme").AccessToken)
	h.Settle()
	issued := h.token("acme")
	require.Equal(t, good, issued.AccessToken)
	require.Equal(t, fault.Unsaved, issued.Failure.Kind)
	h.storage.Underlying().FailPut(false)
	h.clock.Advance(time.Second)
	h.token("acme")
	h.Settle()
	require.NotEqual(t, good, h.token("acme").AccessToken, "the one that came with it is not lost")
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
}

// A seal or a reload is the last moment.
func TestClosingSavesWhatIsUnsaved(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	h.start()
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

func TestClosingTellsWhatIsLost(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	h.storage.Underlying().FailPut(true)
	h.Close()
	require.Equal(t, 2, h.log.with("[ERROR]", "could be lost", "account=acme"))
}

// What is to be stored of an account that was deleted is dropped with it.
func TestUnsavedTokenOfADeletedAccount(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	require.NoError(t, h.DeleteAccount(t.Context(), "acme"))
	h.Tidy()
	h.Settle()
	require.Equal(t, fault.UnknownAccount, h.failure("acme").Kind)
	h.start()
	require.Equal(t, fault.UnknownAccount, h.failure("acme").Kind)
}

func TestUnsavedTokenYieldsToTheOperators(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	written := h.amazon.Authorize(clientID, "acme")
	h.writeAccount(issuer.AccountChange{Name: "acme", RefreshToken: credential.New(written)}, nil)
	h.token("acme")
	require.Equal(t, written, h.storedRefreshToken("acme"))
}

// An operator's write that fails invalidates what was read: the token that is
// still good is given all the same, and storage is not tried at each read.
func TestUnsavedTokenAndAnInvalidation(t *testing.T) {
	t.Parallel()
	for _, key := range []string{store.PrefixAccount + "acme", store.KeyConfig} {
		h := due(t)
		h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
		h.storage.Underlying().FailPut(true)
		h.token("acme")
		h.Settle()
		h.clock.Advance(2 * time.Second) // past the first wait
		h.Invalidate(key)
		for range 10 {
			require.Equal(t, fault.Unsaved, h.token("acme").Failure.Kind, key)
		}
		h.Settle()
		require.Equal(t, 2, h.log.with("[ERROR]", "could be lost"), "once by the renewal, once by the first read after the invalidation")
	}
}

// It is stored while others wait for Amazon: that needs no slot.
func TestUnsavedTokenDoesNotWaitInLine(t *testing.T) {
	t.Parallel()
	h, release := allDue(t, 5, func(c *store.Config) { c.MaxConcurrentExchanges = 2 })
	defer release()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.authorize("acme")
	h.amazon.SetAccountFault("acme", amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	h.storage.Underlying().FailPut(true)
	acme := h.readers(h.context(), "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 2))
	release()
	require.Error(t, (<-acme).err)
	h.storage.Underlying().FailPut(false)
	defer h.amazon.Hold()()
	h.Tidy()
	require.Eventually(t, func() bool { return h.storedRefreshToken("acme") == "Atzr|changed" }, patience, time.Millisecond)
}

// Nobody waits for an exchange any more whose account was disabled meanwhile: what
// Amazon changed in it is not lost.
func TestUnsavedTokenOfASupersededExchange(t *testing.T) {
	t.Parallel()
	h, reader, release := bringsChanged(t, (*harness).context)
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
	require.Equal(t, fault.Disabled, fault.KindOf((<-reader).err))
	h.Tidy()
	h.storage.Underlying().FailPut(true)
	release()
	h.Settle()
	h.storage.Underlying().FailPut(false)
	h.Tidy()
	h.Settle()
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

// Nor if storage failed a reader meanwhile, who learned nothing of the account.
func TestUnsavedTokenWhileNothingIsKnownOfTheAccount(t *testing.T) {
	t.Parallel()
	ctx, giveUp := context.WithCancel(t.Context())
	h, reader, release := bringsChanged(t, func(*harness) context.Context { return ctx })
	giveUp()
	require.Equal(t, fault.Canceled, fault.KindOf((<-reader).err))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Region = "eu" })
	h.Invalidate(store.PrefixAccount + "acme")
	h.storage.Underlying().FailGet(true)
	require.Equal(t, fault.Storage, h.failure("acme").Kind)
	release()
	require.Eventually(t, func() bool { return h.log.with("could be lost") == 1 }, patience, time.Millisecond)
	h.storage.Underlying().FailGet(false)
	h.Settle()
	h.Tidy()
	h.Settle()
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

// Once it is stored, nobody is told any more that it is not.
func TestUnsavedTokenIsStoredAndThenAmazonFails(t *testing.T) {
	t.Parallel()
	h := changedAndUnsaved(t)
	h.clock.Advance(50 * time.Minute)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidClient})
	require.Equal(t, fault.InvalidClient, h.failure("acme").Kind)
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
	require.NotContains(t, h.state("acme").LastError, "memory only")
}

// On a node that may not write, a refresh token that another one stored since is
// the newer.
func TestUnsavedTokenYieldsToAnotherNodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	readOnly := func(context.Context, string) error { return logical.ErrReadOnly }
	h.storage.beforePut.Store(&readOnly)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|secondary", Times: 1})
	require.Equal(t, fault.Unsaved, h.failure("acme").Kind)
	h.storage.beforePut.Store(nil)
	require.NoError(t, store.New(h.storage).UpdateAccount(t.Context(), "acme", func(a *store.Account) (*store.Account, error) {
		a.RefreshToken, a.Fingerprint = credential.New("Atzr|primary"), ""
		return a, nil
	}, func(*store.Account) {}))
	h.Invalidate(store.PrefixAccount + "acme")
	h.Tidy()
	h.Settle()
	require.Equal(t, "Atzr|primary", h.storedRefreshToken("acme"))
	require.Equal(t, 1, h.log.with("[ERROR]", "could be lost"), "not once a minute for ever")
}
