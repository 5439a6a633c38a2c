// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command reference is the plugin that the benchmark measures the engine
// against: an ordinary framework.Backend that does nothing. It answers a read at
// once, with fixed data of the same fields and sizes as an access token's.
package main

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/bench/serve"
)

const (
	secretType = "reference_access_token"
	lifetime   = time.Hour
	// accessTokenLength is that of Amazon's access tokens.
	accessTokenLength = 352
	// unleased begins the names of accounts that are read without a lease.
	unleased = "unleased"
)

func main() { serve.Plugin(factory) }

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	secret := &framework.Secret{Type: secretType, Revoke: revoke}
	backend := &framework.Backend{
		BackendType: logical.TypeLogical,
		Secrets:     []*framework.Secret{secret},
		Paths: []*framework.Path{{
			Pattern: "token/" + framework.GenericNameWithAtRegex("account"),
			Fields:  map[string]*framework.FieldSchema{"account": {Type: framework.TypeString}},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: read(secret)},
			},
		}},
	}
	return backend, backend.Setup(ctx, conf)
}

func read(secret *framework.Secret) framework.OperationFunc {
	accessToken := "Atza|" + strings.Repeat("x", accessTokenLength-len("Atza|"))
	return func(_ context.Context, _ *logical.Request, fields *framework.FieldData) (*logical.Response, error) {
		account := fields.Get("account").(string)
		data := map[string]any{
			"access_token":       accessToken,
			"token_type":         "bearer",
			"expires_at":         "2026-01-31T12:00:00Z",
			"expires_in":         3599,
			"account":            account,
			"region":             "na",
			"endpoint":           "https://sellingpartnerapi-na.amazon.com",
			"selling_partner_id": "A0EXAMPLESELLER",
			"marketplace_ids":    []string{"ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"},
			"kind":               "seller",
			"metadata":           map[string]string{"team": "pricing"},
		}
		if strings.HasPrefix(account, unleased) {
			data["ttl"] = 1799
			data["rotation_period"] = 1800
			return &logical.Response{Data: data}, nil
		}
		resp := secret.Response(data, map[string]any{"account": account})
		resp.Secret.TTL = lifetime
		return resp, nil
	}
}

func revoke(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return nil, nil
}
