// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"time"

	"vault-plugin-secrets-spapi/backend/fault"
)

const (
	// minStale is the least that a token served during an outage still lives.
	minStale = 60 * time.Second
	// invalidGrantWait is how long Amazon is not asked again about a refresh
	// token that it refused.
	invalidGrantWait = 60 * time.Second
	// invalidClientWait is the same for the application's own credentials.
	invalidClientWait = 10 * time.Second
	firstBackoff      = time.Second
	maxBackoff        = 60 * time.Second
)

// required is how long a token must still live to be handed out. Where Amazon
// gives no more than minTTL, half of what it gives takes its place.
func required(minTTL, lifetime time.Duration) time.Duration {
	if lifetime <= minTTL {
		return lifetime / 2
	}
	return minTTL
}

// renewBelow is how much of its life a token that is in use has left when it is
// renewed, ahead of need, so that its readers never wait for Amazon.
func renewBelow(required, lifetime time.Duration) time.Duration {
	return required + (lifetime-required)/3
}

// left is the time until expiry, by whichever clock says less: the monotonic
// one stands still while a machine is suspended, the wall clock may be set back.
func left(expiresAt, now time.Time) time.Duration {
	return min(expiresAt.Sub(now), expiresAt.Round(0).Sub(now.Round(0)))
}

// backoff is how long an account is left alone after its count-th failure in a
// row.
func backoff(failed *fault.Error, count int, jitter float64) time.Duration {
	switch failed.Kind {
	case fault.InvalidGrant, fault.UnauthorizedClient, fault.InvalidScope, fault.InvalidResources:
		return invalidGrantWait
	}
	wait := maxBackoff
	if doublings := count - 1; doublings < 6 {
		wait = min(firstBackoff<<doublings, maxBackoff)
	}
	wait = time.Duration(float64(wait) * (0.75 + jitter/4))
	return max(wait, failed.RetryAfter)
}
