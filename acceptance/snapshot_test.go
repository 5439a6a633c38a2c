// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// testSnapshot restores a snapshot over a mount that lost everything, and that
// came to hold something else under an old name.
func (c *clusterTest) testSnapshot(t *testing.T) {
	t.Helper()
	ctx, m := t.Context(), c.mount
	before, token := m.everything(t), m.token(t, "leased-1")
	accounts, ok := m.ok(t, "LIST", "accounts", nil).Data["keys"].([]any)
	require.True(t, ok)
	require.NotEmpty(t, accounts)
	leader, err := c.cluster.Leader(ctx)
	require.NoError(t, err)
	var snapshot bytes.Buffer
	require.NoError(t, leader.Client().Sys().RaftSnapshotWithContext(ctx, &snapshot))

	for _, account := range accounts {
		m.ok(t, http.MethodDelete, "accounts/"+account.(string), nil)
	}
	m.ok(t, http.MethodDelete, "config", nil)
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/leased-1", nil)
	m.writeConfig(t, "region", "fe")
	stranger := map[string]any{"refresh_token": c.amazon.Authorize(m.clientID, "stranger")}
	for _, name := range []string{"leased-1", "new-after-snapshot"} {
		m.ok(t, http.MethodPost, "accounts/"+name, stranger)
		owner, _ := c.amazon.AccountOf(m.ok(t, http.MethodGet, "token/"+name, nil).accessToken())
		require.Equal(t, "stranger", owner, "in the cache when the snapshot is restored")
	}

	starts := c.starts(t)
	leader, err = c.cluster.Leader(ctx)
	require.NoError(t, err)
	require.NoError(t, leader.Client().Sys().RaftSnapshotRestoreWithContext(ctx, &snapshot, false))
	waitFor(t, "the mount to be made anew", func() bool { return c.starts(t) > starts })
	require.Equal(t, before, m.everything(t))
	for i, account := range accounts {
		m.through(c.nodes[i%len(c.nodes)]).token(t, account.(string))
	}
	require.NotEqual(t, token.accessToken(), m.token(t, "leased-1").accessToken(), "tokens are kept in memory only")
}
