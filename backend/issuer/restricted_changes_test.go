// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
)

// A role that is changed while Amazon is being asked gives what it says now.
func TestRoleChangedMidFlight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *harness)
		check  func(h *harness, issued *issuer.Issued, err error)
	}{
		"other resources": {
			func(h *harness) {
				h.writeRole("shipping", func(r *store.Role) { r.Resources[0].Path = "/orders/v0/orders/{orderId}/buyerInfo" })
			},
			func(h *harness, issued *issuer.Issued, err error) {
				require.NoError(h.t, err)
				known, _ := h.amazon.RestrictedOf(issued.AccessToken.Reveal())
				require.Equal(h.t, "/orders/v0/orders/{orderId}/buyerInfo", known.Resources[0].Path)
			},
		},
		"account no longer allowed": {
			func(h *harness) { h.writeRole("shipping", func(r *store.Role) { r.AllowedAccounts = nil }) },
			func(h *harness, _ *issuer.Issued, err error) {
				require.Equal(h.t, fault.AccountNotAllowed, fault.KindOf(err))
			},
		},
		"deleted": {
			func(h *harness) { require.NoError(h.t, h.DeleteRole(h.t.Context(), "shipping")) },
			func(h *harness, _ *issuer.Issued, err error) {
				require.Equal(h.t, fault.UnknownRole, fault.KindOf(err))
			},
		},
		"written by another node": {
			func(h *harness) {
				require.NoError(h.t, h.store.UpdateRole(h.t.Context(), "shipping", func(r *store.Role) (*store.Role, error) { r.AllowedAccounts = nil; return r, nil }, func() {}))
				h.Invalidate("role/shipping")
			},
			func(h *harness, _ *issuer.Issued, err error) {
				require.Equal(h.t, fault.AccountNotAllowed, fault.KindOf(err))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRestrictedHarness(t)
			release := h.amazon.HoldSellingPartner()
			done := h.reading(shipping("acme"))
			require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 1))
			c.change(h)
			release()
			got := <-done
			c.check(h, got.issued, got.err)
		})
	}
}

// A role whose change storage did not answer for is read again.
func TestRoleChangeWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.restricted(shipping("acme"))
	h.storage.lost.Store(true)
	_, err := h.WriteRole(t.Context(), "shipping", false, func(r *store.Role) error { r.AllowedAccounts = nil; return nil })
	require.Error(t, err)
	require.Equal(t, fault.AccountNotAllowed, h.restrictedFailure(shipping("acme")).Kind)
	require.Error(t, h.DeleteRole(t.Context(), "shipping"))
	require.Equal(t, fault.UnknownRole, h.restrictedFailure(shipping("acme")).Kind)
}

// What was read of a role before it changed is not kept after.
func TestRoleReadWhileItChanges(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.start()
	var once atomic.Bool
	hook := func(key string) {
		if key == "role/shipping" && once.CompareAndSwap(false, true) {
			h.writeRole("shipping", func(r *store.Role) { r.AllowedAccounts = nil })
		}
	}
	h.storage.afterGet.Store(&hook)
	require.Equal(t, fault.AccountNotAllowed, h.restrictedFailure(shipping("acme")).Kind)
	require.Equal(t, fault.AccountNotAllowed, h.restrictedFailure(shipping("acme")).Kind)
}

// Everything that drops the access tokens of an account drops its restricted data
// tokens.
func TestAccountChangesAndRestrictedTokens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *harness)
		kept   bool
		fails  fault.Kind
	}{
		"metadata": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Kind = "vendor" })
		}, true, 0},
		"region": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Region = "eu" })
		}, false, 0},
		"refresh token": {func(h *harness) { h.authorize("acme") }, false, 0},
		"disabled": {func(h *harness) {
			h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
		}, false, fault.Disabled},
		"deleted":     {func(h *harness) { require.NoError(h.t, h.DeleteAccount(h.t.Context(), "acme")) }, false, fault.UnknownAccount},
		"invalidated": {func(h *harness) { h.Invalidate("account/acme") }, true, 0},
		"disabled elsewhere": {func(h *harness) {
			require.NoError(h.t, h.store.UpdateAccount(h.t.Context(), "acme", func(a *store.Account) (*store.Account, error) {
				a.Enabled, a.Generation = false, store.NewID()
				return a, nil
			}, func(*store.Account) {}))
			h.Invalidate("account/acme")
		}, false, fault.Disabled},
		"another account": {func(h *harness) {
			h.authorize("other")
			h.restricted(shipping("other"))
			h.authorize("other")
			h.storage.Underlying().FailGet(true) // which reads of acme do not need
		}, true, 0},
		"config":         {func(h *harness) { h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.Region = "fe" }) }, false, 0},
		"config deleted": {func(h *harness) { require.NoError(h.t, h.DeleteConfig(h.t.Context())) }, false, fault.NotConfigured},
		"config's metadata": {func(h *harness) {
			h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RedirectURI = "https://x.example" })
		}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRestrictedHarness(t)
			before, _ := h.restricted(shipping("acme"))
			c.change(h)
			if c.fails != 0 {
				require.Equal(t, c.fails, h.restrictedFailure(shipping("acme")).Kind)
				return
			}
			after, _ := h.restricted(shipping("acme"))
			require.Equal(t, c.kept, after.AccessToken.Equal(before.AccessToken))
		})
	}
}

// A token that was asked for before the account changed is nobody's after.
func TestAccountChangedWhileARestrictedTokenIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	release := h.amazon.HoldSellingPartner()
	done := h.reading(shipping("acme"))
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 1))
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Region = "eu" })
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 2))
	release()
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, "eu", got.issued.Region)
	require.Equal(t, 2, h.amazon.Exchanges("acme"), "with an access token of the account as it is now")
	bodies := h.amazon.RestrictedBodies()
	require.Len(t, bodies, 2)
}

// A token of an account that storage has, and memory not yet, is asked for with an
// access token of that account.
func TestMemoryBehindStorage(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.token("acme")
	require.NoError(t, h.store.UpdateAccount(t.Context(), "acme", func(a *store.Account) (*store.Account, error) {
		a.Region, a.Generation = "eu", store.NewID()
		return a, nil
	}, func(*store.Account) {}))
	issued, _ := h.restricted(shipping("acme"))
	require.Equal(t, "eu", issued.Region)
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
	require.Equal(t, 1, h.amazon.RestrictedCalls("acme"))
}

func TestRoleThatDoesNotExist(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	_, err := h.WriteRole(t.Context(), "none", true, func(*store.Role) error { return nil })
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	_, err = h.WriteRole(t.Context(), "bad", false, func(*store.Role) error { return fault.BadField("description", "x") })
	require.Equal(t, fault.InvalidInput, fault.KindOf(err))
	names, err := h.store.RoleNames(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"documents", "shipping"}, names)
}
