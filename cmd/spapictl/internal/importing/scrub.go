// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"net/url"
	"strings"

	"vault-plugin-secrets-spapi/backend/credential"
)

// shortest credential that is looked for: a shorter one is none, and taking it
// out would take words apart.
const shortest = 6

// scrub takes credentials out of a text that somebody else wrote.
func scrub(text string, secrets ...credential.Secret) string {
	for _, secret := range secrets {
		value := secret.Reveal()
		if len(value) < shortest {
			continue
		}
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			text = strings.ReplaceAll(text, form, credential.Redacted)
		}
	}
	return text
}
