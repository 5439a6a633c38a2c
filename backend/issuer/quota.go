// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"fmt"
	"sync"
	"time"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

// maxAloft bounds the restricted data tokens that are asked for at once of one
// account. It is more than its rate can serve within the longest request_timeout.
const maxAloft = 100

// quota is how often Amazon gives restricted data tokens of one account: a bucket
// that refills. It is not that of x/time/rate, which cannot take back a place in
// the line once others stand behind it.
type quota struct {
	mu      sync.Mutex
	gone    bool      // no longer in the map
	full    time.Time // when the bucket is full again
	aloft   int       // flights of the account
	failure *failure  // of the last call, whatever it asked for
}

// enterQuota returns the quota of an account for a flight, which has to leave it;
// nil if the account has too many.
func (i *Issuer) enterQuota(account string) *quota {
	for {
		known, _ := i.quotas.LoadOrStore(account, &quota{})
		q := known.(*quota)
		q.mu.Lock()
		entered := q.aloft < maxAloft
		if entered && !q.gone {
			q.aloft++
		}
		gone := q.gone
		q.mu.Unlock()
		switch {
		case !entered:
			return nil
		case !gone:
			return q
		}
	}
}

func (q *quota) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.aloft--
}

const fullAfter = sellingpartner.RestrictedBurst * sellingpartner.RestrictedEvery

// take takes a place in the line, if its turn comes within patience, and returns
// when that is.
func (q *quota) take(now func() time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := now()
	wait = q.waitAt(at)
	if wait > patience {
		return wait, false
	}
	q.full = latest(q.full, at).Add(sellingpartner.RestrictedEvery)
	return wait, true
}

// wait is how long the next in line would wait.
func (q *quota) wait(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waitAt(now)
}

func (q *quota) waitAt(now time.Time) time.Duration {
	return max(latest(q.full, now).Add(sellingpartner.RestrictedEvery-fullAfter).Sub(now), 0)
}

// giveBack returns a place that was not used. Those behind it keep theirs.
func (q *quota) giveBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = q.full.Add(-sellingpartner.RestrictedEvery)
}

// charge counts a call that took no place: the repetition of one.
func (q *quota) charge(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = latest(q.full, now).Add(sellingpartner.RestrictedEvery)
}

// exhaust empties the bucket, where Amazon says that it is, for as long as it asks.
func (q *quota) exhaust(now time.Time, retryAfter time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = latest(q.full, now.Add(max(retryAfter, sellingpartner.RestrictedEvery)+fullAfter-sellingpartner.RestrictedEvery))
}

// failureOf is the failure that keeps Amazon from being asked of the account, as the
// order has it; nil if none does.
func (q *quota) failureOf(o *order, now time.Time) *failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := state{account: &o.account.Profile, failure: q.failure}
	return s.failureAt(o.settings, now)
}

// remember notes how a call ended; nil if well.
func (q *quota) remember(failure *failure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = failure
}

// last is the failure of the call before, if any.
func (q *quota) last() *failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failure
}

// tidyQuotas forgets those that are full, as one that is not known is.
func (i *Issuer) tidyQuotas(now time.Time) {
	i.quotas.Range(func(account, known any) bool {
		q := known.(*quota)
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.aloft == 0 && !now.Before(q.full) && (q.failure == nil || !now.Before(q.failure.until.Add(maxBackoff))) {
			q.gone = true
			i.quotas.CompareAndDelete(account, known)
		}
		return true
	})
}

// limited says that no place in the line is free in time.
func limited(account string, wait time.Duration) *fault.Error {
	return &fault.Error{
		Kind: fault.RateLimited, Account: account, RetryAfter: wait,
		Message: fmt.Sprintf("Amazon gives one restricted data token a second of an account, beyond %d at once, and the next is free in %s only", sellingpartner.RestrictedBurst, wait.Round(time.Second/10)),
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
