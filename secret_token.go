// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/credential"
)

const (
	secretTypeAccessToken         = "spapi_access_token"
	secretTypeRestrictedDataToken = "spapi_restricted_data_token"

	// The internal data of a lease says what its token is for, so that it is found
	// again; the token itself is in the data that Vault hands back.
	leasedAccount = "account"
	leasedScope   = "scope"
	leasedRequest = "request"
)

// accessTokenSecret is the lease of an access token, be it an account's or a
// grantless one. It cannot be renewed: a longer lease would not make the token live
// longer.
func (b *backend) accessTokenSecret() *framework.Secret {
	return &framework.Secret{
		Type:   secretTypeAccessToken,
		Fields: tokenResponseFields(),
		Revoke: b.revokeAccessToken,
	}
}

// revokeAccessToken retires the token of a lease. It calls nobody and cannot
// fail: a lease that cannot be revoked would block the mount for good.
func (b *backend) revokeAccessToken(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	accessToken := leasedToken(req, "access_token")
	if accessToken.IsZero() {
		return nil, nil
	}
	if scope, ok := req.Secret.InternalData[leasedScope].(string); ok {
		b.issuer.RetireGrantless(scope, accessToken)
	} else {
		account, _ := req.Secret.InternalData[leasedAccount].(string)
		b.issuer.Retire(account, accessToken)
	}
	return nil, nil
}

// restrictedTokenSecret is the lease of a restricted data token.
func (b *backend) restrictedTokenSecret() *framework.Secret {
	return &framework.Secret{
		Type:   secretTypeRestrictedDataToken,
		Fields: restrictedResponseFields(),
		Revoke: b.revokeRestrictedToken,
	}
}

// revokeRestrictedToken is revokeAccessToken for a restricted data token.
func (b *backend) revokeRestrictedToken(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if token := leasedToken(req, "restricted_data_token"); !token.IsZero() {
		account, _ := req.Secret.InternalData[leasedAccount].(string)
		request, _ := req.Secret.InternalData[leasedRequest].(string)
		b.issuer.RetireRestricted(account, request, token)
	}
	return nil, nil
}

// leasedToken is the token of the lease that is revoked; zero if there is none.
func leasedToken(req *logical.Request, name string) credential.Secret {
	if req.Secret == nil {
		return credential.Secret{}
	}
	token, _ := req.Data[name].(string)
	return credential.New(token)
}
