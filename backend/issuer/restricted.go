// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// maxAsks is how often Amazon is asked for a restricted data token whose rate it
// says is exhausted: calls arrive closer together than they were sent.
const maxAsks = 3

// maxDerivations bounds the tokens in memory that are not the access tokens of
// accounts: with path parameters there is one for each document.
const maxDerivations = 10_000

// RestrictedRead asks for a restricted data token.
type RestrictedRead struct {
	Role, Account  string
	PathParameters map[string]string
	MinTTL         time.Duration // 0: the account's own minimum
}

// Restricted returns a restricted data token of an account that opens what a role
// says now. Like access tokens, it is asked for once for all that ask for the same.
func (i *Issuer) Restricted(ctx context.Context, read RestrictedRead) (*Issued, error) {
	for {
		role, err := i.role(ctx, read.Role)
		if err != nil {
			return nil, err
		}
		issued, err := i.restrictedBy(ctx, role, read)
		// A role that was changed meanwhile must not give what it gave before.
		if i.roleInMemory(read.Role) != role {
			continue
		}
		if err != nil {
			return nil, fault.Of(err).OfRole(read.Role)
		}
		return issued, nil
	}
}

func (i *Issuer) restrictedBy(ctx context.Context, role *role, read RestrictedRead) (*Issued, error) {
	if !role.allows(read.Account) {
		return nil, &fault.Error{Kind: fault.AccountNotAllowed, Account: read.Account, Message: fmt.Sprintf("role %q does not allow account %q (allowed_accounts)", read.Role, read.Account)}
	}
	request, err := role.requestWith(read.PathParameters)
	if err != nil {
		return nil, err
	}
	key := derivedKey{read.Account, role.key}
	if key.what == "" {
		key.what = digest(request)
	}
	if err := i.refuseBeyondRate(key); err != nil {
		return nil, err
	}
	if !i.makeRoom(key) {
		return nil, &fault.Error{Kind: fault.Full, Account: read.Account, Message: fmt.Sprintf("%d restricted data tokens are being asked for at once", i.maxDerivations)}
	}
	issued, err := i.token(ctx, read.MinTTL, func() *record { return i.derived(key, restrictedSource{request}) })
	if issued != nil {
		issued.Request = key.what
	}
	return issued, err
}

// refuseBeyondRate spares memory and storage what cannot be served: a request that
// nothing is known of, while the account's rate is exhausted for longer than a
// reader waits.
func (i *Issuer) refuseBeyondRate(key derivedKey) error {
	settings, access := i.settings.Load(), i.Cached(key.account, 0)
	q, limits := i.quotas.Load(key.account)
	if _, asked := i.derivations.Load(key); asked || !limits || settings == nil || access == nil {
		return nil // which a flight finds out
	}
	o := &order{settings: settings, account: &store.Account{Name: key.account, Profile: *access.Account}}
	if wait := q.(*quota).wait(o, i.now()); wait > settings.timeout {
		return i.refuseTurn(o, wait)
	}
	return nil
}

// CachedRestricted is Cached for Restricted without path parameters.
func (i *Issuer) CachedRestricted(roleName, account string) *Issued {
	role := i.roleInMemory(roleName)
	if role == nil || role.key == "" || !role.allows(account) {
		return nil
	}
	known, ok := i.derivations.Load(derivedKey{account, role.key})
	issued := i.cached(known, ok, 0)
	if issued != nil {
		issued.Request = role.key
	}
	return issued
}

// RetireRestricted is Retire for a restricted data token; request is what it was
// issued with.
func (i *Issuer) RetireRestricted(account, request string, token credential.Secret) {
	known, ok := i.derivations.Load(derivedKey{account, request})
	i.retire(known, ok, token)
}

// digest tells requests apart. Two roles that ask for the same, in whatever order,
// share a token.
func digest(request sellingpartner.RestrictedRequest) string {
	sum := sha256.Sum256(request.Normalized().Body())
	return hex.EncodeToString(sum[:])
}

// restrictedSource asks for restricted data tokens of an account.
type restrictedSource struct {
	request sellingpartner.RestrictedRequest
}

func (restrictedSource) subject(ctx context.Context, i *Issuer, account string) (*store.Account, error) {
	return i.store.Account(ctx, account)
}

func (s restrictedSource) mint(ctx context.Context, i *Issuer, o *order) (*token, credential.Secret, error) {
	if o.release != nil {
		o.release() // what comes first takes one itself, or waits
	}
	q := i.enterQuota(o.account.Name)
	if q == nil {
		return nil, credential.Secret{}, i.refuseTurn(o, maxAloft*sellingpartner.RestrictedEvery)
	}
	defer q.leave()
	if err := q.failureOf(o, i.now()).aside(); err != nil {
		return nil, credential.Secret{}, err
	}
	if _, err := i.accessFor(ctx, o); err != nil {
		return nil, credential.Secret{}, err // without which it need not stand in line
	}
	until := i.now().Add(o.settings.timeout)
	var minted *token
	var err error
	for range maxAsks {
		before := err
		minted, err = s.askInTurn(ctx, i, o, q, until)
		if isKind(before, fault.RateLimited) && isTurnRefused(err) {
			return nil, credential.Secret{}, before // Amazon's own words
		}
		if !isKind(err, fault.RateLimited) && !isKind(err, fault.AccessTokenRefused) || isAside(err) {
			break
		}
	}
	return minted, credential.Secret{}, err
}

// askInTurn calls Amazon when the rate allows it, before until, and there is a slot.
func (s restrictedSource) askInTurn(ctx context.Context, i *Issuer, o *order, q *quota, until time.Time) (*token, error) {
	if err := i.awaitTurn(ctx, o, q, until); err != nil {
		return nil, err
	}
	access, err := i.accessFor(ctx, o)
	if err == nil {
		err = q.failureOf(o, i.now()).aside() // of those who came first
	}
	if err != nil {
		q.giveBack()
		return nil, err
	}
	var minted *token
	var began time.Time
	err = i.call(ctx, o.settings, func(ctx context.Context) (err error) {
		if o.superseded() {
			return errSuperseded()
		}
		began = i.now()
		minted, err = s.ask(ctx, i, o, q, access)
		return err
	})
	if err != nil {
		err = fault.Of(err).OfAccount(o.account.Name)
	}
	if began.IsZero() {
		q.giveBack()
	} else {
		i.noteCall(o, q, access, began, err)
	}
	return minted, err
}

// ask calls Amazon with an access token of the account.
func (s restrictedSource) ask(ctx context.Context, i *Issuer, o *order, q *quota, access *Issued) (*token, error) {
	start := i.now()
	answer, err := i.spapi.RestrictedDataToken(ctx, access.Endpoint, access.AccessToken, s.request, func() { q.charge(i.now()) })
	if err != nil {
		return nil, err
	}
	i.logger.Debug("got a restricted data token of an account", "account", o.account.Name, "resources", len(s.request.RestrictedResources), "request_id", answer.RequestID)
	return &token{
		AccessToken: answer.Token, ExpiresAt: start.Add(answer.Lifetime), IssuedAt: start, Lifetime: answer.Lifetime,
		accountGeneration: o.account.Generation, configGeneration: o.settings.generation, endpoint: access.Endpoint,
	}, nil
}

// accessFor is an access token of the account as the order has it, from storage:
// memory may still have it as it was before a change. Ahead of need it is one that is
// in memory: whoever waits for an exchange keeps the renewals of other accounts.
func (i *Issuer) accessFor(ctx context.Context, o *order) (*Issued, error) {
	const looks = 2
	name := o.account.Name
	for range looks {
		if o.superseded() {
			return nil, errSuperseded()
		}
		access, err := i.Cached(name, 0), error(nil)
		if access == nil && o.ahead {
			return nil, i.renewAccessFirst(o)
		}
		if access == nil {
			access, err = i.Token(ctx, name, 0)
		}
		if err != nil {
			return nil, i.asideOfAccess(name, err)
		}
		if access.Account.Generation == o.account.Generation {
			return access, nil
		}
		i.Invalidate(store.PrefixAccount + name)
	}
	return nil, &aside{err: &fault.Error{Kind: fault.Unavailable, Account: name, Message: "the account is being changed"}}
}

// renewAccessFirst has the access token renewed, and what is made of it later.
func (i *Issuer) renewAccessFirst(o *order) error {
	rec := i.record(o.account.Name)
	held := rec.state()
	held.account = &o.account.Profile
	if err := held.failureAt(o.settings, i.now()).aside(); err != nil {
		return err
	}
	i.renew(rec, 0)
	return i.putOff(o, firstBackoff, fault.New(fault.Unavailable, "the access token is renewed first"))
}

// asideOfAccess is a failure to get an access token, which is remembered as long as
// that of the account is.
func (i *Issuer) asideOfAccess(account string, err error) error {
	found := &aside{err: err}
	if known, ok := i.records.Load(account); ok && !isKind(err, fault.Unsaved) { // which ends by itself
		found.failure = known.(*record).state().failure
	}
	return found
}

// awaitTurn waits until Amazon may be asked for a restricted data token of an
// account. It has no slot while it waits, and does not wait ahead of need: the
// renewals of other accounts would wait, too.
func (i *Issuer) awaitTurn(ctx context.Context, o *order, q *quota, until time.Time) error {
	for {
		patience := max(until.Sub(i.now()), 0)
		if o.ahead {
			patience = 0
		}
		wait, ok := q.take(o, i.now, patience)
		switch {
		case !ok:
			return i.refuseTurn(o, wait)
		case wait == 0:
			return nil
		}
		select {
		case <-i.after(wait):
		case <-o.abandoned:
			q.giveBack()
			return errSuperseded()
		case <-ctx.Done():
			q.giveBack()
			return errClosing()
		}
		if !q.isPaused(o, i.now()) {
			return nil
		}
		q.giveBack() // Amazon has asked to wait longer meanwhile
	}
}

// noteCall draws from a call what counts for all restricted data tokens of the
// account.
func (i *Issuer) noteCall(o *order, q *quota, access *Issued, began time.Time, err error) {
	if err == nil {
		q.succeed()
		return
	}
	failed, now := fault.Of(err), i.now()
	switch failed.Kind {
	case fault.RateLimited:
		q.exhaust(now, failed.RetryAfter, access.Endpoint)
	case fault.AccessTokenRefused:
		i.Retire(o.account.Name, access.AccessToken)
	case fault.Unavailable: // whatever was asked for
		q.fail(began, func(count int) *failure {
			return &failure{
				err: failed, count: count, until: now.Add(backoff(failed, count, i.jitter())), endpoint: access.Endpoint,
				accountGeneration: o.account.Generation, configGeneration: o.settings.generation,
			}
		})
	}
}

func (restrictedSource) endpoint(account *store.Account, s *settings) string {
	return s.endpointOf(s.regionOf(&account.Profile))
}

func (restrictedSource) failed() string { return "no restricted data token of an account" }

// makeRoom keeps memory bounded: where there are too many tokens, the one that
// expires first goes. It fails if all are being asked for.
func (i *Issuer) makeRoom(key derivedKey) bool {
	if _, known := i.derivations.Load(key); known || i.derivationCount.Load() < i.maxDerivations {
		return true
	}
	i.evicting.Lock()
	defer i.evicting.Unlock()
	if i.derivationCount.Load() < i.maxDerivations {
		return true
	}
	var first *record
	var expires time.Time
	i.derivations.Range(func(_, value any) bool {
		rec := value.(*record)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if rec.aloft > 0 || rec.name == "" {
			return true
		}
		var at time.Time // zero, and so the first to go, where there is none
		if held := rec.state().token; held != nil {
			at = held.ExpiresAt
		}
		if first == nil || at.Before(expires) {
			first, expires = rec, at
		}
		return true
	})
	if first == nil {
		return false
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if !first.swept && first.aloft == 0 {
		i.sweep(first)
	}
	return true
}
