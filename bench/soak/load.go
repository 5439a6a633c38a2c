// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-spapi/bench/rig"
)

const (
	steadyAccounts = 300
	readers        = 8
	// Each worker does one thing per tick, if it is done with the last.
	readEvery    = 5 * time.Millisecond
	writeEvery   = 100 * time.Millisecond
	revokeEvery  = 200 * time.Millisecond
	configEvery  = 3 * time.Second
	faultEvery   = 5 * time.Second
	advanceEvery = 10 * time.Second
	advanceBy    = 10 * time.Minute
	// passing is how many accounts that come and go exist at once.
	passing = 50
)

// load is the mixed load on one mount.
type load struct {
	rig   *rig.Rig
	tally *tally

	leased, unleased []string
	leases           chan string  // some that may be revoked
	clock            atomic.Int64 // counts advances: one when it begins, one when it is done
}

func newLoad(r *rig.Rig) *load {
	return &load{
		rig: r, tally: newTally(), leases: make(chan string, 1000),
		leased: rig.Names(rig.Leased, "soak", steadyAccounts/2), unleased: rig.Names(rig.Unleased, "soak", steadyAccounts/2),
	}
}

func (l *load) accounts() []string { return append(append([]string{}, l.leased...), l.unleased...) }

func (l *load) prepare(ctx context.Context) error {
	return errors.Join(l.rig.AddAccounts(ctx, rig.Leased, l.leased, nil), l.rig.AddAccounts(ctx, rig.Unleased, l.unleased, nil))
}

// worker does one step after the other, with a connection and random numbers of
// its own.
type worker struct {
	*load
	conn   *rig.Conn
	random *rand.Rand
	step   int
}

// runFor runs all workers, and samples memory meanwhile. An error of one ends
// all.
func (l *load) runFor(ctx context.Context, length time.Duration, out io.Writer) (*samples, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sampling, stopSampling := context.WithTimeout(ctx, length)
	defer stopSampling()
	jobs := []struct {
		every time.Duration
		do    func(*worker, context.Context) error
	}{
		{writeEvery, (*worker).write},
		{writeEvery, (*worker).comeAndGo},
		{revokeEvery, (*worker).revoke},
		{configEvery, (*worker).writeConfig},
		{faultEvery, (*worker).switchFault},
		{advanceEvery, (*worker).advance},
	}
	for range readers {
		jobs = append(jobs, struct {
			every time.Duration
			do    func(*worker, context.Context) error
		}{readEvery, (*worker).read})
	}
	errs := make(chan error, len(jobs)+1)
	var running sync.WaitGroup
	for i, job := range jobs {
		running.Go(func() { errs <- l.work(ctx, cancel, fmt.Sprint(i), job.every, job.do) })
	}
	taken := newSamples(length)
	err := taken.takeUntil(sampling, l, out)
	cancel()
	running.Wait()
	close(errs)
	for failure := range errs {
		err = errors.Join(err, failure)
	}
	return taken, err
}

func (l *load) work(ctx context.Context, cancel context.CancelFunc, name string, every time.Duration, do func(*worker, context.Context) error) error {
	conn, err := l.rig.Dial(ctx)
	if err != nil {
		cancel()
		return err
	}
	defer conn.Close()
	w := &worker{load: l, conn: conn, random: rand.New(rand.NewChaCha8(sha256.Sum256([]byte(name))))} //nolint:gosec // the choice of what to do next is no secret
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		w.step++
		if err := do(w, ctx); err != nil {
			if ctx.Err() != nil { // which closed the connection
				return nil
			}
			cancel()
			return err
		}
	}
}

// call makes a request. Its status must be one that the paths declare.
func (w *worker) call(what, method, path string, body any) (status int, answer []byte, err error) {
	status, answer, err = w.conn.Do(w.rig.Request(method, path, body))
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", what, err)
	}
	w.tally.count(what, status)
	if !declared(status) {
		return 0, nil, fmt.Errorf("%s: %s %s: status %d: %.500s", what, method, path, status, answer)
	}
	return status, answer, nil
}

func (w *worker) pick(names []string) string { return names[w.random.IntN(len(names))] }
