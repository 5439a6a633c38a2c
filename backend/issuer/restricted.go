// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

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
	if !i.makeRoom(key) {
		return nil, &fault.Error{Kind: fault.Full, Account: read.Account, Message: fmt.Sprintf("%d restricted data tokens are being asked for at once", i.maxDerivations)}
	}
	issued, err := i.token(ctx, read.MinTTL, func() *record { return i.derived(key, restrictedSource{request}) })
	if issued != nil {
		issued.Request = key.what
	}
	return issued, err
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

// digest tells requests apart. Two roles that ask for the same share a token.
func digest(request sellingpartner.RestrictedRequest) string {
	sum := sha256.Sum256(request.Body())
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
	account := o.account.Name
	access, err := i.Token(ctx, account, 0)
	if err != nil {
		return nil, credential.Secret{}, &inherited{err}
	}
	var minted *token
	for range maxAsks {
		minted, err = s.askInTurn(ctx, i, o, access)
		if o.ahead || !isKind(err, fault.RateLimited) || isInherited(err) {
			break
		}
	}
	return minted, credential.Secret{}, err
}

// askInTurn calls Amazon when the rate allows it and there is a slot.
func (s restrictedSource) askInTurn(ctx context.Context, i *Issuer, o *order, access *Issued) (minted *token, err error) {
	account := o.account.Name
	if err := i.awaitQuota(ctx, account, o); err != nil {
		return nil, err
	}
	err = i.call(ctx, o.settings, func(ctx context.Context) (err error) {
		minted, err = s.ask(ctx, i, o, access)
		return err
	})
	if isKind(err, fault.RateLimited) {
		i.quotaOf(account).exhaust(i.now())
	}
	if err != nil {
		return nil, fault.Of(err).OfAccount(account)
	}
	return minted, nil
}

// ask calls Amazon with an access token of the account.
func (s restrictedSource) ask(ctx context.Context, i *Issuer, o *order, access *Issued) (*token, error) {
	if o.superseded() {
		return nil, errSuperseded()
	}
	start := i.now()
	answer, err := i.spapi.RestrictedDataToken(ctx, access.Endpoint, access.AccessToken, s.request)
	if err != nil {
		return nil, err
	}
	i.logger.Debug("got a restricted data token of an account", "account", o.account.Name, "resources", len(s.request.RestrictedResources), "request_id", answer.RequestID)
	return &token{
		AccessToken: answer.Token, ExpiresAt: start.Add(answer.Lifetime), IssuedAt: start, Lifetime: answer.Lifetime,
		// Of the account as it was when the access token was issued: it may have
		// changed since it was read here.
		accountGeneration: access.Account.Generation, configGeneration: o.settings.generation,
	}, nil
}

func (restrictedSource) failed() string { return "no restricted data token of an account" }

// inherited is a failure that came before the call it was for: whoever failed
// remembers and logs it.
type inherited struct{ error }

func (e *inherited) Unwrap() error { return e.error }

func isInherited(err error) bool {
	_, ok := errors.AsType[*inherited](err)
	return ok
}

// quota is what Amazon gives an application for one account.
type quota struct{ *rate.Limiter }

func (i *Issuer) quotaOf(account string) quota {
	if known, ok := i.quotas.Load(account); ok {
		return known.(quota)
	}
	known, _ := i.quotas.LoadOrStore(account, quota{rate.NewLimiter(rate.Every(sellingpartner.RestrictedEvery), sellingpartner.RestrictedBurst)})
	return known.(quota)
}

// exhaust takes what is left, where Amazon says that nothing is.
func (q quota) exhaust(now time.Time) {
	if rest := int(q.TokensAt(now)); rest > 0 {
		q.AllowN(now, rest)
	}
}

// awaitQuota waits until Amazon may be asked for a restricted data token of an
// account. It has no slot while it waits, and does not wait ahead of need: the
// renewals of other accounts would wait, too.
func (i *Issuer) awaitQuota(ctx context.Context, account string, o *order) error {
	now := i.now()
	reserved := i.quotaOf(account).ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	if wait > 0 && (o.ahead || wait > o.settings.timeout) {
		reserved.CancelAt(now)
		limited := &fault.Error{
			Kind: fault.RateLimited, Account: account, RetryAfter: wait,
			Message: fmt.Sprintf("Amazon gives one restricted data token a second of an account, beyond %d at once, and the next is free in %s only", sellingpartner.RestrictedBurst, wait.Round(time.Second/10)),
		}
		if o.ahead {
			return limited
		}
		return &inherited{limited} // another read may have more luck
	}
	select {
	case <-i.after(wait):
		return nil
	case <-ctx.Done():
		return &fault.Error{Kind: fault.Canceled, Account: account, Message: "the exchange was canceled"}
	}
}

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
