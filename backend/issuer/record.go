// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

// record is what is known of one account, or of another thing that tokens are
// issued for. A map with one flight per account
// serves here, and not a caching library: a waiter has to ask again when the
// account changed during an exchange, and a cache's loader cannot tell it.
type record struct {
	name    string // of the account; empty for a grantless token
	what    string // of the account the token is for; empty for its access token
	source  source
	current atomic.Pointer[state] // replaced under mu, read without

	mu      sync.Mutex
	flight  *flight // the exchange under way
	epoch   uint64  // counts changes of the account
	swept   bool    // no longer in the map
	queued  bool    // waits for its renewal
	aloft   int     // flights that have not ended, also those that nobody waits for any more
	retired *rate.Limiter
	unsaved *unsaved
	news    uint64 // counts flights that found out something about the status

	noting sync.Mutex // orders the writes of the status; no reader waits for it
}

// state is immutable.
type state struct {
	account *store.Profile // nil: to be read from storage
	token   *token
	failure *failure
}

// token is a cached access token, with what it was issued for.
type token struct {
	AccessToken         credential.Secret
	ExpiresAt, IssuedAt time.Time
	Lifetime            time.Duration
	accountGeneration   string
	configGeneration    string
	endpoint            string // where alone it is good; empty: everywhere
}

// belongsTo reports whether the token was issued for the account and the
// application as they are now.
func (t *token) belongsTo(account *store.Profile, s *settings) bool {
	return t != nil && t.accountGeneration == account.Generation && t.configGeneration == s.generation &&
		(t.endpoint == "" || t.endpoint == s.endpointOf(s.regionOf(account)))
}

// failure is the last failed exchange of an account.
type failure struct {
	err               *fault.Error
	until             time.Time // no exchange before
	count             int       // in a row
	endpoint          string    // that was asked; empty: does not matter
	aheadOnly         bool      // it keeps from renewals ahead of need only
	accountGeneration string
	configGeneration  string
}

// failureAt is the failure that keeps the account from being exchanged at now,
// or nil.
func (s *state) failureAt(set *settings, now time.Time) *failure {
	f := s.failure
	if f == nil || !now.Before(f.until) || f.accountGeneration != s.account.Generation || f.configGeneration != set.generation ||
		(f.endpoint != "" && f.endpoint != set.endpointOf(set.regionOf(s.account))) {
		return nil
	}
	return f
}

// unsaved is a changed refresh token of Amazon's that storage would not take,
// with the access token that must not be used before it is stored.
type unsaved struct {
	exchanged    credential.Secret // the refresh token before
	refreshToken credential.Secret
	token        *token
}

// flight is one exchange, or one reading of the account. Its results may be
// read once done is closed.
type flight struct {
	minTTL time.Duration
	ahead  bool // renews a token that is still good
	// release gives back the slot that the flight has from its beginning; nil if
	// it has none.
	release func()
	epoch   uint64
	news    uint64 // the record's, as this flight landed; 0 if it brought none

	done       chan struct{} // closed under the record's mu
	superseded bool          // the account changed meanwhile
	token      *token
	err        error
}

// record returns the record of an account, new if there is none.
func (i *Issuer) record(account string) *record {
	if known, ok := i.records.Load(account); ok {
		return known.(*record)
	}
	known, _ := i.records.LoadOrStore(account, &record{name: account, source: refreshSource{}})
	return known.(*record)
}

// lockRecord returns the record of an account, locked and still in the map.
func (i *Issuer) lockRecord(account string) *record {
	for {
		rec := i.record(account)
		rec.mu.Lock()
		if !rec.swept {
			return rec
		}
		rec.mu.Unlock()
	}
}

// state returns a copy of the state, empty if there is none.
func (r *record) state() state {
	if s := r.current.Load(); s != nil {
		return *s
	}
	return state{}
}

// supersede ends the flight for its waiters, who ask again; what it may still
// bring is for nobody. It is called under mu.
func (r *record) supersede() {
	r.epoch++
	if r.flight != nil {
		r.flight.superseded = true
		close(r.flight.done)
		r.flight = nil
	}
}

// readAgain lets the next reader read the account from storage. A flight goes on,
// but for one that renews a token which is still good: readers would wait for it.
// It is called under mu.
func (r *record) readAgain() {
	next := r.state()
	next.account = nil
	r.epoch++
	if r.flight != nil && r.flight.ahead {
		r.supersede()
	}
	r.current.Store(&next)
}

// sweep takes the record out of the map. It is called under mu.
func (i *Issuer) sweep(rec *record) {
	rec.swept = true
	rec.current.Store(nil)
	if rec.isAccounts() {
		i.records.CompareAndDelete(rec.name, rec)
	} else if i.derivations.CompareAndDelete(derivedKey{rec.name, rec.what}, rec) {
		i.derivationCount.Add(-1)
	}
}
