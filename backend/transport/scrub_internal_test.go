// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
)

func TestScrub(t *testing.T) {
	t.Parallel()
	s := NewScrubber(credential.New("s3cret+/"), credential.New("Atzr|abc"))
	for text, want := range map[string]string{
		"got s3cret+/ here":               "got [redacted] here",
		"got s3cret%2B%2F here":           "got [redacted] here",
		"other Atza|xyz-123, and":         "other [redacted] and",
		"atzr%7Cxyz":                      "[redacted]",
		"Atz.sprdt|zzz":                   "[redacted]",
		"amzn1.oa2-cs.v1.abc.":            "[redacted]",
		"amzn.mws.1234":                   "[redacted]",
		"two\r\nlines\x1b[31m":            "two lines [31m",
		strings.Repeat("x", 1000):         strings.Repeat("x", maxText) + "…",
		"The request has : refresh_token": "The request has : refresh_token",
	} {
		require.Equal(t, want, s.clean(text), "%q", text)
	}
}
