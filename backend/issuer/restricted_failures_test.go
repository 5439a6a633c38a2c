// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// scriptedSP answers restricted requests as a test says, call by call; without a
// line left, with a token.
type scriptedSP struct {
	mu     sync.Mutex
	script []*fault.Error
	calls  []scriptedCall
	// gate, if not nil, lets no call end before it is closed; held tells of the first.
	held, gate chan struct{}
}

type scriptedCall struct{ endpoint, accessToken string }

func (*scriptedSP) AuthorizationCode(context.Context, string, credential.Secret, sellingpartner.MWSAuthorization) (credential.Secret, error) {
	return credential.Secret{}, fault.New(fault.Removed, "gone")
}

func (s *scriptedSP) RestrictedDataToken(_ context.Context, endpoint string, accessToken credential.Secret, _ sellingpartner.RestrictedRequest, _ func()) (sellingpartner.RestrictedDataToken, error) {
	if s.gate != nil {
		select {
		case s.held <- struct{}{}:
		default:
		}
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, scriptedCall{endpoint, accessToken.Reveal()})
	if len(s.script) > 0 {
		next := s.script[0]
		s.script = s.script[1:]
		return sellingpartner.RestrictedDataToken{}, next
	}
	return sellingpartner.RestrictedDataToken{Token: credential.New("Atz.sprdt|" + strconv.Itoa(len(s.calls))), Lifetime: time.Hour}, nil
}

// scripted puts an Issuer with a scripted SP-API in place of the harness's own.
func scripted(t *testing.T, script ...*fault.Error) (*harness, *scriptedSP) {
	t.Helper()
	h := newRestrictedHarness(t)
	h.Close()
	spapi := &scriptedSP{script: script}
	h.Issuer = issuer.New(issuer.Options{
		Store: h.store, LWA: h.lwa, SellingPartner: spapi, PermitEndpoint: h.permit, Logger: hclog.NewNullLogger(),
		Now: h.clock.Now, Jitter: func() float64 { return 1 }, After: func(d time.Duration) <-chan time.Time { return h.after(d) },
	})
	h.noteWaits()
	return h, spapi
}

func TestRefusedAccessToken(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.AccessTokenRefused, "Amazon refuses the access token")
	h, spapi := scripted(t, refused)
	_, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	require.Len(t, spapi.calls, 2)
	require.NotEqual(t, spapi.calls[0].accessToken, spapi.calls[1].accessToken, "another one is fetched")

	// No number of refusals makes the account exchange for ever.
	h, spapi = scripted(t, refused, refused, refused, refused, refused, refused)
	_, err = h.Restricted(h.context(), shipping("acme"))
	require.Equal(t, fault.AccessTokenRefused, fault.KindOf(err))
	require.Len(t, spapi.calls, 3)
}

func (h *harness) restrictedError(read issuer.RestrictedRead) error {
	_, err := h.Restricted(h.context(), read)
	return err
}

// That there is no slot is not Amazon's failure: nothing is held against the account.
func TestNoSlotForARestrictedToken(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.RequestTimeout, c.MaxConcurrentExchanges = time.Second, 1 })
	h.token("acme")
	spapi.held, spapi.gate = make(chan struct{}, 1), make(chan struct{})
	hung := h.reading(shipping("acme"))
	<-spapi.held
	err := h.restrictedError(document("1"))
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.ErrorContains(t, err, "no slot")
	close(spapi.gate)
	require.NoError(t, (<-hung).err)
	waited := h.noteWaits()
	for n := range 9 {
		require.NoError(t, h.restrictedError(document(strconv.Itoa(n+2))))
	}
	require.Empty(t, *waited, "nor did it take a place in the line")
}

// Whoever finds no access token any more, when its turn comes, gives its place back.
func TestAccessTokenThatIsGoneAfterAWait(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	waiting, gate := make(chan time.Duration, 1), make(chan time.Time)
	h.after = func(d time.Duration) <-chan time.Time {
		waiting <- d
		return gate
	}
	done := h.reading(document("a"))
	require.Equal(t, time.Second, <-waiting)
	h.Retire("acme", h.token("acme").AccessToken)
	h.amazon.RevokeAuthorization("acme")
	close(gate)
	require.Equal(t, fault.InvalidGrant, fault.KindOf((<-done).err))
	h.authorize("acme")
	waited := h.noteWaits()
	h.restricted(document("b"))
	require.Equal(t, []time.Duration{time.Second}, *waited)
}

// A denial may pass: a token that is still good is served meanwhile, and nothing
// else of the account is held up.
func TestDeniedAccess(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	first, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	h.clock.Advance(40 * time.Minute)
	spapi.script = []*fault.Error{fault.New(fault.AccessDenied, "Amazon denies access")}
	stale, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	require.True(t, stale.Stale)
	require.True(t, stale.AccessToken.Equal(first.AccessToken))
	_, err = h.Restricted(h.context(), document("1"))
	require.NoError(t, err)
	h.clock.Advance(2 * time.Second)
	fresh, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	require.False(t, fresh.Stale)
}

// While the SP-API cannot be reached for an account, no other document of it is
// asked for; other accounts are.
func TestUnreachableSellingPartnerAPI(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	h, spapi := scripted(t, down, down)
	h.authorize("other")
	for _, id := range []string{"1", "2", "3"} {
		_, err := h.Restricted(h.context(), document(id))
		require.Equal(t, fault.Unavailable, fault.KindOf(err))
	}
	require.Len(t, spapi.calls, 1)
	require.Equal(t, "acme", fault.Of(h.restrictedError(document("4"))).Account)
	_, err := h.Restricted(h.context(), shipping("other"))
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.Len(t, spapi.calls, 2)
	h.clock.Advance(1001 * time.Millisecond)
	_, err = h.Restricted(h.context(), document("2"))
	require.NoError(t, err)
	spapi.script = []*fault.Error{down, down}
	_, err = h.Restricted(h.context(), document("4"))
	require.Error(t, err)
	h.clock.Advance(1001 * time.Millisecond)
	_, err = h.Restricted(h.context(), document("5"))
	require.Error(t, err)
	h.clock.Advance(1001 * time.Millisecond)
	_, err = h.Restricted(h.context(), document("6"))
	require.Error(t, err, "it waits longer after the second failure")
	h.clock.Advance(time.Second)
	_, err = h.Restricted(h.context(), document("6"))
	require.NoError(t, err)
}

// As long as Amazon asks to wait, it is not asked for any document of the account.
func TestLongRetryAfter(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t, &fault.Error{Kind: fault.RateLimited, Message: "Amazon asks to slow down", RetryAfter: 5 * time.Minute})
	_, err := h.Restricted(h.context(), document("1"))
	require.Equal(t, "Amazon asks to slow down", fault.Of(err).Message)
	require.Len(t, spapi.calls, 1, "not asked again before")
	for _, id := range []string{"1", "2"} {
		_, err = h.Restricted(h.context(), document(id))
		require.Equal(t, fault.RateLimited, fault.KindOf(err))
	}
	require.Len(t, spapi.calls, 1)
	require.Equal(t, 5*time.Minute, fault.Of(err).RetryAfter)
	h.clock.Advance(5 * time.Minute)
	_, err = h.Restricted(h.context(), document("2"))
	require.NoError(t, err)
}

// The waits of a read end together, not each for itself.
func TestTimeLimitOfTheRate(t *testing.T) {
	t.Parallel()
	limited := &fault.Error{Kind: fault.RateLimited, Message: "Amazon asks to slow down", RetryAfter: 6 * time.Second}
	h, spapi := scripted(t, limited, limited, limited)
	began := h.clock.Now()
	_, err := h.Restricted(h.context(), shipping("acme"))
	require.Equal(t, fault.RateLimited, fault.KindOf(err))
	require.Len(t, spapi.calls, 2)
	require.Equal(t, 6*time.Second, h.clock.Now().Sub(began), "12 s would be more than request_timeout")
}

// Each call counts, also those that repeat one which failed.
func TestRepetitionsCount(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	require.Equal(t, fault.Unavailable, h.restrictedFailure(document("1")).Kind)
	require.Equal(t, 3, h.amazon.RestrictedCalls("acme"))
	h.amazon.ClearFaults()
	h.clock.Advance(1100 * time.Millisecond)
	waited := h.noteWaits()
	for n := range 9 {
		h.restricted(document(strconv.Itoa(n + 2)))
	}
	require.Equal(t, []time.Duration{900 * time.Millisecond}, *waited)
}

// While an account's access token cannot be had, reads of its restricted data
// tokens call neither Amazon nor storage.
func TestFailureOfTheAccessTokenIsRemembered(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.amazon.RevokeAuthorization("acme")
	h.restrictedFailure(shipping("acme"))
	h.Settle()
	calls, requests := h.storage.calls.Load(), h.amazon.Requests()
	for range 10 {
		require.Equal(t, fault.InvalidGrant, h.restrictedFailure(shipping("acme")).Kind)
	}
	require.Equal(t, calls, h.storage.calls.Load())
	require.Equal(t, requests, h.amazon.Requests())

	h = newRestrictedHarness(t)
	h.restricted(document("1"))
	h.clock.Advance(25 * time.Minute)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	h.Retire("acme", h.token("acme").AccessToken)
	h.Settle()
	h.restricted(document("1"))
	h.Settle()
	calls = h.storage.calls.Load()
	for range 10 {
		due, _ := h.restricted(document("1"))
		require.False(t, due.Stale)
	}
	h.Settle()
	require.Equal(t, calls, h.storage.calls.Load())
}

// What becomes of an access token says nothing new of the authorization.
func TestRestrictedTokenOfARevokedAuthorization(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.token("acme")
	h.amazon.RevokeAuthorization("acme")
	h.clock.Advance(10 * time.Minute)
	_, err := h.Token(h.context(), "acme", 55*time.Minute)
	require.Equal(t, fault.InvalidGrant, fault.KindOf(err))
	h.Settle()
	h.restricted(shipping("acme")) // with the access token of before
	h.Settle()
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)
	h.start()
	require.Equal(t, store.ReauthorizationRequired, h.state("acme").State)
}

// A restricted data token that is due hears what its access token fails with, and
// has one renewed that is there.
func TestRenewalNeedsAnAccessToken(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.token("acme")
	h.clock.Advance(10 * time.Minute)
	h.restricted(shipping("acme"))
	h.clock.Advance(25 * time.Minute) // 25 minutes are left of the access token, 35 of the other
	h.restricted(shipping("acme"))
	h.Settle()
	require.Equal(t, 2, h.amazon.Exchanges("acme"))
	h.clock.Advance(1001 * time.Millisecond)
	h.restricted(shipping("acme"))
	h.Settle()
	require.Equal(t, 2, h.amazon.RestrictedCalls("acme"))

	h.clock.Advance(25 * time.Minute)
	h.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	h.Retire("acme", h.token("acme").AccessToken)
	require.Equal(t, fault.Unavailable, h.failure("acme").Kind)
	h.restricted(shipping("acme"))
	h.Settle()
	due, _ := h.restricted(shipping("acme"))
	require.Equal(t, fault.Unavailable, due.Failure.Kind)
	require.False(t, due.Stale)
}

// A token is good for the SP-API that gave it.
func TestAnotherEndpoint(t *testing.T) {
	t.Parallel()
	h, spapi := scripted(t)
	first, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	access := h.token("acme")
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.SPAPIEndpoint, c.Sandbox = "", true })
	second, err := h.Restricted(h.context(), shipping("acme"))
	require.NoError(t, err)
	require.False(t, second.AccessToken.Equal(first.AccessToken))
	require.Equal(t, "https://sandbox.sellingpartnerapi-na.amazon.com", second.Endpoint)
	require.Equal(t, second.Endpoint, spapi.calls[1].endpoint)
	require.True(t, h.token("acme").AccessToken.Equal(access.AccessToken), "which an access token is everywhere")
}

func TestAnotherEndpointMidFlight(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	release := h.amazon.HoldSellingPartner()
	done := h.reading(shipping("acme"))
	require.NoError(t, h.amazon.WaitSellingPartnerInFlight(h.context(), 1))
	elsewhere := strings.Replace(h.amazon.URL(), "127.0.0.1", "localhost", 1)
	h.writeConfig(issuer.ConfigChange{}, func(c *store.Config) { c.SPAPIEndpoint = elsewhere })
	release()
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, elsewhere, got.issued.Endpoint)
	require.Equal(t, 2, h.amazon.RestrictedCalls("acme"), "for the endpoint as it is now")
}

// A reader who needs more than a renewal that gave up on the rate waits for it.
func TestReaderBehindARenewalThatGaveUp(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.restricted(shipping("acme"))
	h.clock.Advance(25 * time.Minute)
	for n := range 10 {
		h.restricted(document(strconv.Itoa(n)))
	}
	h.restricted(shipping("acme"))
	h.Settle()
	waited := h.noteWaits()
	issued, err := h.Restricted(h.context(), issuer.RestrictedRead{Role: "shipping", Account: "acme", MinTTL: 50 * time.Minute})
	require.NoError(t, err)
	require.False(t, issued.Stale)
	require.Greater(t, issued.Left, 59*time.Minute)
	require.Equal(t, []time.Duration{time.Second}, *waited)
}

// An account whose exchanges hang keeps no more than its share of what may be asked
// for at once.
func TestManyDocumentsOfAHungAccount(t *testing.T) {
	t.Parallel()
	h := newRestrictedHarness(t)
	h.start()
	h.after = func(d time.Duration) <-chan time.Time {
		if d > 0 {
			return nil // nobody's turn comes
		}
		return time.After(0)
	}
	release := h.amazon.Hold()
	done := make(chan error, 120)
	for n := range 120 {
		go func() {
			_, err := h.Restricted(h.context(), document(strconv.Itoa(n)))
			done <- err
		}()
	}
	for range 20 {
		require.Equal(t, fault.RateLimited, fault.KindOf(<-done))
	}
	require.Equal(t, 100, h.Derivations())
	release()
	served := 0
	for range 90 { // 10 at once, 10 that may wait
		if err := <-done; err == nil {
			served++
		}
	}
	require.Equal(t, 10, served)
	require.Equal(t, 10, h.amazon.RestrictedCalls("acme"))
}
