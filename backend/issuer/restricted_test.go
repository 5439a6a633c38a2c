// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	addressPath  = "/orders/v0/orders/{orderId}/address"
	documentPath = "/reports/2021-06-30/documents/{reportDocumentId}"
)

// newRestrictedHarness has the account acme, and the roles shipping, for every
// account, and documents, with a path parameter.
func newRestrictedHarness(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.SPAPIEndpoint = h.amazon.URL() })
	h.authorize("acme")
	h.writeRole("shipping", func(r *store.Role) {
		r.Resources, r.AllowedAccounts = []store.RestrictedResource{{Method: "GET", Path: addressPath}}, []string{"*"}
	})
	h.writeRole("documents", func(r *store.Role) {
		r.Resources, r.AllowedAccounts = []store.RestrictedResource{{Method: "GET", Path: documentPath}}, []string{"*"}
		r.PathParameters = []string{"reportDocumentId"}
	})
	return h
}

func (h *harness) writeRole(name string, apply func(*store.Role)) {
	h.t.Helper()
	_, err := h.WriteRole(h.t.Context(), name, false, func(r *store.Role) error { apply(r); return nil })
	require.NoError(h.t, err)
}

func shipping(account string) issuer.RestrictedRead {
	return issuer.RestrictedRead{Role: "shipping", Account: account}
}

func document(id string) issuer.RestrictedRead {
	return issuer.RestrictedRead{Role: "documents", Account: "acme", PathParameters: map[string]string{"reportDocumentId": id}}
}

// restricted reads a token that must be there, and returns what Amazon knows of it.
func (h *harness) restricted(read issuer.RestrictedRead) (*issuer.Issued, amazontest.Restricted) {
	h.t.Helper()
	issued, err := h.Restricted(h.context(), read)
	require.NoError(h.t, err)
	known, live := h.amazon.RestrictedOf(issued.AccessToken.Reveal())
	require.True(h.t, live, "the token is not valid at Amazon")
	require.Equal(h.t, read.Account, known.Account)
	return issued, known
}

func (h *harness) restrictedFailure(read issuer.RestrictedRead) fault.Error {
	h.t.Helper()
	_, err := h.Restricted(h.context(), read)
	require.Error(h.t, err)
	return *fault.Of(err)
}

// reading starts a read.
func (h *harness) reading(read issuer.RestrictedRead) <-chan result {
	done := make(chan result, 1)
	go func() {
		issued, err := h.Restricted(h.context(), read)
		done <- result{issued, err}
	}()
	return done
}

// noteWaits has each wait for Amazon's rate end at once, with the clock put ahead.
func (h *harness) noteWaits() *[]time.Duration {
	var waited []time.Duration
	over := make(chan time.Time)
	close(over)
	h.after = func(d time.Duration) <-chan time.Time {
		h.clock.Advance(d)
		waited = append(waited, d)
		return over
	}
	return &waited
}

func TestManyReadersOfARestrictedToken(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.start()
	release := h.amazon.HoldSellingPartner()
	results := make(chan *issuer.Issued, 500)
	for range 500 {
		go func() {
			issued, _ := h.Restricted(h.context(), shipping("acme"))
			results <- issued
		}()
	}
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 1))
	release()
	first := <-results
	require.NotNil(t, first)
	for range 499 {
		issued := <-results
		require.NotNil(t, issued)
		require.True(t, issued.AccessToken.Equal(first.AccessToken))
	}
	require.Equal(t, 1, h.amazon.RestrictedCalls("acme"))
	require.Equal(t, 1, h.amazon.Exchanges("acme"))
	require.Equal(t, 1, h.Derivations())
}

func TestCachedRestrictedTokensCallNobody(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	first, _ := h.restricted(shipping("acme"))
	h.Settle()
	calls, requests := h.storage.calls.Load(), h.amazon.SellingPartnerRequests()+h.amazon.Requests()
	again, _ := h.restricted(shipping("acme"))
	require.True(t, again.AccessToken.Equal(first.AccessToken))
	require.NotNil(t, h.CachedRestricted("shipping", "acme"))
	require.Equal(t, first.Request, h.CachedRestricted("shipping", "acme").Request)
	require.Equal(t, calls, h.storage.calls.Load())
	require.Equal(t, requests, h.amazon.SellingPartnerRequests()+h.amazon.Requests())

	require.Nil(t, h.CachedRestricted("shipping", "other"))
	require.Nil(t, h.CachedRestricted("nobody", "acme"))
	require.Nil(t, h.CachedRestricted("documents", "acme"), "it takes a parameter")

	// A role that asks for the same shares the token, with those whom it allows.
	h.writeRole("narrow", func(r *store.Role) {
		r.Resources, r.AllowedAccounts = []store.RestrictedResource{{Method: "GET", Path: addressPath}}, []string{"other"}
	})
	require.Equal(t, fault.AccountNotAllowed, h.restrictedFailure(issuer.RestrictedRead{Role: "narrow", Account: "acme"}).Kind)
	require.Nil(t, h.CachedRestricted("narrow", "acme"))
}

// What is asked for is what a token is for: path parameters and another role are
// another token, the same resources in another role are not.
func TestWhatARestrictedTokenIsFor(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.authorize("other")
	address, known := h.restricted(shipping("acme"))
	require.Equal(t, []amazontest.RestrictedResource{{Method: "GET", Path: addressPath}}, known.Resources)
	first, known := h.restricted(document("doc.1"))
	require.Equal(t, "/reports/2021-06-30/documents/doc.1", known.Resources[0].Path)
	second, known := h.restricted(document("doc.2"))
	require.Equal(t, "/reports/2021-06-30/documents/doc.2", known.Resources[0].Path)
	elsewhere, _ := h.restricted(shipping("other"))
	for _, pair := range [][2]*issuer.Issued{{address, first}, {first, second}, {address, elsewhere}} {
		require.False(t, pair[0].AccessToken.Equal(pair[1].AccessToken))
	}
	h.writeRole("copy", func(r *store.Role) {
		r.Resources, r.AllowedAccounts, r.Description = []store.RestrictedResource{{Method: "GET", Path: addressPath}}, []string{"ac*"}, "the same"
	})
	copied, _ := h.restricted(issuer.RestrictedRead{Role: "copy", Account: "acme"})
	require.True(t, copied.AccessToken.Equal(address.AccessToken))
	require.Equal(t, 3, h.amazon.RestrictedCalls("acme"))

	two := []store.RestrictedResource{{Method: "GET", Path: "/orders/v0/orders", DataElements: []string{"buyerInfo", "shippingAddress"}}, {Method: "GET", Path: addressPath}}
	h.writeRole("two", func(r *store.Role) { r.Resources, r.AllowedAccounts = two, []string{"*"} })
	h.writeRole("turned", func(r *store.Role) {
		r.Resources = []store.RestrictedResource{two[1], {Method: "GET", Path: "/orders/v0/orders", DataElements: []string{"shippingAddress", "buyerInfo"}}}
		r.AllowedAccounts = []string{"*"}
	})
	both, _ := h.restricted(issuer.RestrictedRead{Role: "two", Account: "acme"})
	turned, _ := h.restricted(issuer.RestrictedRead{Role: "turned", Account: "acme"})
	require.True(t, both.AccessToken.Equal(turned.AccessToken), "the order does not matter")

	h.writeRole("delegated", func(r *store.Role) {
		r.Resources, r.AllowedAccounts, r.TargetApplication = []store.RestrictedResource{{Method: "GET", Path: addressPath}}, []string{"acme"}, "amzn1.sp.solution.other"
	})
	_, known = h.restricted(issuer.RestrictedRead{Role: "delegated", Account: "acme"})
	require.Equal(t, "amzn1.sp.solution.other", known.TargetApplication)
}

func TestRestrictedReadsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.writeRole("narrow", func(r *store.Role) {
		r.Resources, r.AllowedAccounts = []store.RestrictedResource{{Method: "GET", Path: addressPath}}, []string{"acme-*"}
	})
	for name, c := range map[string]struct {
		read issuer.RestrictedRead
		want fault.Kind
		text string
	}{
		"no role":               {issuer.RestrictedRead{Role: "none", Account: "acme"}, fault.UnknownRole, "none"},
		"account not allowed":   {issuer.RestrictedRead{Role: "narrow", Account: "acme"}, fault.AccountNotAllowed, "acme"},
		"and does not exist":    {issuer.RestrictedRead{Role: "narrow", Account: "nobody"}, fault.AccountNotAllowed, "nobody"},
		"no account":            {shipping("nobody"), fault.UnknownAccount, "nobody"},
		"no parameter":          {issuer.RestrictedRead{Role: "documents", Account: "acme"}, fault.InvalidInput, "reportDocumentId"},
		"an empty parameter":    {document(""), fault.InvalidInput, "reportDocumentId"},
		"a parameter too many":  {issuer.RestrictedRead{Role: "shipping", Account: "acme", PathParameters: map[string]string{"orderId": "1"}}, fault.InvalidInput, "none"},
		"and another too many ": {issuer.RestrictedRead{Role: "documents", Account: "acme", PathParameters: map[string]string{"reportDocumentId": "1", "x": "1"}}, fault.InvalidInput, "it takes reportDocumentId"},
	} {
		failed := h.restrictedFailure(c.read)
		require.Equal(t, c.want, failed.Kind, name)
		require.Contains(t, failed.Error(), c.text, name)
		require.Equal(t, c.read.Role, failed.Role, name)
	}
	require.Zero(t, h.amazon.RestrictedCalls("acme"))
	require.Zero(t, h.Derivations(), "nothing is kept of accounts that do not exist")

	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.Enabled = false })
	require.Equal(t, fault.Disabled, h.restrictedFailure(shipping("acme")).Kind)
}

func TestRestrictedTokensWhileAmazonFails(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	first, _ := h.restricted(shipping("acme"))
	h.clock.Advance(31 * time.Minute)
	h.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	stale, _ := h.restricted(shipping("acme"))
	require.True(t, stale.Stale)
	require.True(t, stale.AccessToken.Equal(first.AccessToken))
	require.Equal(t, fault.Unavailable, stale.Failure.Kind)
	require.Equal(t, first.Request, stale.Request)
	calls := h.amazon.RestrictedCalls("acme")
	h.restricted(shipping("acme"))
	require.Equal(t, calls, h.amazon.RestrictedCalls("acme"), "it backs off")
	h.clock.Advance(28*time.Minute + 30*time.Second)
	require.Equal(t, fault.Unavailable, h.restrictedFailure(shipping("acme")).Kind, "under 60 s")
	h.amazon.ClearFaults()
	h.clock.Advance(time.Minute)
	h.restricted(shipping("acme"))
	require.Equal(t, store.Active, h.state("acme").State, "the account has nothing to do with it")
}

// What the exchange for the access token fails with is the account's failure, and
// not remembered or logged twice.
func TestRestrictedTokenWithoutAnAccessToken(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.RevokeAuthorization("acme")
	failed := h.restrictedFailure(shipping("acme"))
	require.Equal(t, fault.InvalidGrant, failed.Kind)
	require.Equal(t, "acme", failed.Account)
	require.Zero(t, h.amazon.RestrictedCalls("acme"))
	require.Zero(t, h.log.with("no restricted data token"))
	require.Equal(t, 1, h.log.with("[WARN]", "refresh token failed"))
	h.authorize("acme")
	h.restricted(shipping("acme"))
}

func TestAmazonRefusesTheResources(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.DenyDocument("plain")
	failed := h.restrictedFailure(document("plain"))
	require.Equal(t, fault.InvalidResources, failed.Kind)
	require.Contains(t, failed.Error(), "Invalid or unsupported document ID found")
	require.NotEmpty(t, failed.RequestID)
	require.Equal(t, "documents", failed.Role)
	require.Equal(t, 1, h.log.with("[WARN]", "no restricted data token", "account=acme"))
	h.restrictedFailure(document("plain"))
	require.Equal(t, 1, h.amazon.RestrictedCalls("acme"), "not asked again at once")
	h.restricted(document("other"))
	h.clock.Advance(61 * time.Second)
	h.restrictedFailure(document("plain"))
	require.Equal(t, 3, h.amazon.RestrictedCalls("acme"))
	require.Equal(t, store.Active, h.state("acme").State)
}

// A reader that gives up cancels nobody else.
func TestReaderOfARestrictedTokenThatGivesUp(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	release := h.amazon.HoldSellingPartner()
	ctx, cancel := context.WithCancel(h.context())
	gaveUp, stayed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := h.Restricted(ctx, shipping("acme")); gaveUp <- err }()
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 1))
	go func() { _, err := h.Restricted(h.context(), shipping("acme")); stayed <- err }()
	cancel()
	require.Equal(t, fault.Canceled, fault.KindOf(<-gaveUp))
	release()
	require.NoError(t, <-stayed)
	require.Equal(t, 1, h.amazon.RestrictedCalls("acme"))
}
