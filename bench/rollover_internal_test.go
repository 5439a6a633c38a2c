// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithNewToken(t *testing.T) {
	t.Parallel()
	n, err := withNewToken([][]byte{
		[]byte(`{"data":{"expires_in":2339}}`), // issued before an advance of 21 minutes
		[]byte(`{"data":{"expires_in":2340}}`),
		[]byte(`{"data":{"expires_in":3599}}`),
		[]byte(`{"data":{"expires_in":3300}}`),
	})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = withNewToken([][]byte{[]byte(`nonsense`)})
	require.Error(t, err)
}

func TestPlans(t *testing.T) {
	t.Parallel()
	for _, p := range []plan{fullPlan(), shortPlan()} {
		require.IsIncreasing(t, p.sizes, "the largest last")
		require.Equal(t, p.largest(), p.sizes[len(p.sizes)-1])
		require.Contains(t, p.burstReaders, judgedBurst)
		require.Equal(t, judgedBurst, p.mostClients())
	}
	full := fullPlan()
	require.Empty(t, smaller(full.coldAccounts, judgedCold, "accounts"))
	require.Empty(t, smaller(full.largest(), judgedSize, "accounts"))
	require.Empty(t, smaller(full.hungAccounts, judgedHealthy, "accounts"))
	require.Equal(t, "only 5 accounts", smaller(5, 6, "accounts"))
}
