// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t, vaulttest.Options{})
	f := newFleet(t, server, []*vaulttest.Server{server}, oldVersion, newVersion)
	f.upgrade(t, f.mount(t), newVersion)
}

// upgrade pins the mount to another version of the plugin, and reloads, as the
// documentation says. Vault lets what is in flight end before the reload, and
// lets what comes meanwhile wait: no request fails, not even once.
func (f *fleet) upgrade(t *testing.T, m *mount, version string) {
	t.Helper()
	// So that exchanges are in flight, too.
	f.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultDelay, Delay: 50 * time.Millisecond})
	defer f.amazon.ClearFaults()
	elections, starts := f.elections(t), f.starts(t)
	before := m.version(t)
	p := f.press(t, m)
	p.flows(t, f.nodes...)

	m.pin(t, version)
	p.flows(t, f.nodes...)
	pinned := m.version(t)
	_, _, err := m.stage.CLI(t.Context(), "plugin", "reload", "-type=secret", "-plugin="+plugin, "-scope=global")
	require.NoError(t, err)
	require.Equal(t, version, m.version(t))
	p.flows(t, f.nodes...)
	if f.elections(t) != elections {
		p.stop(t, leaderless()...) // nobody's wish, but a slow machine's
		return
	}
	require.Equal(t, before, pinned, "until the reload")
	p.stop(t)
	require.Equal(t, starts+1, f.starts(t))
}

// pin makes Vault run a version of the plugin at the next start of the mount.
func (m *mount) pin(t *testing.T, version string) {
	t.Helper()
	_, _, err := m.stage.CLI(t.Context(), "secrets", "tune", "-plugin-version="+version, m.path)
	require.NoError(t, err)
}

func (m *mount) version(t *testing.T) string {
	t.Helper()
	return m.ok(t, http.MethodGet, "info", nil).text("version")
}

// testUpgrade also goes back, by a change of the leader in place of a reload.
func (c *clusterTest) testUpgrade(t *testing.T) {
	t.Helper()
	c.upgrade(t, c.mount, newVersion)
	p := c.press(t, c.mount)
	p.flows(t, c.nodes...)
	c.mount.pin(t, oldVersion)
	require.NoError(t, c.cluster.StepDown(t.Context()))
	p.flows(t, c.nodes...)
	p.stop(t, leaderless()...)
	for _, node := range c.nodes {
		require.Equal(t, oldVersion, c.mount.through(node).version(t))
	}
}
