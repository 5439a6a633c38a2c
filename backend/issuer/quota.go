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
	paused  pause     // what Amazon asked for
	failure *failure  // of the last call, whatever it asked for
}

// pause is how long nothing is to be asked of an endpoint.
type pause struct {
	until    time.Time
	endpoint string
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
func (q *quota) take(o *order, now func() time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := now()
	wait = q.waitAt(o, at)
	if wait > patience {
		return wait, false
	}
	q.full = latest(q.full, at).Add(sellingpartner.RestrictedEvery)
	return wait, true
}

// wait is how long the next in line would wait.
func (q *quota) wait(o *order, now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waitAt(o, now)
}

func (q *quota) waitAt(o *order, now time.Time) time.Duration {
	turn := latest(q.full, now).Add(sellingpartner.RestrictedEvery - fullAfter)
	if q.paused.endpoint == o.endpoint() {
		turn = latest(turn, q.paused.until)
	}
	return max(turn.Sub(now), 0)
}

// isPaused reports whether Amazon has asked to wait until later.
func (q *quota) isPaused(o *order, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused.endpoint == o.endpoint() && now.Before(q.paused.until)
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

// exhaust empties the bucket, where Amazon says that it is, and keeps to what Amazon
// asks for.
func (q *quota) exhaust(now time.Time, retryAfter time.Duration, endpoint string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = latest(q.full, now.Add(fullAfter))
	if until := now.Add(retryAfter); q.paused.endpoint != endpoint || until.After(q.paused.until) {
		q.paused = pause{until, endpoint}
	}
}

// failureOf is the failure that keeps Amazon from being asked of the account, as the
// order has it; nil if none does.
func (q *quota) failureOf(o *order, now time.Time) *failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := state{account: &o.account.Profile, failure: q.failure}
	return s.failureAt(o.settings, now)
}

func (q *quota) succeed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = nil
}

// fail notes a failure. Calls that were under way together count as one.
func (q *quota) fail(began time.Time, failed func(count int) *failure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	count := 1
	if before := q.failure; before != nil {
		if began.Before(before.until) {
			return
		}
		count = before.count + 1
	}
	q.failure = failed(count)
}

// forgive forgets what was about the account as it was before.
func (i *Issuer) forgive(account string) {
	if known, ok := i.quotas.Load(account); ok {
		q := known.(*quota)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.paused, q.failure = pause{}, nil
	}
}

// tidyQuotas forgets those that are full, as one that is not known is.
func (i *Issuer) tidyQuotas(now time.Time) {
	i.quotas.Range(func(account, known any) bool {
		q := known.(*quota)
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.aloft == 0 && !now.Before(q.full) && !now.Before(q.paused.until) && (q.failure == nil || !now.Before(q.failure.until.Add(maxBackoff))) {
			q.gone = true
			i.quotas.CompareAndDelete(account, known)
		}
		return true
	})
}

// refuseTurn says that no place in the line is free in time.
func (i *Issuer) refuseTurn(o *order, wait time.Duration) error {
	limited := &fault.Error{
		Kind: fault.RateLimited, Account: o.account.Name, RetryAfter: wait,
		Message: fmt.Sprintf("Amazon gives one restricted data token a second of an account, beyond %d at once, and the next is free in %s only", sellingpartner.RestrictedBurst, wait.Round(time.Second/10)),
	}
	if o.ahead {
		return i.putOff(o, wait, limited)
	}
	return &aside{err: limited, turn: true} // another read may have more luck
}

// putOff has a token renewed later that is still good. Its readers hear nothing of
// it.
func (i *Issuer) putOff(o *order, wait time.Duration, why *fault.Error) error {
	return &aside{err: why, failure: &failure{
		err: why, until: i.now().Add(max(wait, firstBackoff)), aheadOnly: true,
		accountGeneration: o.account.Generation, configGeneration: o.settings.generation,
	}}
}

// endpoint is where the order's account is called.
func (o *order) endpoint() string {
	return o.settings.endpointOf(o.settings.regionOf(&o.account.Profile))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
