// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuoted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "write spapi/config client_secret=@/tmp/file",
		quoted([]string{"write", "spapi/config", "client_secret=@/tmp/file"}))
	require.Equal(t, `a 'b c' 'd'\''s' ''`, quoted([]string{"a", "b c", "d's", ""}))

	long := strings.Repeat("x", 60)
	require.Equal(t, "a "+long+" \\\n       "+long+" b", quoted([]string{"a", long, long, "b"}))
}

func TestField(t *testing.T) {
	t.Parallel()
	table := "Key         Value\n---         -----\nlease_id    spapi/token/acme/1\nempty\n"
	got, err := field(table, "lease_id")
	require.NoError(t, err)
	require.Equal(t, "spapi/token/acme/1", got)
	_, err = field(table, "access_token")
	require.EqualError(t, err, "the answer has no access_token")
}

// The demo fails rather than put a credential on the screen.
func TestAnswerRefusesSecrets(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := screen{out: &out, secrets: newSecrets()}
	require.NoError(t, s.answer("harmless\n"))
	for _, secret := range []string{s.secrets.clientSecret, s.secrets.refreshTokens["acme"], s.secrets.refreshTokens["globex"]} {
		err := s.answer("before " + secret + " after")
		require.ErrorContains(t, err, "was shown")
		require.NotContains(t, err.Error(), secret)
		require.NotContains(t, out.String(), secret)
	}
	require.Contains(t, out.String(), "harmless")
}
