// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// MinLifetime is the shortest lifetime of a token that makes sense.
	MinLifetime = 10 * time.Second
	// MaxLifetime is what a longer lifetime counts as.
	MaxLifetime = 24 * time.Hour
)

// Lifetime reads the member of an answer that says how long a token lives, in
// seconds. LWA sends a number and documents elsewhere a string.
func Lifetime(raw json.RawMessage, member string) (time.Duration, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, errors.New(member + " is missing")
	}
	text := strings.Trim(string(raw), `"`)
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errors.New(member + " is not a whole number")
	}
	// ParseInt returns the largest int64 for what is larger still.
	seconds, _ := strconv.ParseInt(text, 10, 64)
	if seconds < int64(MinLifetime/time.Second) {
		return 0, errors.New(member + " is under " + MinLifetime.String())
	}
	return time.Duration(min(seconds, int64(MaxLifetime/time.Second))) * time.Second, nil
}

// UsableToken reports whether a token can travel in a header: printable ASCII
// without spaces, of at most limit bytes.
func UsableToken(token string, limit int) bool {
	if token == "" || len(token) > limit {
		return false
	}
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return false
		}
	}
	return true
}
