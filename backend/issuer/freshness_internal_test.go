// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
)

// The accounts of an outage do not all come back at once, nor later than a
// minute.
func TestBackoffIsSpread(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	for count := 1; count < 100; count++ {
		earliest, latest := backoff(down, count, 0), backoff(down, count, 1)
		require.Less(t, earliest, latest)
		require.GreaterOrEqual(t, earliest, firstBackoff/2)
		require.LessOrEqual(t, latest, maxBackoff)
	}
	require.Equal(t, firstBackoff, backoff(down, 1, 1))
	require.Equal(t, maxBackoff, backoff(down, 99, 1))
	asked := &fault.Error{Kind: fault.RateLimited, RetryAfter: 5 * time.Minute}
	require.Equal(t, 5*time.Minute, backoff(asked, 1, 0), "Amazon's own wait is not shortened")
	require.Equal(t, invalidGrantWait, backoff(fault.New(fault.InvalidGrant, "gone"), 1, 0))
}
