// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// Vault seals when what is in flight has ended: it is request_timeout that keeps
// an Amazon that does not answer from holding that up.
func TestSealAndUnsealUnderLoad(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t, vaulttest.Options{})
	f := newFleet(t, server, []*vaulttest.Server{server}, "")
	m := f.mount(t)
	m.ok(t, http.MethodPatch, "config", map[string]any{"request_timeout": "3s"})
	m.addAccount(t, "cold", "verify", false)
	const times = 2
	for time := range times {
		p := f.press(t, m)
		p.flows(t, server)
		release := f.amazon.Hold()
		wait := m.readAtOnce(t.Context(), 3, "token/cold")
		require.NoError(t, f.amazon.WaitInFlight(t.Context(), 2), "the reader's and the writer's exchange")
		require.NoError(t, server.Seal(t.Context()))
		pids, err := server.PluginPIDs()
		require.NoError(t, err)
		require.Empty(t, pids)
		m.refused(t, http.StatusServiceUnavailable, http.MethodGet, "token/plain-1", nil, "Vault is sealed")
		for _, r := range wait() {
			require.NoError(t, r.err)
			require.Equal(t, http.StatusServiceUnavailable, r.Status, "%s", r.Raw)
			require.True(t, r.complained("request_timeout"), "%s", r.Raw)
		}
		release()

		require.NoError(t, server.Unseal(t.Context()))
		p.flows(t, server)
		p.stop(t, `503 {"errors":\["Vault is sealed"\]}`)
		require.Equal(t, 2+time, f.starts(t))
	}
	m.token(t, "cold")
	require.Equal(t, times+1, f.amazon.Exchanges("cold"))
}
