// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// Vault starts the plugin again with the first request after it noticed. Until
// then it answers 500, which is Vault's own doing; from then on nobody fails.
func TestKilledPluginIsServedAgain(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t)
	m.addAccount(t, "acme")
	before := m.everything(t, "acme")
	const readers, kills = 8, 3
	for kill := range kills {
		process := s.onlyPlugin(t)
		load := m.startLoad(t.Context(), readers)
		waitFor(t, "load", func() bool { return load.served() > 10*readers })
		m.killPlugin(t)
		load.again()
		waitFor(t, "all to be served again", func() bool { return load.served() > 20*readers })
		for _, failures := range load.stop() {
			require.LessOrEqual(t, len(failures), 1, "a reader has one request in flight")
			for _, failure := range failures {
				require.NoError(t, failure.err)
				require.Equal(t, http.StatusInternalServerError, failure.Status, "%s", failure.Raw)
			}
		}
		require.NotEqual(t, process, s.onlyPlugin(t))
		require.Equal(t, 2+kill, m.amazon.Exchanges("acme"), "one exchange after each kill")
	}
	require.Equal(t, before["config"], m.everything(t)["config"])
	require.Equal(t, before["accounts"], m.everything(t)["accounts"])
}

// killPlugin kills the plugin process, and returns when tokens are served again.
func (m *mount) killPlugin(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(m.stage.onlyPlugin(t), syscall.SIGKILL))
	waitFor(t, "being served again", func() bool {
		a := m.call(t, http.MethodGet, "token/acme", nil)
		require.Contains(t, []int{http.StatusOK, http.StatusInternalServerError}, a.Status, "%s", a.Raw)
		return a.Status == http.StatusOK
	})
}

// load is a number of readers that read one token over and over. One that fails
// pauses until it is told to go on.
type load struct {
	stopped  atomic.Bool // and not canceled: hanging up revokes leases
	goOn     chan struct{}
	readers  sync.WaitGroup
	count    atomic.Int64
	failures [][]result // by reader
}

func (m *mount) startLoad(ctx context.Context, readers int) *load {
	l := &load{goOn: make(chan struct{}), failures: make([][]result, readers)}
	for reader := range readers {
		l.readers.Go(func() {
			for !l.stopped.Load() {
				a, err := m.send(ctx, http.MethodGet, "token/acme", nil)
				if err != nil || a.Status != http.StatusOK {
					l.failures[reader] = append(l.failures[reader], result{a, err})
					<-l.goOn
					continue
				}
				l.count.Add(1)
			}
		})
	}
	return l
}

func (l *load) served() int { return int(l.count.Load()) }

// again counts from zero what is served from now on, to all readers.
func (l *load) again() {
	l.count.Store(0)
	close(l.goOn)
}

func (l *load) stop() [][]result {
	l.stopped.Store(true)
	l.readers.Wait()
	return l.failures
}

// A request that waits for Amazon when the plugin dies fails at most once, and
// its account is exchanged once more.
func TestKilledPluginFailsWhatIsInFlightOnce(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t, "request_timeout", "60s")
	m.addAccount(t, "acme")
	var paths []string
	for i := range 10 {
		m.addAccount(t, fmt.Sprintf("cold%d", i), "verify", false)
		paths = append(paths, fmt.Sprintf("token/cold%d", i))
	}
	release := m.amazon.Hold()
	defer release()
	wait := m.readAtOnce(t.Context(), 1, paths...)
	require.NoError(t, m.amazon.WaitInFlight(t.Context(), len(paths)))
	require.NoError(t, syscall.Kill(s.onlyPlugin(t), syscall.SIGKILL))
	release()
	for _, r := range wait() {
		require.NoError(t, r.err)
		// Where Vault knows that the plugin is gone by the time that a call to it
		// breaks, it starts it again and repeats the call by itself.
		require.Contains(t, []int{http.StatusInternalServerError, http.StatusOK}, r.Status, "%s", r.Raw)
	}
	waitFor(t, "being served again", func() bool {
		return m.call(t, http.MethodGet, "token/acme", nil).Status == http.StatusOK
	})
	for i := range 10 {
		m.token(t, fmt.Sprintf("cold%d", i))
		require.Equal(t, 2, m.amazon.Exchanges(fmt.Sprintf("cold%d", i)))
	}
}

// Raft is the only storage of the test build of Vault that survives.
func TestKilledVaultKeepsEverything(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{Storage: vaulttest.StorageRaft})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t, "region", "eu", "application_id", "amzn1.sp.solution.1")
	m.addAccount(t, "active", "metadata", map[string]any{"team": "pricing"})
	m.addAccount(t, "unverified", "verify", false)
	m.addAccount(t, "disabled", "enabled", false)
	m.addAccount(t, "gone", "verify", false)
	m.amazon.RevokeAuthorization("gone")
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/gone", nil, "invalid_grant")
	lease := m.token(t, "active")
	accounts := []string{"active", "unverified", "disabled", "gone"}
	// A status is stored after the answer that made it; a reload waits for that.
	require.NoError(t, s.ReloadPlugin(t.Context(), plugin))
	before := m.everything(t, accounts...)
	require.Equal(t, "reauthorization_required", before["accounts/gone"].(map[string]any)["status"])

	require.NoError(t, s.Kill())
	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, before, m.everything(t, accounts...))
	m.token(t, "active")
	m.token(t, "unverified")
	m.refused(t, http.StatusForbidden, http.MethodGet, "token/disabled", nil, "disabled")
	m.revoke(t, lease.LeaseID)
}

// What Vault acknowledged before it was killed is there after it.
func TestKilledVaultKeepsAcknowledgedWrites(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{Storage: vaulttest.StorageRaft})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t)
	var acknowledged atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			name := fmt.Sprintf("w%d", acknowledged.Load())
			a, err := m.send(t.Context(), http.MethodPost, "accounts/"+name, map[string]any{"refresh_token": "Atzr|" + name, "verify": false})
			if err != nil || a.Status != http.StatusNoContent {
				return
			}
			acknowledged.Add(1)
		}
	})
	waitFor(t, "writes", func() bool { return acknowledged.Load() > 30 })
	require.NoError(t, s.Kill())
	writer.Wait()

	require.NoError(t, s.Restart(t.Context()))
	keys := m.ok(t, "LIST", "accounts", nil).Data["keys"]
	for i := range acknowledged.Load() {
		require.Contains(t, keys, fmt.Sprintf("w%d", i))
	}
}
