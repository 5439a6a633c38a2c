// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package mount_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

func TestScrub(t *testing.T) {
	t.Parallel()
	secret := credential.New("Atzr|a b/c")
	for text, want := range map[string]string{
		"of Atzr|a b/c.":           "of [redacted].",
		"?x=Atzr%7Ca+b%2Fc&y":      "?x=[redacted]&y",
		"/Atzr%7Ca%20b%2Fc/":       "/[redacted]/",
		"Atzr|a b/cAtzr%7Ca+b%2Fc": "[redacted][redacted]",
		"Atzr|another":             "Atzr|another",
	} {
		require.Equal(t, want, mount.Scrub(text, secret))
	}
	require.Equal(t, "refused: e", mount.Scrub("refused: e", credential.New("e"), credential.Secret{}), "what is short is no secret")
	require.Equal(t, "[redacted]", mount.Scrub("the-state-2", credential.New("the-state"), credential.New("the-state-2")))
}
