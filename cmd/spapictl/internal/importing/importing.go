// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package importing writes what files say of accounts into a mount.
package importing

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// MaxParallel bounds the accounts that are written at once.
const MaxParallel = 64

const (
	// grace is how long writes in flight may take after an interruption.
	grace = 15 * time.Second
	// maxInARow failures mean that the next account would fail, too.
	maxInARow = 10
)

// Vault is a mount of the engine.
type Vault interface {
	Path() string
	Read(ctx context.Context, path string) (*mount.Answer, error)
	Write(ctx context.Context, path string, data map[string]any, secrets ...credential.Secret) (*mount.Answer, error)
	List(ctx context.Context, path string, query url.Values) (*mount.Answer, error)
}

// Progress is told of each account that is done.
type Progress interface {
	Step()
	Close()
}

// Options say what to import, and how.
type Options struct {
	Sources  []*accountfile.Source
	Broken   []*accountfile.Problem // files that could not be opened
	Order    []string               // of the names of all files
	ClientID string                 // which application of the sources; empty: the only one
	Region   string                 // of a config that is written, and of accounts that name none
	Parallel int
	Update   bool // write accounts that exist, too
	DryRun   bool
	Progress Progress
	Pause    func(ctx context.Context, d time.Duration) error
}

// run is one import.
type run struct {
	Options
	vault    Vault
	clientID string // of the application that the mount has, or would have
	region   string // for accounts that name none; empty: the config's is meant
	exists   map[string]bool
	// configured says that the config was written in this run, and its client
	// secret proven.
	configured bool

	seen  *duplicates
	slots chan struct{}
	stop  context.CancelCauseFunc

	mu      sync.Mutex
	inARow  int
	summary *Summary
}

// Run imports all sources. What went wrong stands in the summary.
func Run(ctx context.Context, vault Vault, opts Options) *Summary {
	stopped, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{Options: opts, vault: vault, seen: newDuplicates(), slots: make(chan struct{}, opts.Parallel), stop: stop, summary: newSummary(opts)}
	for _, problem := range opts.Broken {
		r.problem(problem, nil)
	}
	// Requests in flight are answered even after Ctrl-C, for a while.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(stopped, func() {
		if r.Pause(working, grace) == nil {
			cancel()
		}
	})()
	err := r.prepare(ctx)
	if err == nil {
		err = r.accounts(stopped, working)
	}
	if err != nil {
		r.summary.Stopped = err.Error()
	}
	if ctx.Err() != nil {
		r.summary.Stopped = "interrupted"
	}
	r.summary.sort()
	return r.summary
}

// prepare does what comes before the first account. The list comes before a
// config is missed: it is what fails where there is no mount.
func (r *run) prepare(ctx context.Context) error {
	config, err := r.config(ctx)
	if err == nil {
		err = r.list(ctx)
	}
	if err == nil {
		err = r.application(ctx, config)
	}
	return err
}

// accounts goes through the sources. After a stop it only counts what is left.
func (r *run) accounts(stopped, working context.Context) error {
	var writers sync.WaitGroup
	for _, source := range r.Sources {
		t := r.tally(source)
		for item := range r.items(stopped, source) {
			r.item(stopped, working, &writers, t, item)
		}
	}
	writers.Wait()
	if cause := context.Cause(stopped); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// items reads a source. One that may never end is left alone after a stop, also
// while it is being read.
func (r *run) items(stopped context.Context, source *accountfile.Source) func(func(accountfile.Item) bool) {
	next := func() (accountfile.Item, bool) { return source.Next() }
	if source.Endless {
		read := make(chan accountfile.Item)
		go func() {
			defer close(read)
			for item, ok := source.Next(); ok; item, ok = source.Next() {
				select {
				case read <- item:
				case <-stopped.Done():
					return
				}
			}
		}()
		next = func() (item accountfile.Item, ok bool) {
			select {
			case item, ok = <-read:
			case <-stopped.Done():
				r.summary.Unread = append(r.summary.Unread, source.Name)
			}
			return item, ok
		}
	}
	return func(yield func(accountfile.Item) bool) {
		for item, ok := next(); ok && yield(item); {
			item, ok = next()
		}
	}
}

// item decides about an account, and starts writing it if it is to be written.
func (r *run) item(stopped, working context.Context, writers *sync.WaitGroup, t *tally, item accountfile.Item) {
	if item.Problem != nil {
		r.problem(item.Problem, t)
		r.step()
		return
	}
	account := item.Account
	// What comes to pass of an account counts for its repetitions, too.
	first := false
	done := func(outcome Outcome, reason string) {
		r.done(account, t, outcome, reason, first)
		if outcome != NotTried {
			r.step()
		}
	}
	if reason := r.foreign(account); reason != "" {
		done(Rejected, reason)
		return
	}
	if before, same := r.seen.add(account); before != nil {
		if same {
			done(Duplicate, "")
		} else {
			done(Rejected, "the account stands in "+before.String()+" already, with other values: one of the two has to go")
		}
		return
	}
	first = true
	if r.exists[account.Name] && !r.Update {
		done(AlreadyThere, "")
		return
	}
	if r.DryRun {
		done(WouldStore, "")
		return
	}
	select {
	case <-stopped.Done():
		done(NotTried, "")
		return
	default:
	}
	select {
	case <-stopped.Done():
		done(NotTried, "")
	case r.slots <- struct{}{}:
		writers.Go(func() {
			defer func() { <-r.slots }()
			done(r.write(stopped, working, account))
		})
	}
}

func (r *run) step() {
	if r.Progress != nil {
		r.Progress.Step()
	}
}

// problem counts for a source, or for a file that could not be opened.
func (r *run) problem(problem *accountfile.Problem, t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t != nil {
		t.outcomes[Rejected]++
	}
	r.summary.add(Result{Place: problem.Place, Account: problem.Account, Outcome: Rejected, Reason: problem.Text})
}

func (r *run) done(account *accountfile.Account, t *tally, outcome Outcome, reason string, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if first {
		r.summary.became[account.Name] = outcome
	}
	t.add(outcome, account)
	r.summary.add(Result{Place: account.Place, Account: account.Name, Outcome: outcome, Reason: reason})
}
