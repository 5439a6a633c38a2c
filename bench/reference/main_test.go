// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// newReference returns what asks the plugin.
func newReference(t *testing.T) func(req *logical.Request) *logical.Response {
	t.Helper()
	conf := logical.TestBackendConfig()
	conf.StorageView = &logical.InmemStorage{}
	backend, err := factory(t.Context(), conf)
	require.NoError(t, err)
	return func(req *logical.Request) *logical.Response {
		resp, err := backend.HandleRequest(t.Context(), req)
		require.NoError(t, err)
		return resp
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	ask := newReference(t)
	read := func(account string) *logical.Response {
		resp := ask(&logical.Request{Operation: logical.ReadOperation, Path: "token/" + account})
		require.Len(t, resp.Data["access_token"], accessTokenLength)
		require.Equal(t, account, resp.Data["account"])
		return resp
	}
	leased, bare := read("leased-a"), read("unleased-a")
	require.NotNil(t, leased.Secret)
	require.Equal(t, lifetime, leased.Secret.TTL)
	require.NotContains(t, leased.Data, "ttl")
	require.Nil(t, bare.Secret)
	require.Contains(t, bare.Data, "ttl")

	ask(&logical.Request{Operation: logical.RevokeOperation, Path: "token/leased-a", Secret: leased.Secret})
}

func TestRestrictedAnswersAreLeased(t *testing.T) {
	t.Parallel()
	resp := newReference(t)(&logical.Request{Operation: logical.ReadOperation, Path: "restricted/shipping/restricted-a"})
	require.NotNil(t, resp.Secret)
	require.Len(t, resp.Data["restricted_data_token"], restrictedTokenLength)
	require.Equal(t, "shipping", resp.Data["role"])
	require.Equal(t, "restricted-a", resp.Data["account"])
	require.NotContains(t, resp.Data, "access_token")
}

func TestExchangesAnswerAsLoginWithAmazonDoes(t *testing.T) {
	t.Parallel()
	resp := newReference(t)(&logical.Request{Operation: logical.UpdateOperation, Path: "lwa/token/lwa-a", Data: map[string]any{
		"grant_type": "refresh_token", "refresh_token": "Atzr|mine",
	}})
	require.Nil(t, resp.Secret)
	require.Equal(t, 200, resp.Data[logical.HTTPStatusCode])
	require.Equal(t, "no-store", resp.Data[logical.HTTPCacheControlHeader])
	var body map[string]any
	require.NoError(t, json.NewDecoder(strings.NewReader(resp.Data[logical.HTTPRawBody].(string))).Decode(&body))
	require.Len(t, body["access_token"], accessTokenLength)
	delete(body, "access_token")
	require.Equal(t, map[string]any{"refresh_token": "Atzr|mine", "token_type": "bearer", "expires_in": 3599.0}, body)
}
