// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/store"
)

func orderAt(endpoint string) *order {
	return &order{settings: &settings{spapiEndpoint: endpoint}, account: &store.Account{}}
}

// Whatever is taken, refused and given back at once: the account has its rate after.
func TestQuotaKeepsItsRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	clock := func() time.Time { return now }
	q, o := &quota{}, orderAt("here")
	var taken, givenBack int
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 64 {
		readers.Go(func() {
			for n := range 500 {
				_, ok := q.take(o, clock, 3*time.Second)
				mu.Lock()
				if ok {
					taken++
					if n%2 == 0 {
						givenBack++
						q.giveBack()
					}
				}
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	require.Equal(t, 13, taken-givenBack, "10 at once, and three more in three seconds")
	require.Equal(t, 4*time.Second, q.wait(o, now))
	require.Equal(t, time.Duration(0), q.wait(o, now.Add(4*time.Second)))
}

// Only what nobody uses, and what says nothing, is forgotten.
func TestTidyQuotas(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, q := range map[string]*quota{
		"in use": {aloft: 1}, "not full": {full: now.Add(time.Second)}, "failed": {failure: &failure{until: now}}, "paused": {paused: pause{until: now.Add(time.Second)}},
	} {
		i := &Issuer{}
		i.quotas.Store("acme", q)
		i.tidyQuotas(now)
		_, known := i.quotas.Load("acme")
		require.True(t, known, name)
		q.aloft = 0
		i.tidyQuotas(now.Add(time.Hour))
		_, known = i.quotas.Load("acme")
		require.False(t, known, name)
		require.NotSame(t, q, i.enterQuota("acme"))
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/orderId/1/{other}/a", fill("/orderId/{orderId}/{other}/a", map[string]string{"orderId": "1", "a": "2"}))
}

func TestQuota(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	clock := func() time.Time { return now }
	q, o := &quota{}, orderAt("here")
	for range 10 {
		wait, ok := q.take(o, clock, 0)
		require.True(t, ok)
		require.Zero(t, wait)
	}
	wait, ok := q.take(o, clock, 999*time.Millisecond)
	require.False(t, ok)
	require.Equal(t, time.Second, wait)
	now = now.Add(2 * time.Second)
	q.charge(now)
	wait, ok = q.take(o, clock, 0)
	require.True(t, ok)
	require.Zero(t, wait)
	require.Equal(t, time.Second, q.wait(o, now))

	now = now.Add(time.Hour)
	require.Zero(t, q.wait(o, now))
	q.exhaust(now, 0, "here")
	require.Equal(t, time.Second, q.wait(o, now))
	q.exhaust(now, 0, "here")
	require.Equal(t, time.Second, q.wait(o, now), "it is as empty as it was")
	q.exhaust(now, 5*time.Minute, "here")
	require.Equal(t, 5*time.Minute, q.wait(o, now))
	q.exhaust(now, time.Second, "here")
	require.Equal(t, 5*time.Minute, q.wait(o, now))
	require.True(t, q.isPaused(o, now))
	require.Equal(t, time.Second, q.wait(orderAt("elsewhere"), now), "Amazon asked for it here")
	require.False(t, q.isPaused(orderAt("elsewhere"), now))
	q.charge(now)
	q.giveBack()
	require.Equal(t, 5*time.Minute, q.wait(o, now), "nobody shortens that")
	now = now.Add(5*time.Minute + 9*time.Second)
	for range 10 {
		_, ok := q.take(o, clock, 0)
		require.True(t, ok, "full again after a rest")
	}
	_, ok = q.take(o, clock, 0)
	require.False(t, ok)
	now = now.Add(time.Hour)
	q.charge(now)
	require.Zero(t, q.wait(o, now))
	for range 9 {
		_, ok := q.take(o, clock, 0)
		require.True(t, ok)
	}
	_, ok = q.take(o, clock, 0)
	require.False(t, ok, "a repetition counts")
}
