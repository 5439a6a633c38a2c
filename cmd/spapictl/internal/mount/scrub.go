// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/backend/credential"
)

// shortestSecret that is looked for: a shorter one, such as a forged state "e",
// would take words apart.
const shortestSecret = 6

// Scrub takes secrets out of a text that somebody else wrote, plain or escaped as
// in a URL. Do it before the text is cut: half a secret would not be found.
func Scrub(text string, secrets ...credential.Secret) string {
	// One secret may be a part of another.
	longestFirst := slices.SortedFunc(slices.Values(secrets), func(a, b credential.Secret) int {
		return cmp.Compare(len(b.Reveal()), len(a.Reveal()))
	})
	for _, secret := range longestFirst {
		value := secret.Reveal()
		if len(value) < shortestSecret {
			continue
		}
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			text = strings.ReplaceAll(text, form, credential.Redacted)
		}
	}
	return text
}
