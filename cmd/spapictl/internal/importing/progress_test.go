// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing_test

import (
	"io"
	"testing"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/importing"
)

// A bar ends, also if the number of accounts was a wrong guess or not known.
func TestBarEnds(t *testing.T) {
	t.Parallel()
	for _, total := range []int{0, 2, 3, 100} {
		bar := importing.Bar(io.Discard, total)
		for range 3 {
			bar.Step()
		}
		bar.Close()
	}
}
