// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
)

func TestRetire(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	first := h.token("acme").AccessToken
	h.Retire("acme", credential.New("Atza|not this one"))
	h.Retire("unknown", first)
	require.Equal(t, first, h.token("acme").AccessToken)
	calls := h.storage.calls.Load()
	h.Retire("acme", credential.New(first.Reveal()))
	require.Equal(t, calls, h.storage.calls.Load())
	second := h.token("acme").AccessToken
	require.False(t, first.Equal(second), "a retired token is given to nobody")
	h.Retire("acme", first)
	require.Equal(t, second, h.token("acme").AccessToken, "an old one does not take its successor with it")
}

func TestRetirementsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	for range 100 {
		h.Retire("acme", h.token("acme").AccessToken)
	}
	require.Equal(t, 4, h.amazon.Exchanges("acme"), "three at once")
	h.clock.Advance(10 * time.Minute)
	for range 100 {
		h.Retire("acme", h.token("acme").AccessToken)
	}
	require.Equal(t, 5, h.amazon.Exchanges("acme"), "and then one in ten minutes")
	h.Tidy()
	h.token("acme")
	for range 10 {
		h.Retire("acme", h.token("acme").AccessToken)
	}
	require.LessOrEqual(t, h.amazon.Exchanges("acme"), 6, "tidying does not refill the bucket")
}

func TestTidy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.authorize("acme")
	h.token("acme")
	h.clock.Advance(119 * time.Minute) // an hour after it expired, less a minute
	h.Tidy()
	require.Equal(t, []string{"acme"}, h.Remembered())
	h.clock.Advance(2 * time.Minute)
	calls := h.storage.calls.Load()
	h.Tidy()
	require.Equal(t, calls, h.storage.calls.Load(), "memory only")
	require.Empty(t, h.Remembered(), "an account that nobody reads is forgotten")
	h.token("acme")
}
