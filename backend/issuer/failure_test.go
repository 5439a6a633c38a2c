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
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// Whatever Amazon answers, what is stored stays, but for a refresh token that
// Amazon itself changed.
func TestNothingAmazonSaysDestroysACredential(t *testing.T) {
	t.Parallel()
	for _, kind := range amazontest.Faults() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.authorize("acme")
			h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = 100 * time.Millisecond })
			before := h.storedRefreshToken("acme")
			send := amazontest.Fault{Kind: kind}
			if kind == amazontest.FaultDelay {
				send.Delay = time.Millisecond
			}
			if kind == amazontest.FaultChangedRefreshToken {
				send.Changed = "Atzr|changed"
				before = send.Changed
			}
			h.amazon.SetFault(send)
			_, _ = h.Token(h.context(), "acme", 0)
			require.Equal(t, before, h.storedRefreshToken("acme"))
			config, err := h.store.Config(t.Context())
			require.NoError(t, err)
			require.Equal(t, clientSecret, config.Secret.Value.Reveal())

			h.amazon.ClearFaults()
			h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = time.Minute })
			h.clock.Advance(24 * time.Hour) // beyond any lifetime and back-off
			h.token("acme")
			require.Equal(t, store.Active, h.state("acme").State)
		})
	}
}

func TestInvalidGrant(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.amazon.RevokeAuthorization("acme")
	h.clock.Advance(time.Hour)
	failed := h.failure("acme")
	require.Equal(t, fault.InvalidGrant, failed.Kind)
	require.NotEmpty(t, failed.Description)
	info := h.state("acme")
	require.Equal(t, store.ReauthorizationRequired, info.State)
	require.Contains(t, info.LastError, "invalid_grant")

	h.Settle()
	puts := h.storage.puts.Load()
	for range 20 {
		h.clock.Advance(2 * time.Second)
		require.Equal(t, fault.InvalidGrant, h.failure("acme").Kind)
	}
	require.Equal(t, 2, h.amazon.Exchanges("acme"), "Amazon is not asked again for a minute")
	h.clock.Advance(20 * time.Second)
	h.failure("acme")
	require.Equal(t, 3, h.amazon.Exchanges("acme"), "but after it")
	h.Settle()
	require.Equal(t, puts, h.storage.puts.Load(), "and a state that did not change is not written again")

	h.start() // the state is known after a restart
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)

	h.failure("acme")
	h.authorize("acme")
	require.Equal(t, store.Unverified, h.state("acme").State, "another refresh token, another state")
	h.token("acme")
	require.Equal(t, store.Active, h.state("acme").State)
	require.Empty(t, h.state("acme").LastError)
}

func TestReauthorizedElsewhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	h.failure("acme")
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)
	h.clock.Advance(time.Minute)
	h.token("acme")
	require.Equal(t, store.Active, h.state("acme").State, "Amazon took it back")
}

func TestBackoffPerAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.authorize("other")
	h.amazon.SetAccountFault("acme", amazontest.Fault{Kind: amazontest.FaultForbidden}) // not repeated within an exchange
	exchanges := 0
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		require.Equal(t, fault.BadAnswer, h.failure("acme").Kind)
		exchanges++
		require.Equal(t, exchanges, h.amazon.Exchanges("acme"))
		h.clock.Advance(time.Duration(seconds)*time.Second - time.Millisecond)
		h.failure("acme")
		require.Equal(t, exchanges, h.amazon.Exchanges("acme"), "too early after failure %d", exchanges)
		h.clock.Advance(time.Millisecond)
	}
	h.token("other")
	h.amazon.ClearFaults()
	h.token("acme")
}

func TestRetryAfterIsRemembered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultThrottled, RetryAfter: "300", Times: 1})
	require.Equal(t, fault.RateLimited, h.failure("acme").Kind)
	h.clock.Advance(5*time.Minute - time.Second)
	require.Equal(t, fault.RateLimited, h.failure("acme").Kind)
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
	h.clock.Advance(time.Second)
	h.token("acme")
}

func TestInvalidClientIsTheApplicationsFault(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, name := range []string{"one", "two", "three"} {
		h.authorize(name)
	}
	h.amazon.ExpireSecret(clientID, clientSecret)
	for _, name := range []string{"one", "two", "three", "one"} {
		failed := h.failure(name)
		require.Equal(t, fault.InvalidClient, failed.Kind)
		require.Equal(t, name, failed.Account)
		require.Equal(t, store.Unverified, h.state(name).State, "no account is touched")
	}
	require.Equal(t, 1, h.amazon.Requests(), "one exchange for all")
	h.clock.Advance(10 * time.Second)
	h.failure("two")
	require.Equal(t, 2, h.amazon.Requests())

	h.amazon.RotateSecret(clientID, "amzn1.oa2-cs.v1.two")
	h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New("amzn1.oa2-cs.v1.two")}, func(*store.Config) {})
	h.token("one") // at once
}

func TestTwoSecrets(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	// The new one is written before Amazon accepts it everywhere.
	h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New("amzn1.oa2-cs.v1.two")}, func(*store.Config) {})
	requests := h.amazon.Requests()
	h.token("acme")
	require.Equal(t, requests+2, h.amazon.Requests(), "the new one, then the old one")
	h.clock.Advance(time.Hour)
	h.token("acme")
	require.Equal(t, requests+3, h.amazon.Requests(), "which worked last is used first")

	h.amazon.RotateSecret(clientID, "amzn1.oa2-cs.v1.two")
	h.amazon.ExpireSecret(clientID, clientSecret)
	h.clock.Advance(time.Hour)
	h.token("acme")
	require.Equal(t, requests+5, h.amazon.Requests())
	h.clock.Advance(time.Hour)
	h.token("acme")
	require.Equal(t, requests+6, h.amazon.Requests())
}

func TestPreviousSecretIsNotUsedBeyondItsOverlap(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New("amzn1.oa2-cs.v1.two")}, func(*store.Config) {})
	h.clock.Advance(7 * 24 * time.Hour)
	requests := h.amazon.Requests()
	require.Equal(t, fault.InvalidClient, h.failure("acme").Kind)
	require.Equal(t, requests+1, h.amazon.Requests())
}

func TestNoFreeSlot(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("hung")
	h.authorize("acme")
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges, c.RequestTimeout = 1, time.Minute })
	h.amazon.SetAccountFault("hung", amazontest.Fault{Kind: amazontest.FaultHang})
	_ = h.readers(h.context(), "hung", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	// The bound holds while the time limit changes under it.
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = 50 * time.Millisecond })
	failed := h.failure("acme")
	require.Equal(t, fault.Unavailable, failed.Kind)
	require.Contains(t, failed.Message, "max_concurrent_exchanges")
	require.Zero(t, h.amazon.Exchanges("acme"))
	require.Equal(t, 1, h.amazon.MaxInFlight())
}

func TestStorageFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.storage.Underlying().FailGet(true)
	require.Equal(t, fault.Storage, h.failure("acme").Kind)
	h.storage.Underlying().FailGet(false)
	h.token("acme") // not remembered
}

func TestStatusThatCannotBeStored(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.storage.Underlying().FailPut(true)
	h.token("acme")
	h.Settle()
	h.storage.Underlying().FailPut(false)
	require.Equal(t, store.Active, h.state("acme").State, "memory knows")
	h.start()
	require.Equal(t, store.Unverified, h.state("acme").State, "storage does not")
	h.token("acme")
	h.start()
	require.Equal(t, store.Active, h.state("acme").State, "until the next exchange says it again")
}

func TestChangedRefreshTokenIsStoredBeforeUse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	before := h.storedRefreshToken("acme")
	fingerprint := h.state("acme").Fingerprint
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	h.storage.Underlying().FailPut(true)
	for range 3 {
		require.Equal(t, fault.Unsaved, h.failure("acme").Kind, "no access token before the refresh token is stored")
	}
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "and no second exchange")
	require.Equal(t, before, h.storedRefreshToken("acme"))
	h.storage.Underlying().FailPut(false)
	h.Tidy() // needs no reader
	require.Eventually(t, func() bool { return h.storedRefreshToken("acme") == "Atzr|changed" }, patience, time.Millisecond)
	h.token("acme")
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "neither the access token nor the refresh token was lost")
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
	require.NotEqual(t, fingerprint, h.state("acme").Fingerprint)
	h.clock.Advance(time.Hour)
	h.token("acme")
	form, _ := h.amazon.LastRequest()
	require.Equal(t, "Atzr|changed", form.Get("refresh_token"))
}

func TestChangedRefreshTokenDoesNotUndoAWrite(t *testing.T) {
	t.Parallel()
	h, results, release := bringsChanged(t, (*harness).context)
	written := h.amazon.Authorize(clientID, "acme")
	h.writeAccount(issuer.AccountChange{Name: "acme", RefreshToken: credential.New(written)}, nil)
	release()
	require.NoError(t, (<-results).err)
	require.NoError(t, h.amazon.WaitIdle(h.context()))
	h.Close() // waits for the exchange that nobody waits for
	stored := h.storedRefreshToken("acme")
	require.Contains(t, []string{written, "Atzr|changed"}, stored)
	account, err := h.store.Account(t.Context(), "acme")
	require.NoError(t, err)
	if stored != written {
		form, _ := h.amazon.LastRequest()
		require.Equal(t, written, form.Get("refresh_token"), "only an exchange of what the operator wrote may change it")
		require.NotEmpty(t, account.CredentialID)
	}
}
