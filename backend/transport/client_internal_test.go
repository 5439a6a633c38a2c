// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The environment's proxy cannot be tried out in a test process: net/http reads
// it once, and never uses it for loopback.
func TestProxyComesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	used := reflect.ValueOf(newTransport(silence, pingAnswer).Proxy).Pointer()
	require.Equal(t, reflect.ValueOf(http.ProxyFromEnvironment).Pointer(), used)
}

func TestRepetitionsAreSpread(t *testing.T) {
	t.Parallel()
	wait := backoff(time.Second)
	for attempt, low := range []time.Duration{time.Second / 2, time.Second} {
		seen := map[time.Duration]bool{}
		for range 100 {
			w := wait(0, 0, attempt, nil)
			require.GreaterOrEqual(t, w, low)
			require.LessOrEqual(t, w, 3*low)
			seen[w] = true
		}
		require.Greater(t, len(seen), 10, "a fleet does not come back in step")
	}
	asked := &http.Response{Header: http.Header{"Retry-After": {"7"}}}
	require.Equal(t, 7*time.Second, wait(0, 0, 0, asked))
}
