// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// clusterTest is a cluster of three servers with one mount.
type clusterTest struct {
	*fleet
	cluster *vaulttest.Cluster
	mount   *mount
}

// One cluster for all of it, since to start one takes seconds. It runs alone: a leader that other tests keep from the processor
// is voted out.
func TestCluster(t *testing.T) {
	cluster := vaulttest.NewCluster(t, vaulttest.Options{})
	f := newFleet(t, cluster, cluster.Nodes(), oldVersion, newVersion)
	c := &clusterTest{fleet: f, cluster: cluster, mount: f.mount(t)}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"standbys forward", c.testStandbys},
		{"leader steps down", c.testStepDown},
		{"authorization outlives its leader", c.testAuthorization},
		{"leader is killed", c.testKill},
		{"plugin is upgraded", c.testUpgrade},
		{"snapshot is restored", c.testSnapshot},
	} {
		if !t.Run(part.name, part.run) {
			return
		}
	}
}

func (c *clusterTest) testStandbys(t *testing.T) {
	t.Helper()
	starts := c.starts(t)
	exchanges := func(account string) int {
		if c.starts(t) != starts {
			return 1 // the leader has changed: that is for other parts
		}
		return c.amazon.Exchanges(account)
	}
	for _, account := range readAccounts() {
		for _, node := range c.nodes {
			token := c.mount.through(node).token(t, account)
			require.Equal(t, isLeased(account), token.LeaseID != "")
		}
		require.Equal(t, 1, exchanges(account), "when it was verified")
	}
	for _, lease := range []bool{true, false} {
		account := fmt.Sprintf("at-once-%t", lease)
		c.mount.addAccount(t, account, "verify", false, "generate_lease", lease)
		var waits []func() []result
		for _, node := range c.nodes {
			waits = append(waits, c.mount.through(node).readAtOnce(t.Context(), 5, "token/"+account))
		}
		tokens := map[string]bool{}
		for _, wait := range waits {
			for _, r := range wait() {
				require.NoError(t, r.err)
				require.Equal(t, http.StatusOK, r.Status, "%s", r.Raw)
				tokens[r.accessToken()] = true
			}
		}
		require.Equal(t, 1, exchanges(account), "by whichever node it is read")
		require.True(t, len(tokens) == 1 || c.starts(t) != starts, "%d tokens", len(tokens))
	}
	c.requireOneActive(t)
}

// requireOneActive requires that one node alone runs the plugin.
func (c *clusterTest) requireOneActive(t *testing.T) {
	t.Helper()
	waitFor(t, "one plugin process", func() bool {
		all := 0
		for _, node := range c.nodes {
			pids, err := node.PluginPIDs()
			require.NoError(t, err)
			all += len(pids)
		}
		return all == 1
	})
}

func (c *clusterTest) testStepDown(t *testing.T) {
	t.Helper()
	starts := c.starts(t)
	p := c.press(t, c.mount)
	p.flows(t, c.nodes...)
	require.NoError(t, c.cluster.StepDown(t.Context()))
	p.flows(t, c.nodes...)
	p.stop(t, leaderless()...)
	require.Greater(t, c.starts(t), starts)
	c.requireOneActive(t)
}

// testAuthorization begins authorizations under one leader and completes them under
// the next, each once.
func (c *clusterTest) testAuthorization(t *testing.T) {
	t.Helper()
	m := c.mount
	m.offerConsent()
	m.ok(t, http.MethodPost, "config", map[string]any{"application_id": m.applicationID()})
	begin := func(account string) map[string]any {
		m.amazon.AddPartner(account) // under the account's name: later parts compare the two
		return m.consent(t, m.begin(t, account).text("url"), account)
	}
	used, waiting := begin("used"), begin("waiting")
	m.ok(t, http.MethodPost, "authorize/callback", used)
	require.NoError(t, c.cluster.StepDown(t.Context()))
	require.NoError(t, c.cluster.WaitHealthy(t.Context()))
	for _, node := range c.nodes {
		m.through(node).refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", used, "the state is unknown")
	}
	standbys, err := c.cluster.Standbys(t.Context())
	require.NoError(t, err)
	completed := m.through(standbys[0]).ok(t, http.MethodPost, "authorize/callback", waiting)
	require.Equal(t, "waiting", completed.text("account"))
	m.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", waiting, "the state is unknown")
	require.Equal(t, 2, c.amazon.CodeExchanges())
	m.token(t, "waiting")
	for _, account := range readAccounts() {
		m.token(t, account) // so that the new leader has it for the next part
	}
}

func (c *clusterTest) testKill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cluster.WaitHealthy(t.Context()))
	starts := c.starts(t)
	c.mount.addAccount(t, "changing", "verify", false)
	p := c.press(t, c.mount)
	p.flows(t, c.nodes...)
	c.changeRefreshToken(t, "changing")

	leader, err := c.cluster.Leader(t.Context())
	require.NoError(t, err)
	require.NoError(t, leader.Kill())
	rest, err := c.cluster.Standbys(t.Context())
	require.NoError(t, err)
	next, err := c.cluster.Leader(t.Context())
	require.NoError(t, err)
	p.flows(t, append(rest, next)...)
	require.NoError(t, leader.Restart(t.Context()))
	p.flows(t, c.nodes...)
	p.stop(t, append(leaderless(), c.noAnswer(leader))...)

	for _, node := range c.nodes {
		c.mount.through(node).token(t, "changing")
	}
	require.Greater(t, c.starts(t), starts)
	require.LessOrEqual(t, c.amazon.Exchanges("changing"), 1+c.starts(t)-starts)
	require.Greater(t, c.amazon.Exchanges("changing"), 1, "with the changed refresh token")
}

// changeRefreshToken has Amazon give another refresh token, after which the one
// that was authorized is worth nothing.
func (c *clusterTest) changeRefreshToken(t *testing.T, account string) {
	t.Helper()
	const changed = "Atzr|changed"
	c.amazon.SetAccountFault(account, amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: changed, Times: 1})
	c.mount.token(t, account)
	c.amazon.RevokeAuthorization(account)
	c.amazon.AddRefreshToken(c.mount.clientID, account, changed)
}
