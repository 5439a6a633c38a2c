// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/issuer"
)

const (
	migrateHelpSynopsis    = `Make an account of an authorization for Amazon MWS.`
	migrateHelpDescription = `
Exchanges the MWS authorization of a selling partner for a refresh token, and
stores the account. The MWS auth token is not stored.

Amazon removed the operation behind it (getAuthorizationCode) on 2024-03-27. As
long as that is so the answer is an error that says it; use "authorize/url".
`
	migratePrefix = "migrate/"
)

func (b *backend) migratePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      migratePrefix + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "account"},
		Fields: map[string]*framework.FieldSchema{
			"account":            accountField(),
			"selling_partner_id": {Type: framework.TypeString, Required: true, Description: "Selling partner id (seller id in MWS)."},
			"developer_id":       {Type: framework.TypeString, Required: true, Description: "Developer id that the selling partner authorized."},
			"mws_auth_token":     {Type: framework.TypeString, Required: true, Description: "MWS auth token of that authorization. Not stored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"region":             {Type: framework.TypeString, AllowedValues: regionValues(), Description: "Region of the authorization: na, eu or fe. Default: the account's, or the config's."},
		},
		HelpSynopsis:    migrateHelpSynopsis,
		HelpDescription: strings.TrimSpace(migrateHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: b.answeringOperation(b.pathMigrate, "Make an account of an MWS authorization.", "migrate", "The account.", authorizedFields()),
		},
	}}
}

func (b *backend) pathMigrate(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	m := issuer.Migration{Account: data.Get("account").(string)}
	f.text("selling_partner_id", 64, &m.MWS.SellingPartnerID, "", partnerID)
	f.text("developer_id", 64, &m.MWS.DeveloperID, "", oneWord)
	m.MWS.AuthToken = f.requiredSecret("mws_auth_token")
	f.text("region", 16, &m.Region, "", knownRegion)
	f.must("selling_partner_id", m.MWS.SellingPartnerID)
	f.must("developer_id", m.MWS.DeveloperID)
	if f.err != nil {
		return nil, f.err
	}
	account, err := b.issuer.Migrate(ctx, m)
	if err != nil {
		return nil, err
	}
	return authorizedAnswer(account), nil
}
