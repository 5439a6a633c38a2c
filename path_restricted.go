// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/issuer"
)

const (
	restrictedHelpSynopsis    = `A restricted data token of an account, for what a role opens.`
	restrictedHelpDescription = `
The token takes the place of the access token in the header x-amz-access-token of
the calls that the role names. All readers of the same role and account share one,
as with "token/<account>"; leases, "min_ttl" and what happens while Amazon fails are
the same, too.

Where the role names path parameters, the reader gives each of them:
path_parameters=reportDocumentId=…. Every value is a token of its own. Amazon gives
one a second of an account, and 10 at once; beyond that a read waits as long as
"request_timeout" lets it, and then fails with status 429.
`
	restrictedPrefix = "restricted/"
)

func (b *backend) restrictedPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      restrictedPrefix + framework.GenericNameWithAtRegex("role") + "/" + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "read", OperationSuffix: "restricted-data-token"},
		Fields: map[string]*framework.FieldSchema{
			"role": roleField(), "account": accountField(), "min_ttl": minTTLField(),
			"path_parameters": {Type: framework.TypeKVPairs, Query: true, Description: "name=value for each of the role's path_parameters."},
		},
		HelpSynopsis:    restrictedHelpSynopsis,
		HelpDescription: strings.TrimSpace(restrictedHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:                  b.handle(b.pathRestrictedRead),
				Summary:                   "Read a restricted data token of an account.",
				ForwardPerformanceStandby: true, // as token/
				Responses:                 map[int][]framework.Response{http.StatusOK: {{Description: "A restricted data token.", Fields: restrictedResponseFields()}}},
			},
		},
	}}
}

func restrictedResponseFields() map[string]*framework.FieldSchema {
	fields := issuedFields("restricted_data_token")
	maps.Copy(fields, ownerFields())
	fields["role"] = roleField()
	return fields
}

func (b *backend) pathRestrictedRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	minTTL, err := readMinTTL(req, data)
	if err != nil {
		return nil, err
	}
	f := readFields(req, data)
	read := issuer.RestrictedRead{
		Role: data.Get("role").(string), Account: data.Get("account").(string), MinTTL: minTTL,
		PathParameters: f.pathParameters("path_parameters"),
	}
	if f.err != nil {
		return nil, f.err
	}
	issued, err := b.issuer.Restricted(ctx, read)
	if err != nil {
		return nil, err
	}
	return b.restrictedAnswer(read.Role, read.Account, issued), nil
}

func (b *backend) restrictedAnswer(role, account string, issued *issuer.Issued) *logical.Response {
	data := issuedData("restricted_data_token", issued)
	addOwner(data, account, issued.Account)
	data["role"] = role
	resp := b.answer(issued, data, secretTypeRestrictedDataToken, map[string]any{leasedAccount: account, leasedRequest: issued.Request})
	b.warnOfAuthorization(resp, account, issued.Account.AuthorizationExpiresAt)
	return resp
}
