// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package issuer hands out access tokens: from memory where it can, with one
// exchange per account where it must, and honestly where Amazon fails.
package issuer

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// exchanger is what the Issuer needs of Login with Amazon.
type exchanger interface {
	Refresh(ctx context.Context, app lwa.Application, refreshToken credential.Secret) (lwa.Token, error)
	AuthorizationCode(ctx context.Context, app lwa.Application, code credential.Secret, redirectURI string) (lwa.Token, error)
	ClientCredentials(ctx context.Context, app lwa.Application, scope string) (lwa.Token, error)
}

// sellingPartner is what the Issuer needs of the Selling Partner API.
type sellingPartner interface {
	RestrictedDataToken(ctx context.Context, endpoint string, accessToken credential.Secret, request sellingpartner.RestrictedRequest, repeated func()) (sellingpartner.RestrictedDataToken, error)
	AuthorizationCode(ctx context.Context, endpoint string, accessToken credential.Secret, mws sellingpartner.MWSAuthorization) (credential.Secret, error)
}

// Options configure an Issuer. All but Now, After and Jitter are required.
type Options struct {
	Store          *store.Store
	LWA            exchanger
	SellingPartner sellingPartner
	// PermitEndpoint returns why readers may not be sent to an SP-API base URL,
	// or nil.
	PermitEndpoint func(endpoint string) error
	Logger         hclog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// After is how a wait for Amazon's rate ends; time.After if nil.
	After func(time.Duration) <-chan time.Time
	// Jitter returns a number from 0 to 1; random if nil.
	Jitter func() float64
}

// Issuer issues the access tokens of one mount. It is safe for concurrent use.
type Issuer struct {
	store  *store.Store
	lwa    exchanger
	spapi  sellingPartner
	permit func(endpoint string) error
	logger hclog.Logger
	now    func() time.Time
	after  func(time.Duration) <-chan time.Time
	jitter func() float64

	ctx     context.Context //nolint:containedctx // exchanges outlive the request that started them
	cancel  context.CancelFunc
	gate    sync.Mutex // orders closed and flights.Go
	closed  bool
	flights sync.WaitGroup

	records     sync.Map // account name -> *record
	derivations sync.Map // derivedKey -> *record
	// derivationCount bounds them; evicting makes room for one at a time.
	derivationCount atomic.Int64
	evicting        sync.Mutex
	maxDerivations  int64
	roles           roles
	quotas          sync.Map // account name -> quota
	settings        atomic.Pointer[settings]
	// settingsEpoch counts changes of the config, so that one that was read
	// before a change is not kept after it.
	settingsEpoch atomic.Uint64
	settingsLock  sync.Mutex // orders writes of settings and settingsEpoch

	slots      slots
	renewals   renewals
	appFailure atomic.Pointer[appFailure]
	worked     atomic.Pointer[[sha256.Size]byte] // digest of the client secret that Amazon accepted last
}

// New returns an Issuer. Close it after use.
func New(opts Options) *Issuer {
	i := &Issuer{
		store: opts.Store, lwa: opts.LWA, spapi: opts.SellingPartner, permit: opts.PermitEndpoint, logger: opts.Logger,
		now: opts.Now, after: opts.After, jitter: opts.Jitter,
		maxDerivations: maxDerivations,
	}
	if i.now == nil {
		i.now = time.Now
	}
	if i.after == nil {
		i.after = time.After
	}
	if i.jitter == nil {
		i.jitter = rand.Float64
	}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	return i
}

// Close cancels all exchanges and waits for their end. It tries once more to
// store what would be lost.
func (i *Issuer) Close() {
	i.gate.Lock()
	i.closed = true
	i.gate.Unlock()
	i.cancel()
	i.flights.Wait()
	i.saveLast()
	i.records.Clear()
	i.derivations.Clear()
}

// Issued is an access token and what its reader needs to know about it.
type Issued struct {
	AccessToken   credential.Secret // or the restricted data token
	ExpiresAt     time.Time
	Left          time.Duration // until it expires, at least a second
	Lifetime      time.Duration // what Amazon gave it
	MinTTL        time.Duration // how much of it a reader is promised here
	GenerateLease bool
	Region        string
	Endpoint      string         // SP-API base URL
	Account       *store.Profile // do not change
	// Failure is why the token could not be renewed, if it could not.
	Failure *fault.Error
	// Stale says that less than MinTTL is left because of Failure.
	Stale bool

	// Request is what Retire needs to know a restricted data token by; empty for
	// others.
	Request string

	due bool // to be renewed ahead of need
}

// Token returns an access token of an account with at least minTTL left, or the
// account's own minimum if minTTL is 0. A read that memory can serve calls
// neither storage nor Amazon.
func (i *Issuer) Token(ctx context.Context, account string, minTTL time.Duration) (*Issued, error) {
	return i.token(ctx, minTTL, func() *record { return i.record(account) })
}

// token is Token for any record; find returns it, new if it was swept meanwhile.
func (i *Issuer) token(ctx context.Context, minTTL time.Duration, find func() *record) (*Issued, error) {
	var fresh *token
	for {
		rec := find()
		if issued, err := i.serve(rec, minTTL, fresh); issued != nil || err != nil {
			return issued, err
		}
		flight, err := i.join(rec, minTTL, fresh)
		if err != nil {
			return nil, err
		}
		if flight == nil {
			continue // memory changed between the two looks
		}
		select {
		case <-ctx.Done():
			return nil, &fault.Error{Kind: fault.Canceled, Account: rec.name, Message: "the request was given up before Amazon answered"}
		case <-flight.done:
		}
		switch {
		case flight.superseded: // the account changed meanwhile: ask again
			fresh = nil
		case flight.err != nil && isAheadOnly(flight.err): // this reader can wait
		case flight.err != nil:
			return i.staleOr(rec, minTTL, flight.err)
		case flight.token != nil && left(flight.token.ExpiresAt, i.now()) < time.Second:
			return nil, &fault.Error{Kind: fault.BadAnswer, Account: rec.name, Message: "Amazon's token expired before it arrived"}
		default:
			fresh = flight.token
		}
	}
}

// Cached is Token for a read that needs no more than memory; nil if there is
// more to it, or an error to be told.
func (i *Issuer) Cached(account string, minTTL time.Duration) *Issued {
	known, ok := i.records.Load(account)
	return i.cached(known, ok, minTTL)
}

// cached takes what a map of records found.
func (i *Issuer) cached(known any, ok bool, minTTL time.Duration) *Issued {
	if !ok {
		return nil
	}
	issued, err := i.serve(known.(*record), minTTL, nil)
	if err != nil {
		return nil
	}
	return issued
}

// serve is look, and has a token renewed that is due.
func (i *Issuer) serve(rec *record, minTTL time.Duration, fresh *token) (*Issued, error) {
	issued, err := i.look(rec, minTTL, fresh)
	if issued != nil && issued.due {
		i.renew(rec, minTTL)
	}
	return issued, err
}

// look serves a read from memory. Both results are nil if it cannot. fresh is a
// token minted for this very read: it is as good as Amazon gives.
func (i *Issuer) look(rec *record, minTTL time.Duration, fresh *token) (*Issued, error) {
	settings, state := i.settings.Load(), rec.current.Load()
	if settings == nil || state == nil || state.account == nil {
		return nil, nil
	}
	if settings.fault != nil {
		return nil, settings.fault
	}
	if !state.account.Enabled {
		return nil, disabled(rec.name)
	}
	now := i.now()
	failed, resting := i.failureAt(state, settings, now)
	if token := state.token; token.belongsTo(state.account, settings) {
		issued := issue(token, state.account, settings, minTTL, now)
		if issued.suffices() || (token == fresh && issued.Left >= time.Second) {
			if issued.renewable() {
				issued.Failure, issued.due = failed, failed == nil && !resting
			}
			return issued, nil
		}
	}
	if failed != nil {
		return i.staleOr(rec, minTTL, failed.OfAccount(rec.name))
	}
	return nil, nil
}

// failureAt is what keeps the account from being exchanged at now: its own last
// failure, or the application's. It is nil if nothing does. resting says that
// something keeps it from being renewed ahead of need.
func (i *Issuer) failureAt(s *state, set *settings, now time.Time) (failed *fault.Error, resting bool) {
	switch failure := s.failureAt(set, now); {
	case failure == nil:
	case failure.aheadOnly:
		resting = true
	default:
		return failure.err, false
	}
	return i.appFailureAt(set.revision, now), resting
}

// staleOr returns a token that lives long enough to be of use when Amazon
// cannot give another, and otherwise err.
func (i *Issuer) staleOr(rec *record, minTTL time.Duration, err error) (*Issued, error) {
	settings, state, failed := i.settings.Load(), rec.current.Load(), fault.Of(err)
	if !failed.Kind.Transient() || settings == nil || state == nil || state.account == nil || !state.token.belongsTo(state.account, settings) {
		return nil, err
	}
	issued := issue(state.token, state.account, settings, minTTL, i.now())
	if issued.Left < minStale {
		return nil, err
	}
	issued.Stale, issued.Failure = true, failed
	return issued, nil
}

func issue(t *token, account *store.Profile, s *settings, minTTL time.Duration, now time.Time) *Issued {
	region := s.regionOf(account)
	return &Issued{
		AccessToken: t.AccessToken, ExpiresAt: t.ExpiresAt, Left: left(t.ExpiresAt, now), Lifetime: t.Lifetime,
		MinTTL:        required(firstPositive(minTTL, account.TokenMinTTL, s.minTTL), t.Lifetime),
		GenerateLease: s.leaseOf(account),
		Region:        string(region),
		Endpoint:      s.endpointOf(region),
		Account:       account,
	}
}

// suffices reports whether the token lives as long as its reader is promised.
func (i *Issued) suffices() bool { return i.Left >= max(i.MinTTL, time.Second) }

// renewable reports whether a token in use is old enough to be renewed, ahead of
// need.
func (i *Issued) renewable() bool { return i.Left < renewBelow(i.MinTTL, i.Lifetime) }

func firstPositive(durations ...time.Duration) time.Duration {
	for _, duration := range durations {
		if duration > 0 {
			return duration
		}
	}
	return 0
}

func disabled(account string) *fault.Error {
	return &fault.Error{Kind: fault.Disabled, Account: account, Message: "account " + account + " is disabled (enabled=false)"}
}
