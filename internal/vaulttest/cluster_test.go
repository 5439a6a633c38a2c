// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// One cluster for all of it: to start one takes seconds.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cluster := vaulttest.NewCluster(t, vaulttest.Options{})
	require.Len(t, cluster.Nodes(), 3)
	mountOnCluster(t, cluster)

	leader, err := cluster.Leader(ctx)
	require.NoError(t, err)
	for _, node := range cluster.Nodes() {
		waitGreeting(t, node)
	}
	standbys, err := cluster.Standbys(ctx)
	require.NoError(t, err)
	require.Len(t, standbys, 2)

	require.NoError(t, leader.Kill())
	require.NoError(t, cluster.WaitHealthy(ctx))
	next, err := cluster.Leader(ctx)
	require.NoError(t, err)
	require.NotSame(t, leader, next)
	rest, err := cluster.Standbys(ctx)
	require.NoError(t, err)
	require.Len(t, rest, 1, "without the dead one")
	waitGreeting(t, next)
	waitGreeting(t, rest[0])

	require.NoError(t, leader.Restart(ctx))
	require.NoError(t, cluster.WaitHealthy(ctx))
	waitGreeting(t, leader)

	leader, err = cluster.Leader(ctx)
	require.NoError(t, err)
	process := onePlugin(t, leader)
	require.NoError(t, cluster.StepDown(ctx))
	requireEnded(t, process)
	require.NoError(t, cluster.WaitHealthy(ctx))
	waitGreeting(t, leader)

	require.NoError(t, cluster.Stop(ctx))
	for _, node := range cluster.Nodes() {
		require.Zero(t, node.PID())
	}
}

func TestSealAndUnseal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{})
	require.NoError(t, mountEcho(ctx, server, "hello"))
	process := onePlugin(t, server)
	require.NoError(t, server.Seal(ctx))
	requireEnded(t, process)
	_, err := server.Client().Logical().ReadWithContext(ctx, "echo/greeting")
	require.ErrorContains(t, err, "Vault is sealed")
	require.NoError(t, server.Unseal(ctx))
	require.Equal(t, "hello", greeting(t, server))
}

// waitGreeting waits for a node to serve, by itself or through the leader: on a
// slow machine, there may be none at times.
func waitGreeting(t *testing.T, node *vaulttest.Server) {
	t.Helper()
	require.NoError(t, vaulttest.WaitFor(t.Context(), "the greeting", func() (bool, error) {
		secret, err := node.Client().Logical().ReadWithContext(t.Context(), "echo/greeting")
		return err == nil && secret != nil && secret.Data["greeting"] == "hello", nil
	}))
}

func mountOnCluster(t *testing.T, cluster *vaulttest.Cluster) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	env := []string{roleVariable + "=plugin", "GREETING=hello"}
	require.NoError(t, cluster.RegisterPlugin(t.Context(), "echo", self, "", env))
	leader, err := cluster.Leader(t.Context())
	require.NoError(t, err)
	require.NoError(t, leader.Mount(t.Context(), "echo", "echo", nil))
}
