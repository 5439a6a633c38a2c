// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	mixedClients    = 8
	mixedOperations = 1000 // of each client
	// mixedLifetime is the shortest that makes sense to the plugin: tokens are
	// renewed and expire during the test.
	mixedLifetime = 10 * time.Second
	sharedCount   = 4

	// Operations of all clients together while Amazon is well, while it is not,
	// and at most while the accounts recover.
	healthyOperations, faultyOperations, recoveringOperations = 350, 80, 300
)

// mixedLoad is what the clients of the mixed load have in common.
type mixedLoad struct {
	*mount
	seed    uint64
	tickets chan struct{} // one for each operation
	// phase is odd from before Amazon begins to fail until all accounts have
	// recovered. Statuses of failures are allowed in odd phases only.
	phase  atomic.Int64
	faults []amazontest.Fault
	shared []string

	mu     sync.Mutex
	counts map[string]int // answers by operation and status
	tokens map[string]map[string]bool
}

// mixedFaults are those that a client may answer with trying again later, with
// the status that each must get.
func mixedFaults() (faults []amazontest.Fault, statuses map[amazontest.FaultKind]int) {
	statuses = map[amazontest.FaultKind]int{
		amazontest.FaultServerErrorHTML: http.StatusServiceUnavailable,
		amazontest.FaultReset:           http.StatusServiceUnavailable,
		amazontest.FaultUnavailable:     http.StatusServiceUnavailable,
		amazontest.FaultTruncatedBody:   http.StatusServiceUnavailable,
		amazontest.FaultHang:            http.StatusServiceUnavailable,
		amazontest.FaultThrottled:       http.StatusTooManyRequests,
		amazontest.FaultOKNotJSON:       http.StatusBadGateway,
		amazontest.FaultExpiresInJunk:   http.StatusBadGateway,
	}
	for _, kind := range slices.Sorted(maps.Keys(statuses)) {
		faults = append(faults, amazontest.Fault{Kind: kind, RetryAfter: "0"})
	}
	return faults, statuses
}

// Clients that do everything at once, while Amazon fails and recovers, are told
// nothing that is not so: no token that is expired, another account's or dropped;
// no failure while Amazon is well; no write of theirs lost.
func TestMixedLoad(t *testing.T) {
	t.Parallel()
	l := newMixedLoad(t)
	t.Logf("SPAPI_TEST_SEED=%d repeats the sequences of operations", l.seed)
	clients := make([]*mixedClient, mixedClients)
	work, ctx := errgroup.WithContext(t.Context())
	for id := range clients {
		clients[id] = newMixedClient(l, id)
		work.Go(func() error { return clients[id].work(ctx) })
	}
	work.Go(func() error { return l.direct(ctx) })
	require.NoError(t, work.Wait())

	for _, c := range clients {
		require.NoError(t, c.settle(t.Context()))
	}
	t.Logf("answers: %v", l.counts)
	for _, seen := range []string{"token 200", "token 400", "token 403", "token 429", "token 502", "token 503", "revoke 204", "write 204", "write 400", "patch 204", "patch 404", "delete 204", "list 200", "read 200", "read 404", "config read 200", "config write 204", "config patch 204"} {
		require.Positive(t, l.counts[seen], seen)
	}
	for _, account := range l.shared {
		require.Greater(t, len(l.tokens[account]), 2, "tokens of %s were renewed", account)
	}
}

func newMixedLoad(t *testing.T) *mixedLoad {
	t.Helper()
	seed := rand.Uint64()
	if chosen := os.Getenv("SPAPI_TEST_SEED"); chosen != "" {
		var err error
		seed, err = strconv.ParseUint(chosen, 10, 64)
		require.NoError(t, err)
	}
	m := ownStage(t, vaulttest.Options{}).newMount(t, "request_timeout", "3s")
	m.amazon.SetTokenLifetime(mixedLifetime)
	l := &mixedLoad{mount: m, seed: seed, tickets: make(chan struct{}), counts: map[string]int{}, tokens: map[string]map[string]bool{}}
	l.faults, _ = mixedFaults()
	rand.New(rand.NewPCG(seed, mixedClients)).Shuffle(len(l.faults), func(i, j int) { l.faults[i], l.faults[j] = l.faults[j], l.faults[i] })
	for n := range sharedCount {
		l.shared = append(l.shared, fmt.Sprint("shared-", n))
		m.addAccount(t, l.shared[n])
	}
	return l
}

// direct switches faults on and off by the number of operations begun.
func (l *mixedLoad) direct(ctx context.Context) error {
	defer close(l.tickets)
	left := mixedClients * mixedOperations
	hand := func(ctx context.Context, n int) {
		for ; n > 0 && left > 0 && ctx.Err() == nil; n-- {
			select {
			case l.tickets <- struct{}{}:
				left--
			case <-ctx.Done():
			}
		}
	}
	for n := 0; left > 0 && ctx.Err() == nil; n++ {
		hand(ctx, healthyOperations)
		l.phase.Add(1)
		l.amazon.SetFault(l.faults[n%len(l.faults)])
		hand(ctx, faultyOperations)
		l.amazon.ClearFaults()

		recovering, recovered := context.WithCancelCause(ctx)
		go func() { recovered(l.awaitRecovery(ctx)) }()
		hand(recovering, recoveringOperations)
		<-recovering.Done()
		if err := context.Cause(recovering); !errors.Is(err, context.Canceled) {
			return err
		}
		l.phase.Add(1)
	}
	return ctx.Err()
}

// awaitRecovery waits until no account remembers a failure.
func (l *mixedLoad) awaitRecovery(ctx context.Context) error {
	if err := l.amazon.WaitIdle(ctx); err != nil {
		return err
	}
	listed, err := l.send(ctx, "LIST", "accounts", nil)
	if err != nil {
		return err
	}
	names, _ := listed.Data["keys"].([]any)
	for _, name := range names {
		limited, stop := context.WithTimeout(ctx, time.Minute)
		err := vaulttest.WaitFor(limited, fmt.Sprint("recovery of ", name), func() (bool, error) {
			return l.recovered(limited, fmt.Sprint(name))
		})
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// recovered asks for nearly all of a token's life, so that it is exchanged.
func (l *mixedLoad) recovered(ctx context.Context, account string) (bool, error) {
	token, err := l.send(ctx, http.MethodGet, fmt.Sprintf("token/%s?min_ttl=%d", account, int(mixedLifetime.Seconds())-2), nil)
	if err != nil || transient(token.Status) {
		return false, err
	}
	shown, err := l.send(ctx, http.MethodGet, "accounts/"+account, nil)
	if err != nil {
		return false, err
	}
	return token.Status != http.StatusOK || shown.Status != http.StatusOK || shown.text("last_error") == "", nil
}

func transient(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusBadGateway || status == http.StatusServiceUnavailable
}

// do makes a request whose status must be one of those, or that of a fault which
// was on during its life.
func (l *mixedLoad) do(ctx context.Context, operation, method, path string, body any, statuses ...int) (*answer, error) {
	began := l.phase.Load()
	a, err := l.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	l.count(fmt.Sprint(operation, " ", a.Status))
	ended := l.phase.Load()
	switch {
	case slices.Contains(statuses, a.Status):
	case operation == "token" && l.faultExplains(a.Status, began, ended):
	default:
		return nil, fmt.Errorf("%s %s: %d is none of %v in phase %d to %d: %s", method, path, a.Status, statuses, began, ended, a.Raw)
	}
	// What could not be proven was written all the same, with a warning.
	if a.warned("be proven") || a.warned("unverified") {
		if began == ended && began%2 == 0 {
			return nil, fmt.Errorf("%s %s: Amazon is well, but: %v", method, path, a.Warnings)
		}
	}
	return a, nil
}

// faultExplains reports whether a status is that of a fault of the phases.
func (l *mixedLoad) faultExplains(status int, began, ended int64) bool {
	_, statuses := mixedFaults()
	for phase := began; phase <= ended; phase++ {
		if phase%2 == 1 && statuses[l.faults[int(phase/2)%len(l.faults)].Kind] == status {
			return true
		}
	}
	return false
}

func (l *mixedLoad) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

// checkToken checks an access token at Amazon: it is the account's, and alive
// unless it may have expired on its way here.
func (l *mixedLoad) checkToken(a *answer, account string, asked time.Time) error {
	owner, live := l.amazon.AccountOf(a.accessToken())
	left, err := strconv.ParseInt(a.text("expires_in"), 10, 64)
	switch {
	case err != nil || left < 1:
		return fmt.Errorf("token of %s: expires_in is %s", account, a.text("expires_in"))
	case live && owner != account:
		return fmt.Errorf("token of %s is that of %s", account, owner)
	case !live && time.Since(asked) < time.Duration(left)*time.Second:
		return fmt.Errorf("token of %s is expired or unknown to Amazon: %d seconds were left", account, left)
	case a.text("account") != account:
		return fmt.Errorf("token of %s says it is that of %s", account, a.text("account"))
	case a.LeaseID != "" && a.LeaseDuration != left:
		return fmt.Errorf("lease of %s lasts %d seconds, its token %d", account, a.LeaseDuration, left)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens[account] == nil {
		l.tokens[account] = map[string]bool{}
	}
	l.tokens[account][a.accessToken()] = true
	return nil
}
