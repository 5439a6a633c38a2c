// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestProofIsCached(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	unproven := h.unproven(issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New(h.amazon.Authorize(clientID, "acme"))}, nil)
	require.Nil(t, unproven)
	require.Equal(t, store.Active, h.state("acme").State)
	require.Equal(t, h.clock.Now(), h.state("acme").LastExchangeAt)
	h.token("acme")
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
}

func TestRefusedRefreshTokenIsNotStored(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	stored, token := h.storedRefreshToken("acme"), h.token("acme").AccessToken
	h.amazon.AddClient("another", "secret")
	for kind, refreshToken := range map[fault.Kind]string{fault.InvalidGrant: "Atzr|unknown", fault.UnauthorizedClient: h.amazon.Authorize("another", "x")} {
		for _, name := range []string{"acme", "new"} {
			_, _, err := h.WriteAccount(t.Context(), issuer.AccountChange{
				Name: name, Verify: true, RefreshToken: credential.New(refreshToken), Apply: func(*store.Account) error { return nil },
			})
			require.Equal(t, kind, fault.KindOf(err))
		}
	}
	require.Equal(t, stored, h.storedRefreshToken("acme"))
	require.Equal(t, token, h.token("acme").AccessToken)
	require.Equal(t, fault.UnknownAccount, h.failure("new").Kind)
}

func TestUnprovenRefreshTokenIsStored(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*harness){
		"Amazon down":        func(h *harness) { h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError, Times: 3}) },
		"nonsense":           func(h *harness) { h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultNoAccessToken, Times: 1}) },
		"the config's fault": func(h *harness) { h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidClient, Times: 1}) },
	} {
		h := newHarness(t)
		prepare(h)
		unproven := h.unproven(issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New(h.amazon.Authorize(clientID, "acme"))}, nil)
		require.NotNil(t, unproven, name)
		require.Equal(t, store.Unverified, h.state("acme").State, name)
		h.clock.Advance(10 * time.Second)
		h.token("acme")
		require.Equal(t, store.Active, h.state("acme").State, name)
	}
}

func TestChangedRefreshTokenOfAProof(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed"})
	h.writeAccount(issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New(h.amazon.Authorize(clientID, "acme"))}, nil)
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
	h.token("acme")
}

func TestProofDoesNotServeADisabledAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.writeAccount(issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New(h.amazon.Authorize(clientID, "acme"))},
		func(a *store.Account) { a.Enabled = false })
	require.Equal(t, fault.Disabled, h.failure("acme").Kind)
}

func TestWritesThatFailStoreNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	before, err := h.store.Account(t.Context(), "acme")
	require.NoError(t, err)
	h.storage.Underlying().FailPut(true)
	_, _, err = h.WriteAccount(t.Context(), issuer.AccountChange{Name: "acme", RefreshToken: credential.New("Atzr|x"), Apply: func(*store.Account) error { return nil }})
	require.Equal(t, fault.Storage, fault.KindOf(err))
	_, _, err = h.WriteConfig(t.Context(), issuer.ConfigChange{ClientSecret: credential.New("x"), Apply: func(*store.Config) error { return nil }})
	require.Equal(t, fault.Storage, fault.KindOf(err))
	h.storage.Underlying().FailPut(false)
	h.storage.Underlying().FailDelete(true)
	require.Equal(t, fault.Storage, fault.KindOf(h.DeleteAccount(t.Context(), "acme")))
	require.Equal(t, fault.Storage, fault.KindOf(h.DeleteConfig(t.Context())))
	h.storage.Underlying().FailDelete(false)
	after, err := h.store.Account(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, before, after)
	h.token("acme")
	require.Equal(t, 1, h.amazon.Exchanges("acme"), "the cached token is still served")
}

func TestConfigWriteThatFailsToApply(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	bad := fault.BadField("region", "no")
	_, _, err := h.WriteConfig(t.Context(), issuer.ConfigChange{ClientSecret: credential.New("new"), Apply: func(*store.Config) error { return bad }})
	require.ErrorIs(t, err, bad)
	config, err := h.store.Config(t.Context())
	require.NoError(t, err)
	require.Equal(t, clientSecret, config.Secret.Value.Reveal())
}

func TestReplacedSecrets(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	now := h.clock.Now()
	read := func() *store.Config {
		config, err := h.store.Config(t.Context())
		require.NoError(t, err)
		return config
	}
	write := func(secret string) {
		h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New(secret)}, func(*store.Config) {})
	}
	require.Equal(t, now.Add(180*24*time.Hour), read().Secret.ExpiresAt)

	h.clock.Advance(time.Hour)
	write(clientSecret)
	require.Equal(t, now, read().Secret.SetAt, "the same secret is as old as before")
	require.True(t, read().Previous.Value.IsZero())

	write("two")
	require.Equal(t, clientSecret, read().Previous.Value.Reveal())
	require.Equal(t, h.clock.Now().Add(7*24*time.Hour), read().PreviousUntil)

	write("three")
	require.Equal(t, clientSecret, read().Previous.Value.Reveal(), "nobody ever saw the second working")

	write(clientSecret) // back
	require.Equal(t, clientSecret, read().Secret.Value.Reveal())
	require.Equal(t, now.Add(180*24*time.Hour), read().Secret.ExpiresAt, "as old as it is")
	require.Equal(t, "three", read().Previous.Value.Reveal())
	require.Equal(t, h.clock.Now().Add(7*24*time.Hour), read().PreviousUntil)

	h.writeConfig(issuer.ConfigChange{Force: true}, func(c *store.Config) { c.ClientID = "another" })
	require.True(t, read().Previous.Value.IsZero(), "secrets belong to a client id")
}

func TestClientIDOfAccounts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rename := issuer.ConfigChange{Apply: func(c *store.Config) error { c.ClientID = "another"; return nil }}
	h.authorize("acme")
	_, _, err := h.WriteConfig(t.Context(), rename)
	require.Equal(t, fault.InvalidInput, fault.KindOf(err))
	require.NoError(t, h.DeleteAccount(t.Context(), "acme"))
	_, _, err = h.WriteConfig(t.Context(), rename)
	require.NoError(t, err, "no account is concerned")
}

// Partial writes at once all count.
func TestConcurrentPartialWrites(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) {
				metadata := map[string]string{fmt.Sprint(n): "x"}
				maps.Copy(metadata, a.Metadata.Map())
				a.Metadata = store.NewMetadata(metadata)
			})
		})
		wg.Go(func() {
			h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.ApplicationID += "x" })
		})
	}
	wg.Wait()
	require.Len(t, h.state("acme").Metadata.Map(), 20)
	config, err := h.store.Config(t.Context())
	require.NoError(t, err)
	require.Len(t, config.ApplicationID, 20)
}

// A secret is not stored under another client id than it was proven for.
func TestConfigThatChangesUnderAProof(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	release := h.amazon.Hold()
	written := make(chan error, 1)
	go func() {
		_, _, err := h.WriteConfig(h.context(), issuer.ConfigChange{ClientSecret: credential.New(clientSecret), Verify: true, Apply: func(*store.Config) error { return nil }})
		written <- err
	}()
	require.NoError(t, h.amazon.WaitInFlight(h.context(), 1))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.ClientID = "another" })
	release()
	require.Equal(t, fault.Conflict, fault.KindOf(<-written))
}

// A write that names no secret leaves alone what another found out about it.
func TestProvenSecretStaysProven(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.amazon.RotateSecret(clientID, "two")
	once := false
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) {
		if !once {
			once = true
			h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New("two"), Verify: true}, func(*store.Config) {})
		}
		c.ApplicationID = "x"
	})
	config, err := h.store.Config(t.Context())
	require.NoError(t, err)
	require.Equal(t, "two", config.Secret.Value.Reveal())
	require.True(t, config.Secret.Proven)
	require.Equal(t, "x", config.ApplicationID)
}

// A refresh token that Amazon changed while it was proven survives one failure
// of storage.
func TestChangedRefreshTokenOfAProofIsWrittenTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed"})
	failed := false
	hook := func(_ context.Context, key string) error {
		if key == "account/acme" && !failed {
			failed = true
			return errLost
		}
		return nil
	}
	h.storage.beforePut.Store(&hook)
	h.writeAccount(issuer.AccountChange{Name: "acme", Verify: true, RefreshToken: credential.New(h.amazon.Authorize(clientID, "acme"))}, nil)
	require.True(t, failed)
	require.Equal(t, "Atzr|changed", h.storedRefreshToken("acme"))
}

// Everything at once, for the race detector and for three promises: no expired
// token, no token of another account, and nothing is stuck afterwards.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		h.authorize(name)
	}
	failures := []fault.Kind{fault.Disabled, fault.UnknownAccount, fault.NotConfigured, fault.Conflict, fault.Unavailable, fault.InvalidGrant, fault.BadAnswer}
	var wg sync.WaitGroup
	report := make(chan error, 1000)
	for worker := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 150 {
				name := names[random.IntN(len(names))]
				if err := h.anything(random, name); err != nil && !slices.Contains(failures, fault.KindOf(err)) {
					report <- err
				}
			}
		})
	}
	wg.Wait()
	close(report)
	for err := range report {
		t.Error(err)
	}
	h.amazon.ClearFaults()
	h.clock.Advance(24 * time.Hour)
	for _, name := range names {
		h.authorize(name)
		h.token(name)
	}
}

// anything does one random thing to an account.
func (h *harness) anything(random *rand.Rand, name string) error {
	ctx := h.t.Context()
	none := func(*store.Account) error { return nil }
	switch random.IntN(16) {
	case 0:
		_, _, err := h.WriteAccount(ctx, issuer.AccountChange{Name: name, Verify: random.IntN(2) == 0, RefreshToken: credential.New(h.amazon.Authorize(clientID, name)), Apply: none})
		return err
	case 1:
		return h.DeleteAccount(ctx, name)
	case 2:
		h.clock.Advance(time.Duration(random.IntN(1200)) * time.Second)
	case 3:
		h.Invalidate("account/" + name)
		h.Invalidate("config")
	case 4:
		h.Tidy()
	case 5:
		_, _, err := h.WriteConfig(ctx, issuer.ConfigChange{Apply: func(c *store.Config) error { c.Sandbox = !c.Sandbox; return nil }})
		return err
	case 6:
		h.amazon.SetAccountFault(name, amazontest.Fault{Kind: amazontest.Faults()[random.IntN(4)], RetryAfter: "0", Times: 1})
	case 7:
		_, err := h.Account(ctx, name)
		return err
	default:
		before := h.clock.Now()
		issued, err := h.Token(ctx, name, 0)
		if err != nil {
			return err
		}
		if !issued.ExpiresAt.After(before) {
			return errors.New("an expired token was given")
		}
		if owner, live := h.amazon.AccountOf(issued.AccessToken.Reveal()); live && owner != name {
			return errors.New("a token of another account was given")
		}
		if random.IntN(4) == 0 {
			h.Retire(name, issued.AccessToken)
		}
	}
	return nil
}
