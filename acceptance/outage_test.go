// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestColdReadersCauseOneExchange(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "request_timeout", "60s")
	m.addAccount(t, "acme", "verify", false)
	release := m.amazon.Hold()
	defer release()
	wait := m.readAtOnce(t.Context(), 100, "token/acme")
	require.NoError(t, m.amazon.WaitInFlight(t.Context(), 1))
	release()

	tokens, leases := map[string]bool{}, map[string]bool{}
	for _, r := range wait() {
		require.NoError(t, r.err)
		require.Equal(t, http.StatusOK, r.Status, "%s", r.Raw)
		tokens[r.accessToken()], leases[r.LeaseID] = true, true
	}
	require.Len(t, tokens, 1)
	require.Len(t, leases, 100)
	require.Equal(t, 1, m.amazon.Exchanges("acme"))
}

// While Amazon is down, a token that still lives a minute is given, with a
// warning that says so; a reader with nothing left gets 503, and all is well
// again when Amazon is.
func TestReadersDuringAnOutage(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "request_timeout", "1s")
	m.amazon.SetTokenLifetime(100 * time.Second)
	m.addAccount(t, "acme")
	before := m.token(t, "acme")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerErrorHTML})

	// What this reader asks for, the token has no more a second after it was made.
	var stale *answer
	waitFor(t, "a stale token", func() bool {
		stale = m.ok(t, http.MethodGet, "token/acme?min_ttl=99s", nil)
		return stale.warned("could not be renewed") && stale.number(t, "expires_in") < 99
	})
	require.Equal(t, before.accessToken(), stale.accessToken())
	require.True(t, stale.warned("HTTP 500"), "%v", stale.Warnings)
	require.Equal(t, stale.number(t, "expires_in"), stale.LeaseDuration)

	m.revoke(t, stale.LeaseID)
	m.refused(t, http.StatusServiceUnavailable, http.MethodGet, "token/acme", nil, "acme", "HTTP 500")
	require.Contains(t, m.ok(t, http.MethodGet, "accounts/acme", nil).text("last_error"), "HTTP 500")
	require.Equal(t, "active", m.ok(t, http.MethodGet, "accounts/acme", nil).text("status"), "an outage says nothing about the account")

	m.amazon.ClearFaults()
	waitFor(t, "the back-off to end", func() bool {
		return m.call(t, http.MethodGet, "token/acme", nil).Status == http.StatusOK
	})
	require.NotEqual(t, before.accessToken(), m.token(t, "acme").accessToken())
	require.Empty(t, m.ok(t, http.MethodGet, "accounts/acme", nil).text("last_error"))
}

// A token is never given after its end, however long Amazon is down.
func TestExpiredTokenIsNeverGiven(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "request_timeout", "1s", "generate_lease", false)
	m.amazon.SetTokenLifetime(10 * time.Second)
	m.addAccount(t, "acme")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultReset})
	waitFor(t, "the token's end", func() bool {
		a := m.call(t, http.MethodGet, "token/acme", nil)
		if a.Status == http.StatusOK {
			_, live := m.amazon.AccountOf(a.accessToken())
			require.True(t, live)
			require.Positive(t, a.number(t, "expires_in"))
			require.Positive(t, a.number(t, "ttl"))
			return false
		}
		require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s", a.Raw)
		require.True(t, a.complained("could not be reached"))
		return true
	})
}
