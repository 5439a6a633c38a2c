// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"time"

	"golang.org/x/time/rate"

	"vault-plugin-secrets-spapi/backend/credential"
)

const (
	// Vault revokes not only when an operator says so, but whenever a reader's
	// Vault token ends: without a bound, a client could make every read cost an
	// exchange.
	retireBurst = 3
	retireEvery = 10 * time.Minute
	// keptAfterExpiry is how long a record outlives its token.
	keptAfterExpiry = time.Hour
)

// Retire takes a revoked access token out of memory, so that nobody else is
// given it. It calls neither storage nor Amazon, which has no revocation. Past
// the bound on retirements the token stays.
func (i *Issuer) Retire(account string, accessToken credential.Secret) {
	known, ok := i.records.Load(account)
	i.retire(known, ok, accessToken)
}

// retire takes what a map of records found.
func (i *Issuer) retire(known any, ok bool, accessToken credential.Secret) {
	if !ok {
		return
	}
	rec := known.(*record)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	next := rec.state()
	if next.token == nil || !next.token.AccessToken.Equal(accessToken) {
		return
	}
	if rec.retired == nil {
		rec.retired = rate.NewLimiter(rate.Every(retireEvery), retireBurst)
	}
	if !rec.retired.AllowN(i.now(), 1) {
		i.logger.Debug("a revoked token stays in use: too many of its kind were retired", "account", rec.name)
		return
	}
	next.token = nil
	rec.current.Store(&next)
}

// Tidy forgets what nobody reads any more. It looks into memory only, and has the
// refresh tokens stored that still are to be.
func (i *Issuer) Tidy() {
	now := i.now()
	i.eachRecord(func(rec *record) {
		switch {
		case rec.aloft > 0:
		case rec.unsaved != nil:
			_, _ = i.start(rec, &flight{ahead: true}) // fails only when closing
		case rec.idleAt(now):
			i.sweep(rec)
		}
	})
	i.tidyQuotas(now)
}

func (r *record) idleAt(now time.Time) bool {
	state, kept := r.state(), keptAfterExpiry
	if !r.isAccounts() {
		kept = 0 // there may be one for each document, and larger ones
	}
	if state.token != nil && now.Before(state.token.ExpiresAt.Add(kept)) {
		return false
	}
	if state.failure != nil && now.Before(state.failure.until.Add(maxBackoff)) {
		return false
	}
	return r.retired == nil || r.retired.TokensAt(now) >= retireBurst
}
