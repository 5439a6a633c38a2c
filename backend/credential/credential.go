// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package credential holds refresh tokens, access tokens and client secrets in
// a type that cannot be printed by accident.
package credential

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// Redacted is what a Secret shows wherever it is printed or encoded.
const Redacted = "[redacted]"

// Secret is a credential that prints as [redacted] with every verb of fmt and
// in every encoding. The zero value is the absent credential.
//
// The value sits behind a pointer because fmt does not call the methods of
// unexported struct fields: it would print a plain string there, but prints an
// address for a pointer.
type Secret struct{ value *string }

// New returns value as a Secret. An empty value gives the absent credential.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal returns the credential itself. Call it only where the credential is
// sent to Amazon, sealed into storage, or (access tokens) answered to a reader.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no credential.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares two credentials in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [redacted].
func (s Secret) String() string { return Redacted }

// GoString returns [redacted].
func (s Secret) GoString() string { return Redacted }

// Format writes [redacted], whatever the verb and its flags.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText encodes as [redacted]; it serves JSON, YAML and XML alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
