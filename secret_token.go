// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/credential"
)

const secretTypeAccessToken = "spapi_access_token"

// accessTokenSecret is the lease of an access token. It cannot be renewed: a
// longer lease would not make the token live longer.
func (b *backend) accessTokenSecret() *framework.Secret {
	return &framework.Secret{
		Type:   secretTypeAccessToken,
		Fields: tokenResponseFields(),
		Revoke: b.revokeAccessToken,
	}
}

// leasedToken is a lease of left seconds. Core rounds to the nearest second, so
// that whole ones are given to it.
func (b *backend) leasedToken(account string, data map[string]any, left int64) *logical.Response {
	resp := b.Secret(secretTypeAccessToken).Response(data, map[string]any{"account": account})
	resp.Secret.TTL = time.Duration(left) * time.Second
	return resp
}

// revokeAccessToken retires the token of a lease. It calls nobody and cannot
// fail: a lease that cannot be revoked would block the mount for good.
func (b *backend) revokeAccessToken(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if req.Secret == nil {
		return nil, nil
	}
	account, _ := req.Secret.InternalData["account"].(string)
	accessToken, _ := req.Data["access_token"].(string)
	if accessToken != "" {
		b.issuer.Retire(account, credential.New(accessToken))
	}
	return nil, nil
}
