// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"sync"
	"time"
)

// renewals are the accounts whose tokens are to be renewed ahead of need, in
// the order in which readers found them due. Where very many come due at once
// they wait here, and not as a goroutine each.
type renewals struct {
	mu      sync.Mutex
	waiting []renewal
	workers int
}

type renewal struct {
	rec    *record
	minTTL time.Duration
}

// renew has the token of an account renewed, without waiting for it.
func (i *Issuer) renew(rec *record, minTTL time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	i.enqueue(rec, minTTL)
}

// enqueue is called under the record's mu.
func (i *Issuer) enqueue(rec *record, minTTL time.Duration) {
	if rec.swept || rec.aloft > 0 {
		return
	}
	q := &i.renewals
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.workers < i.renewalsAtOnce() {
		if !i.spawn(i.renewWaiting) {
			return // closing
		}
		q.workers++
	}
	if !rec.queued {
		rec.queued = true
		q.waiting = append(q.waiting, renewal{rec, minTTL})
	}
}

// renewalsAtOnce leaves slots to exchanges that somebody waits for, also where
// Amazon answers none of the others.
func (i *Issuer) renewalsAtOnce() int {
	if s := i.settings.Load(); s != nil {
		return max(s.maxExchanges/2, 1)
	}
	return 1
}

// renewWaiting is a worker. It waits for a slot as long as it takes, and only then
// takes an account out of the line: a reader that cannot wait for that sees to the
// account itself.
func (i *Issuer) renewWaiting() {
	for {
		size := 0
		if s := i.settings.Load(); s != nil {
			size = s.maxExchanges
		}
		release, _ := i.slots.wait(i.ctx, size) // fails only when closing, which ends the line, too
		next, ok := i.nextRenewal()
		if ok {
			i.renewNow(next, release)
		}
		release()
		if !ok {
			return
		}
	}
}

func (i *Issuer) renewNow(r renewal, release func()) {
	if f := i.board(r); f != nil {
		f.release = release
		i.run(r.rec, f)
	}
}

// nextRenewal takes the account that waits longest; false ends the worker.
func (i *Issuer) nextRenewal() (renewal, bool) {
	q := &i.renewals
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.workers > i.renewalsAtOnce() || i.ctx.Err() != nil {
		q.workers--
		return renewal{}, false
	}
	next := q.waiting[0]
	q.waiting[0] = renewal{}
	q.waiting = q.waiting[1:]
	return next, true
}

// board starts the flight of a renewal, unless it is no longer due, or there is
// nothing to renew any more.
func (i *Issuer) board(r renewal) *flight {
	rec := r.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.queued = false
	if rec.swept || rec.aloft > 0 || rec.state().token == nil {
		return nil
	}
	if issued, err := i.look(rec, r.minTTL, nil); err != nil || (issued != nil && !issued.due) {
		return nil
	}
	return rec.begin(&flight{minTTL: r.minTTL, ahead: true})
}
