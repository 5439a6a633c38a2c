// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
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

// tokenAnswer is the body of a successful exchange. Unknown members are ignored.
type tokenAnswer struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"`
	RefreshToken string          `json:"refresh_token"`
}

// parseToken reads the body of a successful exchange. Its errors repeat nothing
// of the body.
func parseToken(body []byte) (tokenAnswer, time.Duration, error) {
	var token tokenAnswer
	if err := json.Unmarshal(body, &token); err != nil {
		return tokenAnswer{}, 0, errors.New("it is not the JSON object that was expected")
	}
	if !usable(token.AccessToken) {
		return tokenAnswer{}, 0, errors.New("access_token is missing or not a token")
	}
	if token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer") {
		return tokenAnswer{}, 0, errors.New("token_type is not bearer")
	}
	lifetime, err := parseLifetime(token.ExpiresIn)
	if err != nil {
		return tokenAnswer{}, 0, err
	}
	if !usable(token.RefreshToken) {
		token.RefreshToken = ""
	}
	return token, lifetime, nil
}

// parseLifetime reads expires_in, which LWA sends as a number and documents
// elsewhere as a string.
func parseLifetime(raw json.RawMessage) (time.Duration, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, errors.New("expires_in is missing")
	}
	text := strings.Trim(string(raw), `"`)
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errors.New("expires_in is not a whole number")
	}
	// ParseInt returns the largest int64 for what is larger still.
	seconds, _ := strconv.ParseInt(text, 10, 64)
	if seconds < int64(minLifetime/time.Second) {
		return 0, errors.New("expires_in is under " + minLifetime.String())
	}
	return time.Duration(min(seconds, int64(maxLifetime/time.Second))) * time.Second, nil
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
