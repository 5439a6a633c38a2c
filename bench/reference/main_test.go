// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	conf := logical.TestBackendConfig()
	conf.StorageView = &logical.InmemStorage{}
	backend, err := factory(t.Context(), conf)
	require.NoError(t, err)
	read := func(account string) *logical.Response {
		resp, err := backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "token/" + account})
		require.NoError(t, err)
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

	_, err = backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.RevokeOperation, Path: "token/leased-a", Secret: leased.Secret})
	require.NoError(t, err)
}
