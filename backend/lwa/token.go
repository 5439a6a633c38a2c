// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// minLifetime is the shortest lifetime of an access token that makes sense.
	minLifetime = 10 * time.Second
	// maxLifetime is what a longer lifetime counts as.
	maxLifetime = 24 * time.Hour
	// maxTokenLength bounds a token, in bytes. Login with Amazon documents at
	// most 2048 bytes for access and refresh tokens.
	maxTokenLength = 16 << 10
)

// lifetimeOf reads expires_in, which LWA sends as a number and documents
// elsewhere as a string. x/oauth2 alone would take 0 for "never expires".
func lifetimeOf(expiresIn any) (time.Duration, error) {
	var seconds float64
	switch value := expiresIn.(type) {
	case nil:
		return 0, errors.New("expires_in is missing")
	case float64:
		seconds = value
	case string:
		whole, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return 0, errors.New("expires_in is not a whole number")
		}
		seconds = float64(whole)
	default:
		return 0, errors.New("expires_in is not a number")
	}
	switch {
	case seconds != math.Trunc(seconds):
		return 0, errors.New("expires_in is not a whole number")
	case seconds < minLifetime.Seconds():
		return 0, errors.New("expires_in is under " + minLifetime.String())
	case seconds > maxLifetime.Seconds():
		return maxLifetime, nil
	}
	return time.Duration(seconds) * time.Second, nil
}

func checkToken(token *oauth2.Token) error {
	if !usable(token.AccessToken) {
		return errors.New("access_token is missing or not a token")
	}
	if token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer") {
		return errors.New("token_type is not bearer")
	}
	return nil
}

// usable reports whether a token can travel in a header: printable ASCII
// without spaces, of a sane length.
func usable(token string) bool {
	if token == "" || len(token) > maxTokenLength {
		return false
	}
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return false
		}
	}
	return true
}
