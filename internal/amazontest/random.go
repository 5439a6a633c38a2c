// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// Lengths that make an answer as long as Amazon's recorded ones: 806 bytes for
// a refresh, 454 for the notifications scope.
const (
	accessTokenLength  = 352
	refreshTokenLength = 376
	codeLength         = 20

	restrictedTokenLength = 512 // not known; longer than an access token
	ridLength             = 20
	errorIndexBytes       = 48
	stateBytes            = 24
)

const (
	upperDigits  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alphanumeric = upperDigits + "abcdefghijklmnopqrstuvwxyz"
)

func newAccessToken() string     { return padded("Atza|", accessTokenLength) }
func newRefreshToken() string    { return padded("Atzr|", refreshTokenLength) }
func newRestrictedToken() string { return padded("Atz.sprdt|", restrictedTokenLength) }
func newCode() string            { return pick(alphanumeric, codeLength) }

// newState is for what a browser carries: hard to guess, of no known form.
func newState() string { return randomBase64(stateBytes) }

func padded(prefix string, length int) string {
	return prefix + randomBase64(length)[:length-len(prefix)]
}

func randomBase64(bytes int) string {
	return base64.RawURLEncoding.EncodeToString(randomBytes(bytes))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented never to fail
	return b
}

// pick is slightly biased, which does not matter for a simulation.
func pick(alphabet string, n int) string {
	b := randomBytes(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
