// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command reference is the plugin that the benchmark measures the engine
// against: an ordinary framework.Backend that does nothing. It answers at once,
// with fixed data of the same fields and sizes as a token's.
package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/bench/serve"
)

const (
	secretType = "reference_access_token"
	lifetime   = time.Hour
	// The lengths of tokens: Amazon's access tokens have the first, the simulated
	// Amazon's restricted data tokens the other.
	accessTokenLength     = 352
	restrictedTokenLength = 512
	// endpoint is as long as the simulated Amazon's.
	endpoint = "http://127.0.0.1:40000"
	// unleased begins the names of accounts that are read without a lease.
	unleased = "unleased"
)

func main() { serve.Plugin(factory) }

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	secret := &framework.Secret{Type: secretType, Revoke: revoke}
	account, role := framework.GenericNameWithAtRegex("account"), framework.GenericNameWithAtRegex("role")
	backend := &framework.Backend{
		BackendType: logical.TypeLogical,
		Secrets:     []*framework.Secret{secret},
		Paths: []*framework.Path{
			path("token/"+account, logical.ReadOperation, read(secret), "account"),
			path("restricted/"+role+"/"+account, logical.ReadOperation, readRestricted(secret), "role", "account"),
			path("lwa/token/"+account, logical.UpdateOperation, exchange(), "account", "grant_type", "refresh_token", "client_id", "client_secret"),
		},
	}
	return backend, backend.Setup(ctx, conf)
}

// path has one operation, and fields that are all texts.
func path(pattern string, operation logical.Operation, serve framework.OperationFunc, fields ...string) *framework.Path {
	p := &framework.Path{
		Pattern:    pattern,
		Fields:     map[string]*framework.FieldSchema{},
		Operations: map[logical.Operation]framework.OperationHandler{operation: &framework.PathOperation{Callback: serve}},
	}
	for _, field := range fields {
		p.Fields[field] = &framework.FieldSchema{Type: framework.TypeString}
	}
	return p
}

// token is a text that looks like one of Amazon's.
func token(prefix string, length int) string { return prefix + strings.Repeat("x", length-len(prefix)) }

func read(secret *framework.Secret) framework.OperationFunc {
	accessToken := token("Atza|", accessTokenLength)
	return func(_ context.Context, _ *logical.Request, fields *framework.FieldData) (*logical.Response, error) {
		account := fields.Get("account").(string)
		return answer(secret, account, map[string]any{"access_token": accessToken}), nil
	}
}

func readRestricted(secret *framework.Secret) framework.OperationFunc {
	restrictedToken := token("Atz.sprdt|", restrictedTokenLength)
	return func(_ context.Context, _ *logical.Request, fields *framework.FieldData) (*logical.Response, error) {
		account := fields.Get("account").(string)
		return answer(secret, account, map[string]any{"restricted_data_token": restrictedToken, "role": fields.Get("role")}), nil
	}
}

// answer is a lease unless the name of the account says otherwise; own is what
// differs from one path to the other.
func answer(secret *framework.Secret, account string, own map[string]any) *logical.Response {
	data := map[string]any{
		"token_type":         "bearer",
		"expires_at":         "2026-01-31T12:00:00Z",
		"expires_in":         3599,
		"account":            account,
		"region":             "na",
		"endpoint":           endpoint,
		"selling_partner_id": "A0EXAMPLESELLER",
		"marketplace_ids":    []string{"ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"},
		"kind":               "seller",
		"metadata":           map[string]string{"team": "pricing"},
	}
	maps.Copy(data, own)
	if strings.HasPrefix(account, unleased) {
		data["ttl"] = 1799
		data["rotation_period"] = 1800
		return &logical.Response{Data: data}
	}
	resp := secret.Response(data, map[string]any{"account": account})
	resp.Secret.TTL = lifetime
	return resp
}

// exchange answers as Login with Amazon does, with the refresh token that was
// submitted.
func exchange() framework.OperationFunc {
	accessToken := token("Atza|", accessTokenLength)
	return func(_ context.Context, _ *logical.Request, fields *framework.FieldData) (*logical.Response, error) {
		body, err := json.Marshal(map[string]any{
			"access_token": accessToken, "refresh_token": fields.Get("refresh_token"), "token_type": "bearer", "expires_in": 3599,
		})
		if err != nil {
			return nil, err
		}
		return &logical.Response{Data: map[string]any{
			logical.HTTPStatusCode:         http.StatusOK,
			logical.HTTPContentType:        "application/json",
			logical.HTTPRawBody:            string(body),
			logical.HTTPCacheControlHeader: "no-store",
			logical.HTTPPragmaHeader:       "no-cache",
		}}, nil
	}
}

func revoke(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return nil, nil
}
