// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/transport"
)

func TestLifetime(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		"3600": time.Hour, `"3600"`: time.Hour, "10": 10 * time.Second, "86400": 24 * time.Hour,
		"86401": 24 * time.Hour, "99999999999999999999999": 24 * time.Hour,
	} {
		got, err := transport.Lifetime([]byte(raw), "expires_in")
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
	}
	for _, raw := range []string{"", "null", "0", "9", "-3600", "3600.5", "1e4", `""`, `"soon"`, `" 3600"`, `"-1"`, "true", "{}", "[3600]", `"0x10"`} {
		_, err := transport.Lifetime([]byte(raw), "expires_in")
		require.ErrorContains(t, err, "expires_in", raw)
	}
}

func TestUsableToken(t *testing.T) {
	t.Parallel()
	require.True(t, transport.UsableToken("Atza|AbC-_", 10))
	for _, token := range []string{"", "a b", "a\nb", "a\x00", "ä", strings.Repeat("a", 11)} {
		require.False(t, transport.UsableToken(token, 10), "%q", token)
	}
}
