// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	require.NoError(t, serve([]string{"-version"}))
	require.Error(t, serve([]string{"-nonsense"}))
}

// Vault takes only versions of this shape for a plugin.
func TestVersion(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^v\d+\.\d+\.\d+(-[0-9a-z.]+)?$`, version)
}
