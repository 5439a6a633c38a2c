// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// grantless reads a token that must be there.
func (h *harness) grantless(scope string) *issuer.Issued {
	h.t.Helper()
	issued, err := h.Grantless(h.context(), scope, 0)
	require.NoError(h.t, err)
	return issued
}

func TestOneGrantlessTokenForAScope(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.start()
	exchanges := h.amazon.GrantlessExchanges()
	release := h.amazon.Hold()
	results := make(chan *issuer.Issued, 100)
	for range 100 {
		go func() {
			issued, _ := h.Grantless(h.context(), lwa.ScopeNotifications, 0)
			results <- issued
		}()
	}
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	release()
	first := <-results
	require.NotNil(t, first)
	for range 99 {
		issued := <-results
		require.NotNil(t, issued)
		require.True(t, issued.AccessToken.Equal(first.AccessToken))
	}
	require.Equal(t, exchanges+1, h.amazon.GrantlessExchanges())
	require.Equal(t, "na", first.Region)
	require.Equal(t, "https://sellingpartnerapi-na.amazon.com", first.Endpoint)
	other := h.grantless(lwa.ScopeRotation)
	require.False(t, other.AccessToken.Equal(first.AccessToken))
	require.Equal(t, exchanges+2, h.amazon.GrantlessExchanges())

	h.Settle()
	calls, requests := h.storage.calls.Load(), h.amazon.Requests()
	require.True(t, h.CachedGrantless(lwa.ScopeNotifications, 0).AccessToken.Equal(first.AccessToken))
	require.Nil(t, h.CachedGrantless(lwa.ScopeMigration, 0))
	require.Equal(t, calls, h.storage.calls.Load())
	require.Equal(t, requests, h.amazon.Requests())
}

func TestGrantlessTokensAndTheConfig(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.grantless(lwa.ScopeNotifications)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.TokenMinTTL = 40 * time.Minute })
	require.True(t, h.grantless(lwa.ScopeNotifications).AccessToken.Equal(first.AccessToken))
	h.clock.Advance(21 * time.Minute)
	second := h.grantless(lwa.ScopeNotifications)
	require.False(t, second.AccessToken.Equal(first.AccessToken))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Region = "eu" })
	third := h.grantless(lwa.ScopeNotifications)
	require.False(t, third.AccessToken.Equal(second.AccessToken))
	require.Equal(t, "eu", third.Region)
	require.NoError(t, h.DeleteConfig(t.Context()))
	_, err := h.Grantless(h.context(), lwa.ScopeNotifications, 0)
	require.Equal(t, fault.NotConfigured, fault.KindOf(err))
}

func TestGrantlessTokensWhileAmazonFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.grantless(lwa.ScopeNotifications)
	h.clock.Advance(31 * time.Minute)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	stale := h.grantless(lwa.ScopeNotifications)
	require.True(t, stale.Stale)
	require.True(t, stale.AccessToken.Equal(first.AccessToken))
	require.Equal(t, 1, h.log.with("[WARN]", "no grantless token", lwa.ScopeNotifications))
	require.Zero(t, h.log.with("no grantless token", "account="))
	h.clock.Advance(29 * time.Minute)
	_, err := h.Grantless(h.context(), lwa.ScopeNotifications, 0)
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	h.amazon.ClearFaults()
	h.clock.Advance(2 * time.Minute)
	h.grantless(lwa.ScopeNotifications)
	h.clock.Advance(3 * time.Hour)
	h.Tidy()
	require.Zero(t, h.Derivations())
}

// A scope that Amazon refuses says nothing about the others.
func TestRefusedScope(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := h.Grantless(h.context(), lwa.ScopeMigration, 0)
	require.Equal(t, fault.InvalidScope, fault.KindOf(err))
	requests := h.amazon.Requests()
	_, err = h.Grantless(h.context(), lwa.ScopeMigration, 0)
	require.Equal(t, fault.InvalidScope, fault.KindOf(err))
	require.Equal(t, requests, h.amazon.Requests(), "not asked again at once")
	h.grantless(lwa.ScopeNotifications)
	h.clock.Advance(61 * time.Second)
	_, _ = h.Grantless(h.context(), lwa.ScopeMigration, 0)
	require.Equal(t, requests+2, h.amazon.Requests())
}

func TestRetiredGrantlessTokens(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.grantless(lwa.ScopeNotifications)
	h.RetireGrantless(lwa.ScopeNotifications, credential.New("Atza|other"))
	h.RetireGrantless(lwa.ScopeRotation, first.AccessToken)
	require.True(t, h.grantless(lwa.ScopeNotifications).AccessToken.Equal(first.AccessToken))
	h.RetireGrantless(lwa.ScopeNotifications, first.AccessToken)
	require.False(t, h.grantless(lwa.ScopeNotifications).AccessToken.Equal(first.AccessToken))
}

// Neither an account's name nor a scope's reaches the tokens of the other.
func TestScopesAreNoAccounts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.grantless(lwa.ScopeNotifications)
	require.Equal(t, fault.UnknownAccount, h.failure(lwa.ScopeNotifications).Kind)
	require.Equal(t, fault.UnknownAccount, h.failure("").Kind)
}
