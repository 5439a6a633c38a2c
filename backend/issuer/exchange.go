// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/semaphore"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
)

// noteTimeout bounds the write of one status.
const noteTimeout = 30 * time.Second

// slots bounds the exchanges in flight. The bound may change at any time; a
// change does not wait for the exchanges that are under way.
type slots struct {
	mu    sync.Mutex
	size  int
	queue *semaphore.Weighted
}

// of returns the slots, of which there are size from now on; 0: as many as there
// are.
func (s *slots) of(size int) *semaphore.Weighted {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue == nil || (size > 0 && s.size != size) {
		s.size = max(size, 1)
		s.queue = semaphore.NewWeighted(int64(s.size))
	}
	return s.queue
}

// wait waits for a free slot until ctx ends. release may be called twice, and
// where there is nothing to release.
func (s *slots) wait(ctx context.Context, size int) (release func(), err error) {
	queue := s.of(size)
	if err := queue.Acquire(ctx, 1); err != nil {
		return func() {}, err
	}
	return sync.OnceFunc(func() { queue.Release(1) }), nil
}

// admit waits for a free slot, at most the config's request timeout.
func (i *Issuer) admit(ctx context.Context, s *settings) (release func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	release, err = i.slots.wait(waiting, s.maxExchanges)
	switch {
	case err == nil:
		return release, nil
	case ctx.Err() != nil:
		return nil, &fault.Error{Kind: fault.Canceled, Message: "the exchange was canceled"}
	}
	return nil, fault.New(fault.Unavailable, "no slot for an exchange became free within request_timeout (%s): %d exchanges (max_concurrent_exchanges) are in flight", s.timeout, s.maxExchanges)
}

// order is an exchange to be made.
type order struct {
	config   *store.Config
	settings *settings
	account  *store.Account // what the token is for, with the refresh token to exchange, if any
	wanted   func() bool    // asked when there is a slot; nil: it is
	release  func()         // gives back the slot that there is already; nil: there is none
	ahead    bool           // renews a token that is still good
	// abandoned is closed when nobody wants it any more; nil: somebody will.
	abandoned <-chan struct{}
}

// exchange waits for a slot and runs a grant, if it is still wanted then.
func (i *Issuer) exchange(ctx context.Context, o *order, grant func(context.Context, lwa.Application) (lwa.Token, error)) (answer lwa.Token, err error) {
	release := o.release
	if release == nil {
		if release, err = i.admit(ctx, o.settings); err != nil {
			return lwa.Token{}, err
		}
	}
	defer release()
	if o.superseded() {
		return lwa.Token{}, errSuperseded()
	}
	ctx, cancel := context.WithTimeout(ctx, o.settings.timeout)
	defer cancel()
	answer, err = i.withSecrets(o.config, func(app lwa.Application) (lwa.Token, error) { return grant(ctx, app) })
	if err != nil {
		return lwa.Token{}, fault.Of(err).OfAccount(o.account.Name)
	}
	return answer, nil
}

// superseded reports whether nobody wants what was ordered any more.
func (o *order) superseded() bool { return o.wanted != nil && !o.wanted() }

func errSuperseded() error {
	return &fault.Error{Kind: fault.Canceled, Message: "the account changed"}
}

func newToken(answer lwa.Token, accountGeneration string, s *settings) *token {
	return &token{
		AccessToken: answer.AccessToken, ExpiresAt: answer.ExpiresAt, IssuedAt: answer.ExpiresAt.Add(-answer.Lifetime), Lifetime: answer.Lifetime,
		accountGeneration: accountGeneration, configGeneration: s.generation,
	}
}

// call makes one call to Amazon, in a slot of its own and within
// request_timeout.
func (i *Issuer) call(ctx context.Context, s *settings, do func(ctx context.Context) error) error {
	release, err := i.admit(ctx, s)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return do(ctx)
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
	if !previous.IsZero() && i.workedLast(previous) {
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
	case err == nil || isKind(err, fault.InvalidGrant) || isKind(err, fault.InvalidCode) || isKind(err, fault.UnauthorizedClient) || isKind(err, fault.InvalidScope):
		i.rememberWorked(app.ClientSecret)
	}
	return answer, err
}

func isKind(err error, kind fault.Kind) bool { return err != nil && fault.KindOf(err) == kind }

// rememberWorked notes which client secret Amazon accepted last, by its digest.
func (i *Issuer) rememberWorked(secret credential.Secret) {
	if !i.workedLast(secret) {
		digest := sha256.Sum256([]byte(secret.Reveal()))
		i.worked.Store(&digest)
	}
}

func (i *Issuer) workedLast(secret credential.Secret) bool {
	digest := i.worked.Load()
	return digest != nil && *digest == sha256.Sum256([]byte(secret.Reveal()))
}

// appFailure is Amazon's refusal of the application's own credentials. It is a
// fault of all accounts at once, so that none of them asks again for a while.
type appFailure struct {
	err      *fault.Error
	until    time.Time
	revision string // of the config that was refused
}

func (i *Issuer) rememberAppFailure(revision string, err *fault.Error) {
	i.logger.Error("Amazon refuses the application's client id or client secret", logged(err)...)
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

// saveChanged stores a refresh token that Amazon changed; only then may the access
// token be given that came with it. If storage fails both are kept, and the next
// flight tries to store it again instead of asking Amazon. Where ctx outlives
// Close, so does this: the old refresh token may be worth nothing any more.
func (i *Issuer) saveChanged(ctx context.Context, rec *record, u *unsaved) error {
	err := i.store.UpdateAccount(ctx, rec.name, func(stored *store.Account) (*store.Account, error) {
		if stored == nil || !stored.RefreshToken.Equal(u.exchanged) {
			return nil, nil // somebody stored another one meanwhile: theirs is newer
		}
		stored.RefreshToken, stored.Fingerprint = u.refreshToken, ""
		return stored, nil
	}, func(*store.Account) {
		i.logger.Info("Amazon changed the refresh token of an account; the new one is stored", "account", rec.name)
	})
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err != nil {
		rec.unsaved = u
		lost := &fault.Error{
			Kind: fault.Unsaved, Account: rec.name, Cause: fault.Of(err).Cause,
			Message: fmt.Sprintf("Amazon changed the refresh token, and the new one could not be stored (%s); it is kept in memory only, and tried again", err),
		}
		i.logger.Error("a refresh token could be lost: do not seal or restart Vault, nor reload the plugin, until it is stored", append([]any{"account", rec.name}, logged(lost)...)...)
		return lost
	}
	rec.unsaved = nil
	if next := rec.state(); next.failure != nil && next.failure.err.Kind == fault.Unsaved {
		next.failure = nil
		rec.current.Store(&next)
	}
	return nil
}

// saveUnsaved stores the changed refresh token that storage would not take
// before, if there is one, and returns its access token.
func (i *Issuer) saveUnsaved(rec *record) (*token, error) {
	rec.mu.Lock()
	u := rec.unsaved
	rec.mu.Unlock()
	if u == nil {
		return nil, nil
	}
	if err := i.saveChanged(context.WithoutCancel(i.ctx), rec, u); err != nil {
		return nil, err
	}
	return u.token, nil
}

// saveLast is the last attempt to store the refresh tokens that storage would
// not take: after it they are gone.
func (i *Issuer) saveLast() {
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	i.records.Range(func(_, value any) bool {
		rec := value.(*record)
		rec.mu.Lock()
		u := rec.unsaved
		rec.mu.Unlock()
		if u != nil && i.saveChanged(ctx, rec, u) != nil {
			i.logger.Error("the refresh token that Amazon gave in place of the stored one is lost; if Amazon refuses the stored one, the selling partner has to authorize the application again", "account", rec.name)
		}
		return true
	})
}

// logFailure logs a failed exchange.
func (i *Issuer) logFailure(rec *record, err error, ahead bool) {
	failed := fault.Of(err)
	if failed.Kind == fault.Canceled || failed.Kind == fault.InvalidClient || isAside(err) { // logged where it was found
		return
	}
	about := []any{"ahead_of_need", ahead}
	if rec.name != "" {
		about = append([]any{"account", rec.name}, about...)
	}
	i.logger.Warn(rec.source.failed(), append(about, logged(failed)...)...)
}

// noteState writes the status of an account if its state changed. A failure is
// nobody's but the log's: the next exchange says it again.
func (i *Issuer) noteState(rec *record, f *flight, out outcome) {
	rec.noting.Lock()
	defer rec.noting.Unlock()
	if f.news == 0 || !rec.isNews(f) {
		return
	}
	// Closing waits for this, but not for long.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(i.ctx), noteTimeout)
	defer cancel()
	account, status := out.account, *out.status
	known, err := i.store.Status(ctx, account)
	if err == nil && known.State != status.State {
		status.CredentialID = account.CredentialID
		if status.LastExchangeAt.Before(known.LastExchangeAt) {
			status.LastExchangeAt = known.LastExchangeAt
		}
		err = i.store.SetStatus(ctx, account.Name, status)
	}
	switch {
	case errors.Is(err, logical.ErrReadOnly): // this cluster may not write it
	case err != nil:
		i.logger.Warn("the status of an account could not be stored", append([]any{"account", account.Name, "status", status.State}, logged(fault.Of(err))...)...)
	}
}

// isNews reports whether no flight has landed since that knows better.
func (r *record) isNews(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news == f.news
}

// logged is what a log line says of an error.
func logged(err *fault.Error) []any {
	fields := []any{"error", err.Error()}
	if err.RequestID != "" {
		fields = append(fields, "request_id", err.RequestID)
	}
	if err.RetryAfter > 0 {
		fields = append(fields, "retry_after", fmt.Sprint(err.RetryAfter))
	}
	if (err.Kind == fault.Storage || err.Kind == fault.Unsaved) && err.Cause != nil {
		fields = append(fields, "cause", err.Cause)
	}
	return fields
}
