// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	applicationID = "amzn1.sp.solution.one"
	partner       = "A1EXAMPLE2345"
)

// newAuthorizingHarness has an application to which selling partners can consent.
func newAuthorizingHarness(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.amazon.AddApplication(amazontest.Application{ID: applicationID, ClientID: clientID, RedirectURIs: []string{"https://app.example/callback"}})
	h.amazon.AddPartner(partner)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.ApplicationID, c.SPAPIEndpoint = applicationID, h.amazon.SPAPIEndpoint() })
	return h
}

// given is the callback of an authorization that the partner gave.
func (h *harness) given(a store.Authorization) issuer.Callback {
	h.t.Helper()
	market, err := sellingpartner.FindMarketplace("US")
	require.NoError(h.t, err)
	begun, err := h.BeginAuthorization(h.t.Context(), issuer.AuthorizationRequest{Authorization: a, TTL: 15 * time.Minute, Marketplace: &market})
	require.NoError(h.t, err)
	redirect, err := h.amazon.Consent(begun.URL, partner)
	require.NoError(h.t, err)
	return issuer.Callback{
		State: begun.State, Code: credential.New(redirect.Query().Get("spapi_oauth_code")), SellingPartnerID: redirect.Query().Get("selling_partner_id"),
	}
}

func (h *harness) refusedCallback(c issuer.Callback) *fault.Error {
	h.t.Helper()
	_, err := h.CompleteAuthorization(h.context(), c)
	require.Error(h.t, err)
	require.NotContains(h.t, err.Error(), c.State.Reveal())
	require.NotContains(h.t, err.Error(), c.Code.Reveal())
	return fault.Of(err)
}

// Of callbacks that race with one state, one wins, and Amazon is asked once.
func TestRacingCallbacks(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	release := h.amazon.Hold()
	results := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := h.CompleteAuthorization(h.context(), callback)
			results <- err
		}()
	}
	for range 7 {
		require.Equal(t, fault.InvalidState, fault.KindOf(<-results))
	}
	release()
	require.NoError(t, <-results)
	require.Equal(t, 1, h.amazon.CodeExchanges())
	h.Settle()
	issued, err := h.Token(h.context(), "shop", 0)
	require.NoError(t, err)
	h.requireLive(partner, issued)
	require.Zero(t, h.amazon.Exchanges(partner))
}

// The state is given back where Amazon did not look at the code, and spent where
// it did, or may have given a refresh token for it.
func TestStateAfterAFailure(t *testing.T) {
	t.Parallel()
	for kind, again := range map[amazontest.FaultKind]bool{
		amazontest.FaultServerError: true, amazontest.FaultThrottled: true, amazontest.FaultReset: true, amazontest.FaultInvalidClient: true,
		amazontest.FaultInvalidGrant: false, amazontest.FaultUnauthorizedClient: false, amazontest.FaultNoAccessToken: false, amazontest.FaultTruncatedJSON: false, amazontest.FaultRedirect: false,
	} {
		h := newAuthorizingHarness(t)
		callback := h.given(store.Authorization{Account: "shop"})
		h.amazon.SetFault(amazontest.Fault{Kind: kind})
		failed := h.refusedCallback(callback)
		require.Equal(t, "shop", failed.Account, kind)
		require.Equal(t, again, strings.Contains(failed.Error(), "can be used again until 2026-05-06T07:23:09Z"), "%s: %s", kind, failed)
		h.amazon.ClearFaults()
		h.clock.Advance(20 * time.Second) // past the memory of a refused client
		_, err := h.CompleteAuthorization(h.context(), callback)
		require.Equal(t, again, err == nil, "%s: %v", kind, err)
		if !again {
			require.Equal(t, fault.InvalidState, fault.KindOf(err))
		}
	}
}

// What was never sent was not spent.
func TestStateBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	h.forbidden.Store(true)
	require.Equal(t, fault.EndpointForbidden, h.refusedCallback(callback).Kind)
	h.forbidden.Store(false)
	require.NoError(t, h.storage.Put(t.Context(), &logical.StorageEntry{Key: "account/shop", Value: []byte("unreadable")}))
	require.Equal(t, fault.Storage, h.refusedCallback(callback).Kind)
	require.NoError(t, h.storage.Delete(t.Context(), "account/shop"))
	require.Zero(t, h.amazon.CodeExchanges())
	_, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)
}

// Without a slot Amazon was not asked, and the state is good again.
func TestCallbackWithoutASlot(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.MaxConcurrentExchanges, c.RequestTimeout = 1, time.Minute })
	callback := h.given(store.Authorization{Account: "shop"})
	h.authorize("acme")
	release := h.amazon.Hold()
	waiting := h.readers(h.context(), "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 1))
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout = time.Second })
	failed := h.refusedCallback(callback)
	require.Equal(t, fault.Unavailable, failed.Kind)
	require.Contains(t, failed.Error(), "no slot")
	release()
	require.NoError(t, (<-waiting).err)
	_, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)
}

// A caller that hangs up does not lose what cannot be had again.
func TestCallbackIsFinishedWithoutItsCaller(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	release := h.amazon.Hold()
	ctx, cancel := context.WithCancel(h.context())
	done := make(chan error, 1)
	go func() {
		_, err := h.CompleteAuthorization(ctx, callback)
		done <- err
	}()
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 1))
	cancel()
	release()
	require.NoError(t, <-done)
	require.Contains(t, h.storedRefreshToken("shop"), "Atzr|")
}

// Storage that fails before the code was sent costs nothing.
func TestCallbackWhileStorageFails(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	fail := func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "authorization/") {
			return errors.New("the disk is full")
		}
		return nil
	}
	h.storage.beforePut.Store(&fail)
	require.Equal(t, fault.Storage, h.refusedCallback(callback).Kind)
	require.Zero(t, h.amazon.CodeExchanges())
	h.storage.beforePut.Store(nil)
	_, err := h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)

	// One that fails afterwards is tried once more.
	callback = h.given(store.Authorization{Account: "second"})
	attempts := 0
	failOnce := func(_ context.Context, key string) error {
		if key == "account/second" {
			if attempts++; attempts == 1 {
				return errors.New("the disk was full")
			}
		}
		return nil
	}
	h.storage.beforePut.Store(&failOnce)
	_, err = h.CompleteAuthorization(h.context(), callback)
	require.NoError(t, err)
	require.Equal(t, 2, attempts)

	// And if that is in vain the operator is told, and an existing account is as it was.
	h.storage.beforePut.Store(nil)
	before := h.storedRefreshToken("second")
	callback = h.given(store.Authorization{Account: "second", Reauthorize: true})
	failAlways := func(_ context.Context, key string) error {
		if key == "account/second" {
			return errors.New("the disk is full")
		}
		return nil
	}
	h.storage.beforePut.Store(&failAlways)
	failed := h.refusedCallback(callback)
	require.Equal(t, fault.Storage, failed.Kind)
	require.True(t, failed.Spent)
	h.storage.beforePut.Store(nil)
	require.Equal(t, 1, h.log.with("[ERROR]", "could not be stored", "account=second", "the disk is full"))
	require.Equal(t, 1, h.log.with("account=second", "the disk is full"), "it is told once")
	require.Equal(t, before, h.storedRefreshToken("second"))
	require.Equal(t, fault.InvalidState, h.refusedCallback(callback).Kind, "the code is spent, and so is the state")
}

// A state that cannot be given back is told as lost.
func TestStateThatCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	callback := h.given(store.Authorization{Account: "shop"})
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	puts := 0
	failSecond := func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "authorization/") {
			if puts++; puts == 2 {
				return errors.New("the disk is full")
			}
		}
		return nil
	}
	h.storage.beforePut.Store(&failSecond)
	failed := h.refusedCallback(callback)
	require.Equal(t, fault.Unavailable, failed.Kind)
	require.True(t, failed.Spent)
	require.Equal(t, fault.InvalidState, h.refusedCallback(callback).Kind)
}

// A state outlives the plugin, is claimed across a restart, and belongs to the
// application that asked.
func TestStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	first, second := h.given(store.Authorization{Account: "shop"}), h.given(store.Authorization{Account: "other"})
	h.start()
	_, err := h.CompleteAuthorization(h.context(), first)
	require.NoError(t, err)
	h.start()
	require.Equal(t, fault.InvalidState, h.refusedCallback(first).Kind)

	h.amazon.AddClient("amzn1.application-oa2-client.two", "amzn1.oa2-cs.v1.two")
	h.writeConfig(issuer.ConfigChange{Force: true, ClientSecret: credential.New("amzn1.oa2-cs.v1.two")}, func(c *store.Config) { c.ClientID = "amzn1.application-oa2-client.two" })
	failed := h.refusedCallback(second)
	require.Equal(t, fault.InvalidState, failed.Kind)
	require.Contains(t, failed.Error(), "client_id")
	require.Equal(t, 1, h.amazon.CodeExchanges())
}

// The second client secret is tried for a code, too.
func TestCodeWithThePreviousSecret(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.amazon.RotateSecret(clientID, "amzn1.oa2-cs.v1.next")
	h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New("amzn1.oa2-cs.v1.next"), Verify: true}, func(*store.Config) {})
	h.start()
	h.amazon.AddClient(clientID, clientSecret) // the new one is not accepted any more
	bad := h.given(store.Authorization{Account: "shop"})
	bad.Code = credential.New("nonsense")
	require.Equal(t, fault.InvalidCode, h.refusedCallback(bad).Kind)
	require.Equal(t, 2, h.amazon.CodeExchanges())
	_, err := h.CompleteAuthorization(h.context(), h.given(store.Authorization{Account: "shop"}))
	require.NoError(t, err)
	require.Equal(t, 3, h.amazon.CodeExchanges(), "the secret with which Amazon looked at the code goes first")
}

// An exchange of the old refresh token that is under way does not bring the old
// authorization back.
func TestReauthorizationDuringAnExchange(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.authorize("acme")
	h.writeAccount(issuer.AccountChange{Name: "acme"}, func(a *store.Account) { a.SellingPartnerID = partner })
	callback := h.given(store.Authorization{Account: "acme", Reauthorize: true})
	release := h.amazon.Hold()
	waiting := h.readers(h.context(), "acme", 1)
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 1))
	done := make(chan error, 1)
	go func() {
		_, err := h.CompleteAuthorization(h.context(), callback)
		done <- err
	}()
	require.NoError(t, h.amazon.WaitInFlight(t.Context(), 2))
	release()
	require.NoError(t, <-done)
	require.NoError(t, (<-waiting).err)
	h.Settle()
	issued, err := h.Token(h.context(), "acme", 0)
	require.NoError(t, err)
	h.requireLive(partner, issued)
}

// An idle mount is tidied without a call, until a node may have begun something.
func TestTidyingAuthorizations(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.given(store.Authorization{Account: "shop"})
	h.clock.Advance(2 * time.Hour)
	h.TidyAuthorizations(t.Context())
	calls := h.storage.calls.Load()
	h.TidyAuthorizations(t.Context())
	require.Equal(t, calls, h.storage.calls.Load())
	h.Invalidate("authorization/1-x")
	h.TidyAuthorizations(t.Context())
	require.Equal(t, calls+1, h.storage.calls.Load())

	h.given(store.Authorization{Account: "shop"})
	h.clock.Advance(2 * time.Hour)
	h.storage.lost.Store(true)
	h.TidyAuthorizations(t.Context())
	require.Equal(t, 1, h.log.with("[WARN]", "expired authorizations could not be removed", errLost.Error()))
	h.storage.lost.Store(false)
	calls = h.storage.calls.Load()
	h.TidyAuthorizations(t.Context())
	require.Greater(t, h.storage.calls.Load(), calls, "it looks again after a failure")
}

// callRecorder is an SP-API that notes where it is called, and is gone.
type callRecorder struct{ endpoint string }

func (*callRecorder) RestrictedDataToken(context.Context, string, credential.Secret, sellingpartner.RestrictedRequest, func()) (sellingpartner.RestrictedDataToken, error) {
	return sellingpartner.RestrictedDataToken{}, fault.New(fault.Unavailable, "not here")
}

func (r *callRecorder) AuthorizationCode(_ context.Context, endpoint string, _ credential.Secret, _ sellingpartner.MWSAuthorization) (credential.Secret, error) {
	r.endpoint = endpoint
	return credential.Secret{}, fault.New(fault.Removed, "gone")
}

// A migration calls the region of the authorization, of the account, or of the
// config, in this order.
func TestRegionOfAMigration(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.SPAPIEndpoint, c.Region = "", "eu" })
	h.writeAccount(issuer.AccountChange{Name: "acme", RefreshToken: credential.New("Atzr|x")}, func(a *store.Account) { a.Region, a.SellingPartnerID = "fe", partner })
	h.amazon.OfferMigration(clientID, partner, "1234", "amzn.mws.token")
	recorder := &callRecorder{}
	i := issuer.New(issuer.Options{Store: h.store, LWA: h.lwa, SellingPartner: recorder, PermitEndpoint: h.permit, Logger: hclog.NewNullLogger(), Now: h.clock.Now})
	t.Cleanup(i.Close)
	for _, c := range []struct{ account, region, endpoint string }{
		{"new", "", "https://sellingpartnerapi-eu.amazon.com"},
		{"new", "na", "https://sellingpartnerapi-na.amazon.com"},
		{"acme", "", "https://sellingpartnerapi-fe.amazon.com"},
		{"acme", "fe", "https://sellingpartnerapi-fe.amazon.com"},
	} {
		_, err := i.Migrate(h.context(), issuer.Migration{Account: c.account, Region: c.region, MWS: sellingpartner.MWSAuthorization{SellingPartnerID: partner}})
		require.Equal(t, fault.Removed, fault.KindOf(err))
		require.Equal(t, c.endpoint, recorder.endpoint, c)
	}
}

func TestMigrationWhileAmazonFails(t *testing.T) {
	t.Parallel()
	h := newAuthorizingHarness(t)
	mws := sellingpartner.MWSAuthorization{SellingPartnerID: partner, DeveloperID: "1234", AuthToken: credential.New("amzn.mws.secret-token")}
	h.amazon.OfferMigration(clientID, partner, "1234", "amzn.mws.secret-token")
	migrate := func() error {
		_, err := h.Migrate(h.context(), issuer.Migration{Account: "shop", MWS: mws})
		return err
	}
	for kind, want := range map[amazontest.FaultKind]fault.Kind{
		amazontest.FaultServerError: fault.Unavailable, amazontest.FaultThrottled: fault.RateLimited, amazontest.FaultOKNotJSON: fault.BadAnswer, amazontest.FaultEcho: fault.InvalidMWS,
	} {
		h.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: kind})
		failed := fault.Of(migrate())
		require.Equal(t, want, failed.Kind)
		require.Equal(t, "shop", failed.Account)
		require.NotContains(t, failed.Error(), "secret-token")
	}
	h.amazon.ClearFaults()
	require.Zero(t, h.amazon.CodeExchanges())
	require.NoError(t, migrate())
	require.Zero(t, h.log.with("secret-token"))
}
