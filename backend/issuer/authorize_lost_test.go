// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
)

// loseOnce makes one write below a prefix fail whose effect remains.
func (h *harness) loseOnce(prefix string) { h.storage.lostOnce.Store(&prefix) }

// An account that was stored is answered as stored, also if the first attempt to
// store it seemed to fail.
func TestAccountWhoseWriteSeemedToFail(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	h.loseOnce("account/")
	info, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)
	require.Equal(t, partner, info.SellingPartnerID)
	issued, err := h.Token(h.context(), "shop", 0)
	require.NoError(t, err)
	h.requireLive(partner, issued)
	require.Zero(t, h.amazon.Exchanges(partner), "the access token that came with the code is in memory")
}

// A claim that seemed to fail is undone: nothing was sent.
func TestClaimWhoseWriteSeemedToFail(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	h.loseOnce("authorization/")
	failed := h.refusedCallback(callback)
	require.Equal(t, fault.Storage, failed.Kind)
	require.NotContains(t, failed.Error(), "may be spent")
	_, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)

	callback = h.given(store.Authorization{Account: "second"})
	h.storage.lost.Store(true)
	require.Contains(t, h.refusedCallback(callback).Error(), "the state may be spent by it")
	h.storage.lost.Store(false)
}

// Closing waits for a code that is on its way, although its caller hung up: the
// process ends next.
func TestClosingWaitsForACallback(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	release := h.amazon.Hold()
	ctx, hangUp := context.WithCancel(h.context())
	done, storedAtClose := make(chan error, 1), make(chan bool, 1)
	go func() {
		_, err := h.CompleteAuthorization(ctx, callback)
		done <- err
	}()
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 1))
	hangUp()
	go func() {
		h.Close()
		account, err := h.store.Account(context.Background(), "shop")
		storedAtClose <- err == nil && account != nil
	}()
	require.Eventually(t, h.Closing, patience, time.Millisecond)
	release()
	require.NoError(t, <-done)
	require.True(t, <-storedAtClose)
	require.Contains(t, h.storedRefreshToken("shop"), "Atzr|")

	_, err := h.CompleteAuthorization(h.context(), callback)
	require.ErrorContains(t, err, "shutting down")
	_, err = h.Migrate(h.context(), issuer.Migration{Account: "other"})
	require.ErrorContains(t, err, "shutting down")
}

// A callback does not wait while others' states are tidied.
func TestTidyingHoldsUpNobody(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.given(store.Authorization{Account: "old"})
	h.clock.Advance(2 * time.Hour)
	callback := h.given(store.Authorization{Account: "shop"})
	deleting, gate := make(chan struct{}), make(chan struct{})
	hold := func(string) error {
		h.storage.beforeDelete.Store(nil) // the callback's own
		close(deleting)
		<-gate
		return nil
	}
	h.storage.beforeDelete.Store(&hold)
	tidied := make(chan struct{})
	go func() {
		h.TidyAuthorizations(context.Background())
		close(tidied)
	}()
	<-deleting
	_, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)
	close(gate)
	<-tidied
}

// A cluster that may not write leaves tidying to the one that may, each minute,
// without a word.
func TestTidyingWhereNothingMayBeWritten(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.given(store.Authorization{Account: "old"})
	h.clock.Advance(2 * time.Hour)
	asked := 0
	refuse := func(string) error {
		asked++
		return logical.ErrReadOnly
	}
	h.storage.beforeDelete.Store(&refuse)
	h.TidyAuthorizations(t.Context())
	require.Equal(t, 1, asked)
	require.Zero(t, h.log.with("could not be removed"))
}

// A client id that changes while a code is on its way leaves the account with the
// application that it is for: none here.
func TestClientIDThatChangesDuringACallback(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	release := h.amazon.Hold()
	done := make(chan error, 1)
	go func() {
		_, err := h.CompleteAuthorization(h.context(), callback)
		done <- err
	}()
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 1))
	h.writeConfig(issuer.ConfigChange{Force: true, ClientSecret: credential.New("amzn1.oa2-cs.v1.two")}, func(c *store.Config) { c.ClientID = "amzn1.application-oa2-client.two" })
	release()
	err := <-done
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.True(t, fault.Of(err).Spent)
	account, err := h.store.Account(t.Context(), "shop")
	require.NoError(t, err)
	require.Nil(t, account)
}

// A filter lists the statuses once, however few accounts are wanted.
func TestFilterIsLinear(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range 600 {
		h.writeAccount(issuer.AccountChange{Name: fmt.Sprintf("a%03d", n), RefreshToken: credential.New("Atzr|x")}, func(a *store.Account) { a.Enabled = n != 599 })
	}
	names, err := h.store.AccountNames(t.Context())
	require.NoError(t, err)
	for _, limit := range []int{1, 7, 1000} {
		lists := h.storage.lists.Load()
		selected, err := h.SelectAccounts(t.Context(), names, issuer.AccountFilter{State: store.Disabled}, limit)
		require.NoError(t, err)
		require.Len(t, selected, 1)
		require.True(t, strings.HasPrefix(selected[0].Name, "a599"))
		require.EqualValues(t, 1, h.storage.lists.Load()-lists)
	}
	selected, err := h.SelectAccounts(t.Context(), names, issuer.AccountFilter{State: store.Unverified}, 3)
	require.NoError(t, err)
	require.Len(t, selected, 3)
}
