// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestColdReadersCauseOneExchange(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	release := h.amazon.Hold()
	results := h.readers(h.context(), "acme", 200)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	release()
	var first string
	for range 200 {
		r := <-results
		require.NoError(t, r.err)
		h.requireLive("acme", r.issued)
		if first == "" {
			first = r.issued.AccessToken.Reveal()
		}
		require.Equal(t, first, r.issued.AccessToken.Reveal())
	}
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
}

func TestReaderThatGivesUpCancelsNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	release := h.amazon.Hold()
	impatient, giveUp := context.WithCancel(h.context())
	first := h.readers(impatient, "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	others := h.readers(h.context(), "acme", 20)
	giveUp()
	require.Equal(t, fault.Canceled, fault.KindOf((<-first).err), "who gives up is answered at once")
	release()
	for range 20 {
		r := <-others
		require.NoError(t, r.err)
		h.requireLive("acme", r.issued)
	}
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
}

func TestCachedReadCallsNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Settle()
	storage, requests := h.storage.calls.Load(), h.amazon.Requests()
	h.storage.Underlying().FailGet(true)
	for range 100 {
		h.token("acme")
	}
	require.Equal(t, storage, h.storage.calls.Load())
	require.Equal(t, requests, h.amazon.Requests())
}

func TestHealthyExchangeWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme") // unverified to active: one write
	h.Settle()
	puts := h.storage.puts.Load()
	for range 5 {
		h.clock.Advance(time.Hour)
		h.token("acme")
	}
	h.Settle()
	require.Equal(t, 6, h.amazon.Exchanges("acme"))
	require.Equal(t, puts, h.storage.puts.Load())
}

func TestHungAccountDelaysNoOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("hung")
	h.authorize("acme")
	h.amazon.SetAccountFault("hung", amazontest.Fault{Kind: amazontest.FaultHang})
	ctx, cancel := context.WithCancel(h.context())
	hung := h.readers(ctx, "hung", 10)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.token("acme")
	cancel()
	for range 10 {
		require.Error(t, (<-hung).err)
	}
}

func TestAccountChangedDuringExchange(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	other := h.amazon.Authorize(clientID, "new owner")
	changes := map[string]struct {
		change    func(name string)
		kind      fault.Kind // of the readers' error
		owner     string     // of the readers' token, if they get one
		exchanges int        // of the account under its first owner
	}{
		"new refresh token": {
			change: func(name string) {
				h.writeAccount(issuer.AccountChange{Name: name, RefreshToken: credential.New(other)}, nil)
			},
			owner:     "new owner",
			exchanges: 1,
		},
		"other region": {
			change: func(name string) {
				h.writeAccount(issuer.AccountChange{Name: name}, func(a *store.Account) { a.Region = "fe" })
			},
			owner:     "other region",
			exchanges: 2,
		},
		"metadata": {
			change: func(name string) {
				h.writeAccount(issuer.AccountChange{Name: name}, func(a *store.Account) { a.Metadata = store.NewMetadata(map[string]string{"a": "b"}) })
			},
			owner:     "metadata",
			exchanges: 1,
		},
		"invalidated": {
			change:    func(name string) { h.Invalidate("account/" + name) },
			owner:     "invalidated",
			exchanges: 1,
		},
		"disabled": {
			change: func(name string) {
				h.writeAccount(issuer.AccountChange{Name: name}, func(a *store.Account) { a.Enabled = false })
			},
			kind:      fault.Disabled,
			exchanges: 1,
		},
		"deleted": {
			change:    func(name string) { require.NoError(t, h.DeleteAccount(t.Context(), name)) },
			kind:      fault.UnknownAccount,
			exchanges: 1,
		},
	}
	for name, c := range changes {
		h.authorize(name)
		release := h.amazon.Hold()
		results := h.readers(h.context(), name, 10)
		require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
		c.change(name)
		release()
		for range 10 {
			r := <-results
			if c.owner == "" {
				require.Equal(t, c.kind, fault.KindOf(r.err), name)
				continue
			}
			require.NoError(t, r.err, name)
			h.requireLive(c.owner, r.issued)
			if name == "metadata" {
				require.Equal(t, "b", r.issued.Account.Metadata.Map()["a"], "the reader is told what is stored now")
			}
		}
		require.NoError(t, h.amazon.WaitIdle(h.context()))
		require.Equal(t, c.exchanges, h.amazon.Exchanges(name), name)
	}
}

func TestConfigChangedDuringExchange(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	release := h.amazon.Hold()
	results := h.readers(h.context(), "acme", 10)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	require.NoError(t, h.DeleteConfig(t.Context()))
	release()
	for range 10 {
		require.Equal(t, fault.NotConfigured, fault.KindOf((<-results).err))
	}
}

func TestCachedTokenIsDropped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(h *harness)
		dropped bool
	}{
		"region": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Region = "eu" })
		}, true},
		"refresh token": {func(h *harness) { h.authorize("acme") }, true},
		"metadata": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Metadata = store.NewMetadata(map[string]string{"a": "b"}) })
		}, false},
		"disabled and enabled": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
			require.Equal(h.t, fault.Disabled, h.failure("acme").Kind)
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = true })
		}, true},
		"config deleted and written": {func(h *harness) {
			require.NoError(h.t, h.DeleteConfig(h.t.Context()))
			require.Equal(h.t, fault.NotConfigured, h.failure("acme").Kind)
			h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New(clientSecret)}, func(c *store.Config) { c.ClientID, c.LWAEndpoint = clientID, h.amazon.LWAEndpoint() })
		}, true},
		"config's region": {func(h *harness) { h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Region = "fe" }) }, true},
		"config's time limit": {func(h *harness) {
			h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = time.Second })
		}, false},
		"account invalidated": {func(h *harness) { h.Invalidate("account/acme") }, false},
		"config invalidated":  {func(h *harness) { h.Invalidate("config") }, false},
		"another account":     {func(h *harness) { h.authorize("other") }, false},
		"deleted and recreated": {func(h *harness) {
			require.NoError(h.t, h.DeleteAccount(h.t.Context(), "acme"))
			require.Equal(h.t, fault.UnknownAccount, h.failure("acme").Kind)
			h.authorize("acme")
		}, true},
		"restart": {func(h *harness) { h.start() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.authorize("acme")
			before := h.token("acme").AccessToken.Reveal()
			c.change(h)
			after := h.token("acme").AccessToken.Reveal()
			require.Equal(t, c.dropped, before != after)
		})
	}
}

func TestInvalidatedConfigIsReadAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	require.Equal(t, "https://sellingpartnerapi-na.amazon.com", h.token("acme").Endpoint)
	other := store.New(h.storage) // as the active node of a cluster writes
	require.NoError(t, other.UpdateConfig(t.Context(), func(c *store.Config) (*store.Config, error) {
		c.Sandbox = true
		return c, nil
	}, func(*store.Config) {}))
	h.Invalidate("config")
	require.Equal(t, "https://sandbox.sellingpartnerapi-na.amazon.com", h.token("acme").Endpoint)
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
}

// What another node changed is not served from before.
func TestTokenOfAnotherGeneration(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	first := h.token("acme").AccessToken
	other := store.New(h.storage)
	require.NoError(t, other.UpdateAccount(t.Context(), "acme", func(a *store.Account) (*store.Account, error) {
		a.Generation = store.NewID()
		return a, nil
	}, func(*store.Account) {}))
	h.Invalidate("account/acme")
	second := h.token("acme").AccessToken
	require.False(t, first.Equal(second))
	require.NoError(t, other.UpdateConfig(t.Context(), func(c *store.Config) (*store.Config, error) {
		c.Generation = store.NewID()
		return c, nil
	}, func(*store.Config) {}))
	h.Invalidate("config")
	require.False(t, second.Equal(h.token("acme").AccessToken))
}

// A config that was read before it was changed is not kept after.
func TestConfigChangedWhileItIsRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.Invalidate("config")
	reading, gate := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	hook := func(key string) {
		if key == "config" && held.CompareAndSwap(false, true) {
			close(reading)
			<-gate
		}
	}
	h.storage.afterGet.Store(&hook)
	results := h.readers(h.context(), "acme", 1)
	<-reading
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Sandbox = true })
	close(gate)
	require.NoError(t, (<-results).err)
	require.Equal(t, "https://sandbox.sellingpartnerapi-na.amazon.com", h.token("acme").Endpoint)
}

func TestClosing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultHang})
	results := h.readers(h.context(), "acme", 3)
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.Close()
	for range 3 {
		require.Error(t, (<-results).err)
	}
	require.Equal(t, fault.Unavailable, h.failure("acme").Kind)
}
