// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package figures_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/bench/figures"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i // not in order
	}
	for q, want := range map[float64]int{0: 1, 0.001: 1, 0.5: 50, 0.99: 99, 0.991: 100, 1: 100} {
		require.Equal(t, want, figures.Quantile(hundred, q), "q = %v", q)
	}
	require.Equal(t, 7*time.Second, figures.Quantile([]time.Duration{7 * time.Second}, 0.99))
	require.Zero(t, figures.Quantile([]int{}, 0.5))
}

func TestSpread(t *testing.T) {
	t.Parallel()
	odd := figures.Of(3, 1, 2)
	require.Equal(t, figures.Spread{Median: 2, Min: 1, Max: 3, Rounds: 3}, odd)
	require.Equal(t, "2.00 (1.00–3.00)", odd.String())
	require.Equal(t, "1.00–3.00", odd.Range())

	require.InDelta(t, 2.5, figures.Of(4, 1, 2, 3).Median, 1e-9)

	one := figures.Of(5)
	require.Equal(t, "5.00", one.String())
	require.Empty(t, one.Range())
	require.Zero(t, figures.Of())
}

func TestSpreadLeavesItsValuesInOrder(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	figures.Of(values...)
	require.Equal(t, []float64{3, 1, 2}, values, "rounds are compared by their order")
}

func TestRatiosArePairwise(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{2, 0.5}, figures.Ratios([]float64{4, 1}, []float64{2, 2}))
	require.Equal(t, []float64{2}, figures.Ratios([]float64{4, 1}, []float64{2}), "an unfinished pair does not count")
}

func TestUnits(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1.50", figures.Milliseconds(1500*time.Microsecond))
	require.Equal(t, "2.5", figures.MiB(5<<19))
	require.InDelta(t, 2.5, figures.Mebibytes(5<<19), 1e-9)
}
