// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

// join returns the flight under way, or starts one. It returns nil if memory
// changed since the caller looked.
func (i *Issuer) join(rec *record, minTTL time.Duration, fresh *token) (*flight, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.swept {
		return nil, nil
	}
	if rec.flight != nil {
		return rec.flight, nil
	}
	if issued, err := i.look(rec, minTTL, fresh); issued != nil || err != nil {
		return nil, nil
	}
	return i.start(rec, &flight{minTTL: minTTL})
}

// start begins a flight on a goroutine of its own. It is called under the
// record's mu.
func (i *Issuer) start(rec *record, f *flight) (*flight, error) {
	if !i.spawn(func() { i.run(rec, f) }) {
		return nil, errClosing()
	}
	return rec.begin(f), nil
}

// begin makes f the flight under way. It is called under mu.
func (r *record) begin(f *flight) *flight {
	f.done, f.epoch = make(chan struct{}), r.epoch
	r.aloft++
	r.flight = f
	return f
}

// enter lets Close wait for what has to be finished, until leave is called.
func (i *Issuer) enter() (leave func(), err error) {
	i.gate.Lock()
	defer i.gate.Unlock()
	if i.closed {
		return nil, errClosing()
	}
	i.flights.Add(1)
	return i.flights.Done, nil
}

func errClosing() error { return fault.New(fault.Unavailable, "the plugin is shutting down") }

// spawn runs what outlives the request that asked for it; false when closing.
func (i *Issuer) spawn(run func()) bool {
	i.gate.Lock()
	defer i.gate.Unlock()
	if !i.closed {
		i.flights.Go(run)
	}
	return !i.closed
}

func (i *Issuer) run(rec *record, f *flight) {
	out := i.fly(rec, f)
	i.land(rec, f, out)
	i.noteState(rec, f, out) // only now: no reader waits for that
}

// outcome is what a flight brought.
type outcome struct {
	account *store.Account // nil if it could not be read
	token   *token         // nil unless one was minted
	err     error
	failure *failure      // set where the account is not to be exchanged for a while
	status  *store.Status // set where the state of the account may have changed
}

// fly reads config and account from storage and exchanges, unless the token in
// memory is still good for them.
func (i *Issuer) fly(rec *record, f *flight) outcome {
	saved, unstored := i.saveUnsaved(rec)
	config, settings, err := i.readConfig(i.ctx)
	if err != nil {
		return outcome{err: err}
	}
	account, err := rec.source.subject(i.ctx, i, rec.name)
	if err != nil {
		return outcome{err: err}
	}
	if account == nil {
		return outcome{err: &fault.Error{Kind: fault.UnknownAccount, Account: rec.name, Message: fmt.Sprintf("account %q does not exist", rec.name)}}
	}
	out := outcome{account: withoutCredential(account)}
	late, held := i.issueTo(f, saved, account, settings), i.issueTo(f, rec.state().token, account, settings)
	switch {
	case !account.Enabled:
		out.err = disabled(rec.name)
	case settings.fault != nil:
		out.err = settings.fault
	case late != nil && late.suffices():
		out.token = saved
	case held != nil && held.suffices() && (!f.ahead || !held.renewable()):
		out.failure = i.remember(rec, unstored, account, settings)
	case unstored != nil:
		out.err, out.failure = unstored, i.remember(rec, unstored, account, settings)
	default:
		i.mint(rec, f, config, settings, account, &out)
	}
	if out.token != nil && rec.isAccounts() {
		issuedAt := out.token.IssuedAt.UTC()
		out.status = &store.Status{State: store.Active, LastExchangeAt: issuedAt, At: issuedAt}
	}
	return out
}

// issueTo is what a flight's reader would be given of a token, now that the
// account is known; nil if the token is not the account's.
func (i *Issuer) issueTo(f *flight, t *token, account *store.Account, s *settings) *Issued {
	if !t.belongsTo(&account.Profile, s) {
		return nil
	}
	return issue(t, &account.Profile, s, f.minTTL, i.now())
}

// mint gets a new token for an account, whose refresh token was just read.
func (i *Issuer) mint(rec *record, f *flight, config *store.Config, s *settings, account *store.Account, out *outcome) {
	minted, changed, err := rec.source.mint(i.ctx, i, &order{
		config: config, settings: s, account: account,
		wanted:  func() bool { return !i.isSuperseded(rec, f) },
		release: f.release, ahead: f.ahead, abandoned: f.done,
	})
	switch {
	case err != nil:
		i.logFailure(rec, err, f.ahead)
		out.err, out.failure = err, i.remember(rec, err, account, s)
		if isKind(err, fault.InvalidGrant) && rec.isAccounts() {
			out.status = &store.Status{State: store.ReauthorizationRequired, LastError: err.Error(), At: i.now().UTC()}
			if held := rec.state().token; held != nil {
				out.status.LastExchangeAt = held.IssuedAt.UTC()
			}
		}
	case changed.IsZero():
		out.token = minted
	default: // of an account
		u := &unsaved{exchanged: account.RefreshToken, refreshToken: changed, token: minted}
		if out.err = i.saveChanged(context.WithoutCancel(i.ctx), rec, u); out.err == nil {
			out.token = minted
		}
		out.failure = i.remember(rec, out.err, account, s)
	}
}

func (i *Issuer) isSuperseded(rec *record, f *flight) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return f.superseded
}

// remember decides how long an account is left alone after a failed exchange.
// It keeps nothing of failures that are not the account's.
func (i *Issuer) remember(rec *record, err error, account *store.Account, s *settings) *failure {
	if err == nil {
		return nil
	}
	if before, ok := errors.AsType[*aside](err); ok {
		return before.failure
	}
	failed := fault.Of(err)
	switch failed.Kind {
	case fault.InvalidGrant, fault.UnauthorizedClient, fault.InvalidScope, fault.InvalidResources, fault.AccessDenied, fault.AccessTokenRefused, fault.RateLimited, fault.Unavailable, fault.BadAnswer, fault.Unsaved:
	default:
		return nil
	}
	count := 1
	if before := rec.state().failure; before != nil && before.accountGeneration == account.Generation {
		count = before.count + 1
	}
	return &failure{
		err: failed, count: count, until: i.now().Add(backoff(failed, count, i.jitter())), endpoint: rec.source.endpoint(account, s),
		accountGeneration: account.Generation, configGeneration: s.generation,
	}
}

// land puts what a flight brought into memory and wakes its waiters.
func (i *Issuer) land(rec *record, f *flight, out outcome) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.aloft--
	if f.superseded {
		return
	}
	rec.flight = nil
	defer close(f.done)
	if out.status != nil {
		rec.news++
		f.news = rec.news
	}

	next := rec.state()
	if out.token != nil {
		next.token, next.failure = out.token, nil
	}
	if rec.epoch != f.epoch {
		// The account was written or invalidated meanwhile, with the same
		// credential: the token counts, what was read of the account does not.
		f.superseded = true
		rec.current.Store(&next)
		return
	}
	f.token, f.err = out.token, out.err
	if out.account == nil {
		// Nothing was learned: the next reader asks storage again. Nothing is kept
		// either, or anybody could fill memory with invented names.
		// But what is still in the air may bring a refresh token that has to be kept.
		if isKind(out.err, fault.UnknownAccount) || (next == state{} && rec.aloft == 0 && rec.unsaved == nil && rec.retired == nil) {
			i.sweep(rec)
		}
		return
	}
	next.account = out.account.Shared()
	if out.failure != nil {
		next.failure = out.failure
	}
	rec.current.Store(&next)
	if isAside(out.err) && next.token == nil && next.failure == nil && rec.retired == nil {
		i.sweep(rec) // nothing came of it
	}
}

func withoutCredential(account *store.Account) *store.Account {
	view := *account
	view.RefreshToken = credential.Secret{}
	return &view
}
