// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/bench/rig"
)

// ran is a run of ten minutes with these live heaps, in MiB, and goroutines.
func ran(heaps []uint64, goroutines []int) *samples {
	s := newSamples(10 * time.Minute)
	for i := range heaps {
		s.taken = append(s.taken, sample{
			at:       time.Duration(i+1) * s.every,
			memory:   rig.Memory{HeapAlloc: heaps[i] << 20, Goroutines: goroutines[i]},
			resident: 1 << 20,
		})
	}
	return s
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		heaps      []uint64
		goroutines []int
		want       string // empty: level
	}{
		"level":                        {[]uint64{5, 10, 20, 20, 25, 20}, []int{10, 40, 40, 40, 50, 40}, ""},
		"grows before minute two only": {[]uint64{1, 10, 20, 30, 30, 31}, []int{10, 40, 40, 40, 40, 40}, ""},
		"within the bounds":            {[]uint64{20, 20, 20, 20, 20, 29}, []int{40, 40, 40, 40, 40, 160}, ""},
		"heap grows":                   {[]uint64{20, 20, 20, 20, 25, 30}, []int{40, 40, 40, 40, 40, 40}, "the live heap grew"},
		"goroutines grow":              {[]uint64{20, 20, 20, 20, 20, 20}, []int{40, 40, 40, 40, 40, 161}, "more goroutines"},
		"too short":                    {[]uint64{20, 20, 20, 20}, []int{40, 40, 40, 40}, "too few samples"},
		"none":                         {nil, nil, "too few samples"},
	} {
		var out strings.Builder
		err := ran(c.heaps, c.goroutines).judge(&out)
		if c.want == "" {
			require.NoError(t, err, name)
			require.Contains(t, out.String(), "after 2m0s: ", name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestShortRunsAreSampled(t *testing.T) {
	t.Parallel()
	s := newSamples(time.Minute)
	require.Equal(t, 6*time.Second, s.every)
	require.Equal(t, 24*time.Second, s.settled)
}

func TestDeclaredStatuses(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 400, 403, 404, 429, 502, 503} {
		require.True(t, declared(status), status)
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusGatewayTimeout, http.StatusMovedPermanently, 405, 0} {
		require.False(t, declared(status), status)
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	tally := newTally()
	tally.count("read", 200)
	tally.count("read", 200)
	tally.count("read", 503)
	tally.count("write", 204)
	require.Equal(t, 4, tally.total())
	var out strings.Builder
	tally.summary(&out)
	require.Regexp(t, `read +200: 2, 503: 1\n +write +204: 1\n`, out.String())
	tally.summary(io.Discard)
}
