// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"vault-plugin-secrets-spapi/backend/credential"
)

// maxText bounds what is passed on of Amazon's words, in runes.
const maxText = 300

// credentialShapes matches Amazon's tokens and secrets wherever they stand,
// plain or URL encoded. Source: SP-API documentation, "Authorization concepts".
var credentialShapes = regexp.MustCompile(`(?i)(Atz[a-z.]{1,8}(\||%7C)|amzn1\.oa2-cs\.|amzn\.mws\.)[^\s"'&<>]*`)

// Scrubber takes credentials out of text that came from outside: an answer may
// echo what was sent.
type Scrubber struct{ secrets []string }

// NewScrubber returns a Scrubber of the credentials that were sent.
func NewScrubber(credentials ...credential.Secret) Scrubber {
	var s Scrubber
	for _, secret := range credentials {
		if plain := secret.Reveal(); plain != "" {
			s.secrets = append(s.secrets, plain, url.QueryEscape(plain))
		}
	}
	return s
}

// clean returns text without credentials and control characters, on one line
// and bounded.
func (s Scrubber) clean(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, credential.Redacted)
	}
	text = credentialShapes.ReplaceAllString(text, credential.Redacted)
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}
