// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
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

// renew starts a flight that nobody waits for, unless one is under way.
func (i *Issuer) renew(rec *record, minTTL time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.swept || rec.flight != nil {
		return
	}
	_, _ = i.start(rec, &flight{minTTL: minTTL, ahead: true}) // fails only when closing
}

// start is called under the record's mu.
func (i *Issuer) start(rec *record, f *flight) (*flight, error) {
	i.gate.Lock()
	defer i.gate.Unlock()
	if i.closed {
		return nil, fault.New(fault.Unavailable, "the plugin is shutting down")
	}
	f.done, f.epoch = make(chan struct{}), rec.epoch
	rec.flight = f
	i.flights.Go(func() { i.land(rec, f, i.fly(rec, f)) })
	return f, nil
}

// outcome is what a flight brought.
type outcome struct {
	account *store.Account // nil if it could not be read
	token   *token         // nil unless one was minted
	err     error
	failure *failure // set where the account is not to be exchanged for a while
}

// fly reads config and account from storage and exchanges, unless the token in
// memory is still good for them.
func (i *Issuer) fly(rec *record, f *flight) outcome {
	config, settings, err := i.readConfig(i.ctx)
	if err != nil {
		return outcome{err: err}
	}
	account, err := i.store.Account(i.ctx, rec.name)
	if err != nil {
		return outcome{err: err}
	}
	if account == nil {
		return outcome{err: &fault.Error{Kind: fault.UnknownAccount, Account: rec.name, Message: fmt.Sprintf("account %q does not exist", rec.name)}}
	}
	out := outcome{account: withoutCredential(account)}
	if !account.Enabled {
		out.err = disabled(rec.name)
		return out
	}
	if settings.fault != nil {
		out.err = settings.fault
		return out
	}
	if i.stillGood(rec, f, out.account, settings) {
		return out
	}
	out.token, out.err = i.mint(rec, f, config, settings, account)
	if out.err != nil {
		out.failure = i.remember(rec, out, settings)
	}
	return out
}

// stillGood reports whether the token in memory serves the reader, now that the
// account is known.
func (i *Issuer) stillGood(rec *record, f *flight, account *store.Account, s *settings) bool {
	held := rec.state().token
	if f.ahead || !held.belongsTo(account, s) {
		return false
	}
	issued := issue(held, account, s, f.minTTL, i.now())
	return issued.Left >= max(issued.MinTTL, time.Second)
}

// mint gets a new token for an account, whose refresh token was just read.
func (i *Issuer) mint(rec *record, f *flight, config *store.Config, s *settings, account *store.Account) (*token, error) {
	if saved, err := i.saveUnsaved(rec, account); saved != nil || err != nil {
		return saved, err
	}
	ctx, done, err := i.admit(i.ctx, s)
	if err != nil {
		return nil, err
	}
	defer done()
	if i.isSuperseded(rec, f) {
		return nil, &fault.Error{Kind: fault.Canceled, Message: "the account changed"} // nobody waits any more
	}
	minted, changed, err := i.refresh(ctx, config, s, account)
	if err != nil {
		i.noteFailure(account, err, f.ahead)
		return nil, err
	}
	if changed.IsZero() {
		i.noteSuccess(account, minted)
		return minted, nil
	}
	return i.saveChanged(rec, account, &unsaved{credentialID: account.CredentialID, refreshToken: changed, token: minted})
}

func (i *Issuer) isSuperseded(rec *record, f *flight) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return f.superseded
}

// remember decides how long an account is left alone after a failed exchange.
// It keeps nothing of failures that are not the account's.
func (i *Issuer) remember(rec *record, out outcome, s *settings) *failure {
	failed := fault.Of(out.err)
	switch failed.Kind {
	case fault.InvalidGrant, fault.UnauthorizedClient, fault.InvalidScope, fault.RateLimited, fault.Unavailable, fault.BadAnswer:
	default:
		return nil
	}
	count := 1
	if before := rec.state().failure; before != nil && before.accountGeneration == out.account.Generation {
		count = before.count + 1
	}
	return &failure{
		err: failed, count: count, until: i.now().Add(backoff(failed, count, i.jitter())),
		accountGeneration: out.account.Generation, configGeneration: s.generation,
	}
}

// land puts what a flight brought into memory and wakes its waiters.
func (i *Issuer) land(rec *record, f *flight, out outcome) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if f.superseded {
		return
	}
	rec.flight = nil
	defer close(f.done)

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
		// Nothing is known of it: the next reader asks storage again.
		if out.err != nil && fault.KindOf(out.err) == fault.UnknownAccount {
			i.sweep(rec)
		}
		return
	}
	next.account = out.account
	if out.failure != nil {
		next.failure = out.failure
	}
	rec.current.Store(&next)
}

func withoutCredential(account *store.Account) *store.Account {
	view := *account
	view.RefreshToken = credential.Secret{}
	return &view
}
