// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
)

// slots bounds the exchanges in flight. The bound may change at any time; a
// change does not wait for the exchanges that are under way.
type slots struct {
	mu    sync.Mutex
	size  int
	queue *semaphore.Weighted
}

func (s *slots) of(size int) *semaphore.Weighted {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue == nil || s.size != size {
		s.size, s.queue = size, semaphore.NewWeighted(int64(size))
	}
	return s.queue
}

// admit waits for a free slot, at most the config's request timeout, and then
// gives the exchange that long.
func (i *Issuer) admit(ctx context.Context, s *settings) (exchange context.Context, done func(), err error) {
	waiting, stopWaiting := context.WithTimeout(ctx, s.timeout)
	defer stopWaiting()
	queue := i.slots.of(s.maxExchanges)
	if err := queue.Acquire(waiting, 1); err != nil {
		if ctx.Err() != nil {
			return nil, nil, &fault.Error{Kind: fault.Canceled, Message: "the exchange was canceled"}
		}
		return nil, nil, fault.New(fault.Unavailable, "no slot for an exchange became free within request_timeout (%s): %d exchanges (max_concurrent_exchanges) are in flight", s.timeout, s.maxExchanges)
	}
	exchange, cancel := context.WithTimeout(ctx, s.timeout)
	return exchange, func() { cancel(); queue.Release(1) }, nil
}

// refresh exchanges the refresh token of an account. changed is the refresh
// token that Amazon returned, if it is another one.
func (i *Issuer) refresh(ctx context.Context, config *store.Config, s *settings, account *store.Account) (minted *token, changed credential.Secret, err error) {
	answer, err := i.withSecrets(config, func(app lwa.Application) (lwa.Token, error) {
		return i.lwa.Refresh(ctx, app, account.RefreshToken)
	})
	if err != nil {
		return nil, credential.Secret{}, fault.Of(err).OfAccount(account.Name)
	}
	return &token{
		AccessToken: answer.AccessToken, ExpiresAt: answer.ExpiresAt, IssuedAt: answer.ExpiresAt.Add(-answer.Lifetime), Lifetime: answer.Lifetime,
		accountGeneration: account.Generation, configGeneration: s.generation,
	}, answer.RefreshToken, nil
}

// withSecrets calls Amazon with whichever client secret worked last and, if it
// is refused, once with the other. After a rotation both are valid for a while,
// and a new one may not be accepted everywhere at once.
func (i *Issuer) withSecrets(config *store.Config, call func(lwa.Application) (lwa.Token, error)) (lwa.Token, error) {
	if err := i.appFailureAt(config.Revision, i.now()); err != nil {
		return lwa.Token{}, err
	}
	app := lwa.Application{Endpoint: config.LWAEndpoint, ClientID: config.ClientID}
	current, previous := config.Secret.Value, config.UsablePrevious(i.now())
	first, second := current, previous
	if worked := i.worked.Load(); !previous.IsZero() && worked != nil && worked.previous && worked.revision == config.Revision {
		first, second = previous, current
	}

	app.ClientSecret = first
	answer, err := call(app)
	if isKind(err, fault.InvalidClient) && !second.IsZero() {
		app.ClientSecret = second
		answer, err = call(app)
	}
	switch {
	case isKind(err, fault.InvalidClient):
		i.rememberAppFailure(config.Revision, fault.Of(err))
	case err == nil || isKind(err, fault.InvalidGrant) || isKind(err, fault.UnauthorizedClient) || isKind(err, fault.InvalidScope):
		i.rememberWorked(config, app.ClientSecret)
	}
	return answer, err
}

func isKind(err error, kind fault.Kind) bool { return err != nil && fault.KindOf(err) == kind }

// workedSecret is which of a config's client secrets Amazon accepted last.
type workedSecret struct {
	revision string // of the config
	previous bool
}

func (i *Issuer) rememberWorked(config *store.Config, secret credential.Secret) {
	now := workedSecret{revision: config.Revision, previous: !secret.Equal(config.Secret.Value)}
	if before := i.worked.Load(); before == nil || *before != now {
		i.worked.Store(&now)
	}
}

// appFailure is Amazon's refusal of the application's own credentials. It is a
// fault of all accounts at once, so that none of them asks again for a while.
type appFailure struct {
	err      *fault.Error
	until    time.Time
	revision string // of the config that was refused
}

func (i *Issuer) rememberAppFailure(revision string, err *fault.Error) {
	i.logger.Error("Amazon refuses the application's client id or client secret", upstream(err)...)
	i.appFailure.Store(&appFailure{err: err, until: i.now().Add(invalidClientWait), revision: revision})
}

// appFailureAt is the refusal that still holds at now, or nil.
func (i *Issuer) appFailureAt(revision string, now time.Time) *fault.Error {
	f := i.appFailure.Load()
	if f == nil || f.revision != revision || !now.Before(f.until) {
		return nil
	}
	return f.err
}

// saveChanged stores a refresh token that Amazon changed, and only then gives
// the access token. If storage fails both are kept, and the next reader tries to
// store it again instead of asking Amazon.
func (i *Issuer) saveChanged(rec *record, account *store.Account, u *unsaved) (*token, error) {
	err := i.store.UpdateAccount(i.ctx, account.Name, func(stored *store.Account) (*store.Account, error) {
		if stored == nil || stored.CredentialID != u.credentialID {
			return nil, nil // somebody wrote another one meanwhile: theirs is newer
		}
		stored.RefreshToken, stored.Fingerprint = u.refreshToken, ""
		return stored, nil
	}, func(*store.Account) {
		i.logger.Info("Amazon changed the refresh token of an account; the new one is stored", "account", account.Name)
	})

	rec.mu.Lock()
	rec.unsaved = nil
	if err != nil {
		rec.unsaved = u
	}
	rec.mu.Unlock()
	if err != nil {
		i.logger.Error("Amazon changed the refresh token of an account, and storage would not take it; it is kept in memory and tried again at the next read", "account", account.Name, "error", err)
		return nil, fault.Of(err).OfAccount(account.Name)
	}
	i.noteSuccess(account, u.token)
	return u.token, nil
}

// saveUnsaved stores the changed refresh token that storage would not take
// before, if there is one. Its access token is returned if it is still of use;
// otherwise account is given the changed refresh token.
func (i *Issuer) saveUnsaved(rec *record, account *store.Account) (*token, error) {
	rec.mu.Lock()
	u := rec.unsaved
	rec.mu.Unlock()
	if u == nil || u.credentialID != account.CredentialID {
		return nil, nil
	}
	saved, err := i.saveChanged(rec, account, u)
	if err != nil {
		return nil, err
	}
	account.RefreshToken = u.refreshToken
	if saved.accountGeneration != account.Generation || left(saved.ExpiresAt, i.now()) < required(minStale, saved.Lifetime) {
		return nil, nil
	}
	return saved, nil
}

// noteSuccess logs an exchange and, if the account was in trouble, stores that
// it no longer is.
func (i *Issuer) noteSuccess(account *store.Account, minted *token) {
	i.logger.Debug("exchanged the refresh token of an account", "account", account.Name, "expires_at", minted.ExpiresAt.UTC().Format(time.RFC3339))
	i.noteState(account, store.Status{CredentialID: account.CredentialID, State: store.Active, LastExchangeAt: minted.IssuedAt.UTC()})
}

// noteFailure logs a failed exchange and, if it says that the seller has to
// authorize again, stores that.
func (i *Issuer) noteFailure(account *store.Account, err error, ahead bool) {
	failed := fault.Of(err)
	if failed.Kind == fault.Canceled || failed.Kind == fault.InvalidClient { // logged where it was found
		return
	}
	i.logger.Warn("the exchange of an account's refresh token failed", append([]any{"account", account.Name, "ahead_of_need", ahead}, upstream(failed)...)...)
	if failed.Kind == fault.InvalidGrant {
		i.noteState(account, store.Status{CredentialID: account.CredentialID, State: store.ReauthorizationRequired, LastError: failed.Error()})
	}
}

// noteState writes the status of an account if its state changed. A failure is
// not the reader's: the status is said again by the next exchange.
func (i *Issuer) noteState(account *store.Account, status store.Status) {
	known, err := i.store.Status(i.ctx, account)
	if err == nil && known.State != status.State {
		if status.LastExchangeAt.IsZero() {
			status.LastExchangeAt = known.LastExchangeAt
		}
		err = i.store.SetStatus(i.ctx, account.Name, status)
	}
	if err != nil {
		i.logger.Warn("the status of an account could not be stored", "account", account.Name, "status", status.State, "error", err)
	}
}

// upstream is what a log line says of an error.
func upstream(err *fault.Error) []any {
	fields := []any{"error", err.Error()}
	if err.RequestID != "" {
		fields = append(fields, "request_id", err.RequestID)
	}
	if err.RetryAfter > 0 {
		fields = append(fields, "retry_after", fmt.Sprint(err.RetryAfter))
	}
	return fields
}
