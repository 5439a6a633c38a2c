// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// maxRetired is how often an account's tokens are retired at once; with the
// first exchange that makes one more.
const maxRetired = 3

// leases counts the leases of an account's tokens.
func (m *mount) leases(t *testing.T, account string) int {
	t.Helper()
	a := m.sys().call(t, "LIST", "sys/leases/lookup/"+m.path+"/token/"+account+"/", nil)
	keys, _ := a.Data["keys"].([]any)
	return len(keys)
}

func (m *mount) revoke(t *testing.T, leaseID string) {
	t.Helper()
	m.sys().ok(t, http.MethodPut, "sys/leases/revoke", map[string]any{"lease_id": leaseID, "sync": true})
}

func TestRevokeNeedsNeitherAmazonNorAccountNorConfig(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	for _, account := range []string{"acme", "globex", "initech"} {
		m.addAccount(t, account)
	}
	acme, globex, initech := m.token(t, "acme"), m.token(t, "globex"), m.token(t, "initech")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultReset})
	calls := m.amazon.Requests()

	_, _, err := m.stage.CLI(t.Context(), "lease", "revoke", acme.LeaseID)
	require.NoError(t, err)
	m.ok(t, http.MethodDelete, "accounts/globex", nil)
	m.revoke(t, globex.LeaseID)
	m.ok(t, http.MethodDelete, "config", nil)
	m.revoke(t, initech.LeaseID)
	waitFor(t, "all leases to end", func() bool {
		return m.leases(t, "acme")+m.leases(t, "globex")+m.leases(t, "initech") == 0
	})
	require.Equal(t, calls, m.amazon.Requests(), "revoking calls nobody")
}

func TestRevokedTokenIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.addAccount(t, "globex")
	first, other := m.token(t, "acme"), m.token(t, "globex")
	m.revoke(t, first.LeaseID)

	second := m.token(t, "acme")
	require.NotEqual(t, first.accessToken(), second.accessToken())
	require.Equal(t, second.accessToken(), m.token(t, "acme").accessToken())
	require.Equal(t, other.accessToken(), m.token(t, "globex").accessToken(), "of another account")
	require.Equal(t, 2, m.amazon.Exchanges("acme"))
	require.Equal(t, 1, m.amazon.Exchanges("globex"))
}

func TestRevokePrefix(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.addAccount(t, "globex")
	before := m.token(t, "acme")
	for range 9 {
		m.token(t, "acme")
	}
	m.token(t, "globex")
	require.Equal(t, 10, m.leases(t, "acme"))

	_, _, err := m.stage.CLI(t.Context(), "lease", "revoke", "-sync", "-prefix", m.path+"/token/acme")
	require.NoError(t, err)
	require.Zero(t, m.leases(t, "acme"))
	require.Equal(t, 1, m.leases(t, "globex"))
	require.NotEqual(t, before.accessToken(), m.token(t, "acme").accessToken())
	require.Equal(t, 2, m.amazon.Exchanges("acme"))
}

func TestUnmountWithLeasesOutstanding(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	for range 5 {
		m.token(t, "acme")
	}
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultHang})

	_, _, err := m.stage.CLI(t.Context(), "secrets", "disable", m.path)
	require.NoError(t, err)
	waitFor(t, "the leases to end", func() bool { return m.leases(t, "acme") == 0 })
	require.NotContains(t, m.sys().ok(t, http.MethodGet, "sys/mounts", nil).Data, m.path+"/")
}

// Each of these revokes the leases of its reader: without a bound, every CI job
// would cost an exchange.
func TestShortLivedVaultTokensCauseFewExchanges(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	require.NoError(t, m.stage.WritePolicy(t.Context(), m.path, `path "`+m.path+`/token/acme" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }`))
	for range 100 {
		vaultToken, err := m.stage.CreateToken(t.Context(), []string{m.path}, "1m")
		require.NoError(t, err)
		reader := m.as(vaultToken)
		a := reader.ok(t, http.MethodGet, "token/acme", nil)
		_, live := m.amazon.AccountOf(a.accessToken())
		require.True(t, live)
		reader.sys().ok(t, http.MethodPost, "auth/token/revoke-self", nil)
	}
	waitFor(t, "the leases to end", func() bool { return m.leases(t, "acme") == 0 })
	m.token(t, "acme")
	require.LessOrEqual(t, m.amazon.Exchanges("acme"), 1+maxRetired)
	require.Greater(t, m.amazon.Exchanges("acme"), 1, "tokens do get retired")
}

// Raft makes the write of a lease take long enough to be hit. Vault then revokes
// what it could not write.
func TestReaderThatHangsUpCausesFewExchanges(t *testing.T) {
	t.Parallel()
	m := ownStage(t, vaulttest.Options{Storage: vaulttest.StorageRaft}).newMount(t)
	m.addAccount(t, "acme")
	m.token(t, "acme")
	const hits, maxAttempts = 3 * maxRetired, 5000
	for attempt := 0; m.unwrittenLeases(t) < hits; attempt++ {
		require.Less(t, attempt, maxAttempts)
		m.hangUp(t, time.Duration(attempt%100)*100*time.Microsecond)
	}
	m.token(t, "acme")
	require.LessOrEqual(t, m.amazon.Exchanges("acme"), 1+maxRetired)
	require.Greater(t, m.amazon.Exchanges("acme"), 1, "tokens do get retired")
}

// unwrittenLeases counts the leases that ended with their reader.
func (m *mount) unwrittenLeases(t *testing.T) int {
	t.Helper()
	log, err := os.ReadFile(m.stage.LogFile())
	require.NoError(t, err)
	return strings.Count(string(log), "failed to register lease")
}

// hangUp gives up a read after a while, if it was not answered by then.
func (m *mount) hangUp(t *testing.T, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	if _, err := m.send(ctx, http.MethodGet, "token/acme", nil); err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}
