// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/transport"
)

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"Atza|x","token_type":"bearer","expires_in":3600,"refresh_token":"Atzr|y"}`,
		`{"access_token":"Atza|x","expires_in":"3600"}`, `{"access_token":"","expires_in":3600}`, `{"expires_in":3600}`,
		`{"access_token":"x","expires_in":0}`, `{"access_token":"x","expires_in":1e99}`, `[]`, `null`, `"x"`, ``, `{`, `<html>`,
		`{"error":"invalid_grant","error_description":"Atzr|secret s3cret"}`, `{"access_token":"a\u0000b","expires_in":3600}`,
	} {
		f.Add(200, "3", "id-1", []byte(seed))
		f.Add(400, "x", "id 2", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, retryAfterValue, requestID string, body []byte) {
		token, lifetime, err := parseToken(body)
		if err == nil {
			require.True(t, transport.UsableToken(token.AccessToken, maxTokenLength))
			require.True(t, lifetime >= transport.MinLifetime && lifetime <= transport.MaxLifetime)
		} else {
			require.Empty(t, token.AccessToken)
		}
		scrub := transport.NewScrubber(credential.New("s3cret"), credential.New("Atzr|secret"))
		header := http.Header{"Retry-After": {retryAfterValue}, "X-Amzn-Requestid": {requestID}}
		failed := failure(t.Context(), &transport.Answer{Status: status, Header: header, Body: body}, nil, scrub, codeGrant)
		require.NotContains(t, failed.Error(), "s3cret")
		require.False(t, strings.ContainsFunc(failed.Error(), unicode.IsControl))
		require.True(t, failed.RetryAfter >= 0 && failed.RetryAfter <= time.Hour)
	})
}
