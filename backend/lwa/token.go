// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/backend/transport"
)

// maxTokenLength bounds a token, in bytes. Login with Amazon documents at
// most 2048 bytes for access and refresh tokens.
const maxTokenLength = 16 << 10

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
	if !transport.UsableToken(token.AccessToken, maxTokenLength) {
		return tokenAnswer{}, 0, errors.New("access_token is missing or not a token")
	}
	if token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer") {
		return tokenAnswer{}, 0, errors.New("token_type is not bearer")
	}
	lifetime, err := transport.Lifetime(token.ExpiresIn, "expires_in")
	if err != nil {
		return tokenAnswer{}, 0, err
	}
	if !transport.UsableToken(token.RefreshToken, maxTokenLength) {
		token.RefreshToken = ""
	}
	return token, lifetime, nil
}
