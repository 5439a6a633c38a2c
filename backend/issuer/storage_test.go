// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// A status that is slow to store keeps neither the reader nor a slot.
func TestReaderDoesNotWaitForStatus(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges = 1 })
	h.authorize("acme")
	h.authorize("other")
	held, release := h.holdPuts("status/")
	defer release()
	h.token("acme")
	<-held
	h.token("other")
	require.Equal(t, store.Active, h.state("acme").State, "memory knows what is still being stored")
}

// What was found out last is what stays, however slow storage is.
func TestStatusesAreStoredInOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	h.failure("acme")
	h.Settle()
	h.clock.Advance(time.Minute)
	held, release := h.holdPuts("status/")
	h.token("acme") // finds out that it is active
	<-held
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	h.clock.Advance(time.Hour)
	h.failure("acme") // finds out that it is not, while that is being stored
	release()
	h.start()
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)
}

// What another node found out later is not hidden by a token of before.
func TestStatusFoundOutElsewhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Settle()
	account, err := h.store.Account(t.Context(), "acme")
	require.NoError(t, err)
	h.clock.Advance(time.Minute)
	require.NoError(t, store.New(h.storage).SetStatus(t.Context(), "acme", store.Status{
		CredentialID: account.CredentialID, State: store.ReauthorizationRequired, At: h.clock.Now(),
	}))
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)
}

// Nor does a writer of another account that shares its lock.
func TestReaderDoesNotWaitForWriters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	locks, neighbour := locksutil.CreateLocks(), ""
	for n := 0; neighbour == ""; n++ {
		if name := fmt.Sprint("n", n); locksutil.LockForKey(locks, name) == locksutil.LockForKey(locks, "acme") {
			neighbour = name
		}
	}
	held, release := h.holdPuts("account/" + neighbour)
	written := make(chan error, 1)
	go func() {
		_, _, err := h.WriteAccount(h.context(), issuer.AccountChange{Name: neighbour, RefreshToken: credential.New("x"), Apply: func(*store.Account) error { return nil }})
		written <- err
	}()
	<-held
	h.token("acme")
	release()
	require.NoError(t, <-written)
}

// Closing waits for the write of a changed refresh token.
func TestClosingLosesNoChangedRefreshToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed"})
	held, release := h.holdPuts("account/")
	_ = h.readers(h.context(), "acme", 1)
	<-held
	closed := make(chan struct{})
	go func() { h.Close(); close(closed) }()
	require.Eventually(t, func() bool { return h.Closing() }, patience, time.Millisecond)
	release()
	<-closed
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

// If storage fails while a refresh token is proven, nothing is stored: it was
// not Amazon that could not be asked.
func TestProofThatStorageFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	before := h.storedRefreshToken("acme")
	require.NoError(t, h.storage.InmemStorage.Put(t.Context(), &logical.StorageEntry{Key: "config", Value: []byte("{")}))
	_, _, err := h.WriteAccount(t.Context(), issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New("Atzr|cut"), Apply: func(*store.Account) error { return nil }})
	require.Equal(t, fault.Storage, fault.KindOf(err))
	require.Equal(t, before, h.storedRefreshToken("acme"))
}

// What was stored although storage said it failed is not hidden by memory.
func TestLostAnswersOfStorage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Settle()
	h.storage.lost.Store(true)
	_, _, err := h.WriteAccount(t.Context(), issuer.AccountChange{Name: "acme", Apply: func(a *store.Account) error { a.Enabled = false; return nil }})
	require.Equal(t, fault.Storage, fault.KindOf(err))
	require.Equal(t, fault.Disabled, h.failure("acme").Kind)
	require.Error(t, h.DeleteAccount(t.Context(), "acme"))
	require.Equal(t, fault.UnknownAccount, h.failure("acme").Kind)
	require.Error(t, h.DeleteConfig(t.Context()))
	require.Equal(t, fault.NotConfigured, h.failure("acme").Kind)
}

// The token of an account that another node deleted leaves memory with it.
func TestAccountDeletedElsewhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Settle()
	require.NoError(t, store.New(h.storage).DeleteAccount(t.Context(), "acme", func() {}))
	h.Invalidate("account/acme")
	require.Equal(t, fault.UnknownAccount, h.failure("acme").Kind)
	require.Empty(t, h.Remembered())
}

func TestInventedNamesAreNotKept(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.failure("nobody")
	require.NoError(t, h.DeleteConfig(t.Context()))
	for n := range 100 {
		h.failure(fmt.Sprint("name", n))
	}
	require.Empty(t, h.Remembered())
}
