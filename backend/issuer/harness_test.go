// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/backend/transport"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	clientID     = "amzn1.application-oa2-client.one"
	clientSecret = "amzn1.oa2-cs.v1.one"
	patience     = 30 * time.Second
)

// countingStorage counts what reaches storage, and lets a test come between.
type countingStorage struct {
	*logical.InmemStorage
	calls atomic.Int64
	puts  atomic.Int64
	lists atomic.Int64
	// beforePut runs before an entry is written; its error is that of the write.
	beforePut atomic.Pointer[func(ctx context.Context, key string) error]
	// afterGet runs when an entry was read, before the reader has it.
	afterGet atomic.Pointer[func(key string)]
	// beforeDelete runs before an entry is deleted; its error is that of the delete.
	beforeDelete atomic.Pointer[func(key string) error]
	// lostOnce is the prefix of a key of which one write is to fail whose effect
	// remains.
	lostOnce atomic.Pointer[string]
	// lost makes writes fail whose effect remains, as a broken connection does.
	lost atomic.Bool
}

var errLost = errors.New("the answer was lost")

func (s *countingStorage) List(ctx context.Context, prefix string) ([]string, error) {
	s.calls.Add(1)
	s.lists.Add(1)
	return s.InmemStorage.List(ctx, prefix)
}

func (s *countingStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	s.calls.Add(1)
	entry, err := s.InmemStorage.Get(ctx, key)
	if hook := s.afterGet.Load(); hook != nil {
		(*hook)(key)
	}
	return entry, err
}

func (s *countingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.calls.Add(1)
	s.puts.Add(1)
	if hook := s.beforePut.Load(); hook != nil {
		if err := (*hook)(ctx, entry.Key); err != nil {
			return err
		}
	}
	err := s.InmemStorage.Put(ctx, entry)
	if once := s.lostOnce.Load(); once != nil && strings.HasPrefix(entry.Key, *once) && s.lostOnce.CompareAndSwap(once, nil) {
		return errLost
	}
	if s.lost.Load() {
		return errLost
	}
	return err
}

func (s *countingStorage) Delete(ctx context.Context, key string) error {
	s.calls.Add(1)
	if hook := s.beforeDelete.Load(); hook != nil {
		if err := (*hook)(key); err != nil {
			return err
		}
	}
	err := s.InmemStorage.Delete(ctx, key)
	if s.lost.Load() {
		return errLost
	}
	return err
}

// harness is an Issuer between a storage in memory and a simulated Amazon.
type harness struct {
	*issuer.Issuer
	t       *testing.T
	clock   *amazontest.Clock
	storage *countingStorage
	store   *store.Store
	amazon  *amazontest.Server
	log     logLines
	lwa     *lwa.Client
	// after is how a wait for Amazon's rate ends; time.After if nil.
	after func(time.Duration) <-chan time.Time
	// forbidden closes the endpoint of LWA, as a registration can.
	forbidden atomic.Bool
}

func (h *harness) permit(string) error {
	if h.forbidden.Load() {
		return errors.New("is not allowed")
	}
	return nil
}

// logLines keeps what was logged, a line each.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

// with counts the lines that hold all parts.
func (l *logLines) with(parts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := 0
	for _, line := range l.lines {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			count++
		}
	}
	return count
}

// newHarness has a config and no account.
func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{
		t:       t,
		clock:   amazontest.NewClock(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)),
		storage: &countingStorage{InmemStorage: &logical.InmemStorage{}},
	}
	var err error
	h.amazon, err = amazontest.New(amazontest.Options{Now: h.clock.Now})
	require.NoError(t, err)
	t.Cleanup(h.amazon.Close)
	h.amazon.AddClient(clientID, clientSecret)
	h.start()
	t.Cleanup(func() { h.Close() })
	h.writeConfig(issuer.ConfigChange{ClientSecret: credential.New(clientSecret)}, func(c *store.Config) {
		c.ClientID, c.LWAEndpoint = clientID, h.amazon.LWAEndpoint()
	})
	return h
}

// start makes the Issuer anew, as a restart of the plugin does.
func (h *harness) start() {
	if h.Issuer != nil {
		h.Close()
	}
	h.store = store.New(h.storage)
	h.lwa = lwa.New(lwa.Options{Permit: h.permit, Now: h.clock.Now, HTTP: transport.Options{RetryWait: time.Microsecond}})
	h.t.Cleanup(h.lwa.Close)
	spapi := sellingpartner.New(sellingpartner.Options{Permit: func(string) error { return nil }, HTTP: transport.Options{RetryWait: time.Microsecond}})
	h.t.Cleanup(spapi.Close)
	h.Issuer = issuer.New(issuer.Options{
		Store: h.store, LWA: h.lwa, SellingPartner: spapi, PermitEndpoint: func(string) error { return nil },
		Logger: hclog.New(&hclog.LoggerOptions{Output: &h.log, Level: hclog.Debug}), Now: h.clock.Now, Jitter: func() float64 { return 1 },
		After: func(d time.Duration) <-chan time.Time {
			if h.after != nil {
				return h.after(d)
			}
			return time.After(d)
		},
	})
}

func (h *harness) writeConfig(change issuer.ConfigChange, apply func(*store.Config)) {
	h.t.Helper()
	change.Apply = func(c *store.Config) error { apply(c); return nil }
	_, _, err := h.WriteConfig(h.t.Context(), change)
	require.NoError(h.t, err)
}

func (h *harness) writeAccount(change issuer.AccountChange, apply func(*store.Account)) {
	h.t.Helper()
	_ = h.unproven(change, apply)
}

// unproven writes an account and returns why its refresh token was not proven.
func (h *harness) unproven(change issuer.AccountChange, apply func(*store.Account)) *fault.Error {
	h.t.Helper()
	change.Apply = func(a *store.Account) error {
		if apply != nil {
			apply(a)
		}
		return nil
	}
	_, unproven, err := h.WriteAccount(h.t.Context(), change)
	require.NoError(h.t, err)
	return unproven
}

// authorize makes an account with a refresh token of its own, unproven, so that
// nothing is cached yet.
func (h *harness) authorize(name string) {
	h.t.Helper()
	h.writeAccount(issuer.AccountChange{Name: name, RefreshToken: credential.New(h.amazon.Authorize(clientID, name))}, nil)
}

// due has the account acme, whose token has come up for renewal.
func due(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.Settle()
	h.clock.Advance(25 * time.Minute)
	return h
}

// holdPuts makes writes below a prefix wait. held tells when one does; release
// lets them go.
func (h *harness) holdPuts(prefix string) (held <-chan struct{}, release func()) {
	waiting, gate := make(chan struct{}, 100), make(chan struct{})
	hook := func(ctx context.Context, key string) error {
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		waiting <- struct{}{}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.storage.beforePut.Store(&hook)
	return waiting, func() {
		h.storage.beforePut.Store(nil)
		close(gate)
	}
}

func (h *harness) context() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	h.t.Cleanup(cancel)
	return ctx
}

// token reads a token that must be there.
func (h *harness) token(name string) *issuer.Issued {
	h.t.Helper()
	issued, err := h.Token(h.context(), name, 0)
	require.NoError(h.t, err)
	h.requireLive(name, issued)
	return issued
}

// requireLive checks with Amazon that the token is the account's and not expired.
func (h *harness) requireLive(name string, issued *issuer.Issued) {
	h.t.Helper()
	owner, live := h.amazon.AccountOf(issued.AccessToken.Reveal())
	require.True(h.t, live, "the token is not valid at Amazon")
	require.Equal(h.t, name, owner)
	require.GreaterOrEqual(h.t, issued.Left, time.Second)
}

// failure reads a token that must not be there.
func (h *harness) failure(name string) fault.Error {
	h.t.Helper()
	_, err := h.Token(h.context(), name, 0)
	require.Error(h.t, err)
	return *fault.Of(err)
}

type result struct {
	issued *issuer.Issued
	err    error
}

// readers starts n concurrent reads.
func (h *harness) readers(ctx context.Context, name string, n int) <-chan result {
	results := make(chan result, n)
	for range n {
		go func() {
			issued, err := h.Token(ctx, name, 0)
			results <- result{issued, err}
		}()
	}
	return results
}

func (h *harness) state(name string) *issuer.AccountInfo {
	h.t.Helper()
	info, err := h.Account(h.t.Context(), name)
	require.NoError(h.t, err)
	require.NotNil(h.t, info)
	return info
}

func (h *harness) storedRefreshToken(name string) string {
	h.t.Helper()
	account, err := h.store.Account(h.t.Context(), name)
	require.NoError(h.t, err)
	require.NotNil(h.t, account)
	return account.RefreshToken.Reveal()
}
