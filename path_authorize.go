// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

const (
	authorizeURLHelpSynopsis    = `The link with which a selling partner authorizes the application.`
	authorizeURLHelpDescription = `
Open the answered "url" in the browser of the selling partner. Amazon sends the
browser back to the application's redirect URI, with three parameters to be
written to "authorize/callback": state, spapi_oauth_code and selling_partner_id.

Where an authorization begins in Amazon's Appstore, pass on what Amazon opened
the log-in page with: amazon_callback_uri, amazon_state and selling_partner_id.

An account that exists is authorized again only with reauthorize=true. Another
selling partner or region than the account's, or an account of which the selling
partner is not known, takes force=true, too.
`
	authorizeCallbackHelpSynopsis    = `Complete an authorization with what Amazon sent back.`
	authorizeCallbackHelpDescription = `
Exchanges the authorization code and stores the account with its refresh token,
which is not answered. Each state is good for one callback. It is given back where
Amazon did not look at the code: it could not be reached, failed, throttled, or
refused the application's own credentials. Otherwise it is spent.
`
	defaultStateTTL = 15 * time.Minute
	minStateTTL     = time.Second
	maxStateTTL     = time.Hour
	maxURI          = 2048
)

func (b *backend) authorizePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         "authorize/url$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "authorization"},
		Fields:          authorizeURLFields(),
		HelpSynopsis:    authorizeURLHelpSynopsis,
		HelpDescription: strings.TrimSpace(authorizeURLHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: b.answeringOperation(b.pathAuthorizeURL, "Begin the authorization of an account.", "begin", "Where to send the selling partner.", map[string]*framework.FieldSchema{
				"url":        {Type: framework.TypeString, Required: true, Description: "Link to open in the selling partner's browser."},
				"state":      {Type: framework.TypeString, Required: true, Description: "State in the link, which the callback has to bring back.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
				"expires_at": {Type: framework.TypeTime, Required: true, Description: "When the state expires."},
			}),
		},
	}, {
		Pattern:      "authorize/callback$",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "authorization"},
		Fields: map[string]*framework.FieldSchema{
			"state":              {Type: framework.TypeString, Required: true, Description: "state of the redirect.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"spapi_oauth_code":   {Type: framework.TypeString, Required: true, Description: "spapi_oauth_code of the redirect. It works once, within 5 minutes.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"selling_partner_id": {Type: framework.TypeString, Required: true, Description: "selling_partner_id of the redirect."},
		},
		HelpSynopsis:    authorizeCallbackHelpSynopsis,
		HelpDescription: strings.TrimSpace(authorizeCallbackHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: b.answeringOperation(b.pathAuthorizeCallback, "Complete the authorization of an account.", "complete", "The account.", authorizedFields()),
		},
	}}
}

func authorizeURLFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":             accountField(),
		"marketplace":         {Type: framework.TypeString, Description: "Where the selling partner signs in: country code, such as DE, or marketplace id. Required, except in the Appstore workflow."},
		"kind":                {Type: framework.TypeString, AllowedValues: []any{sellingpartner.Seller, sellingpartner.Vendor}, Description: "seller or vendor. Default: the account's, or seller."},
		"draft":               {Type: framework.TypeBool, Description: "The application was not published yet (adds version=beta)."},
		"redirect_uri":        {Type: framework.TypeString, Description: "Redirect URI, as registered with Amazon. Default: the config's, or the first registered."},
		"region":              {Type: framework.TypeString, AllowedValues: regionValues(), Description: "Region of the account. Default: the marketplace's."},
		"marketplace_ids":     {Type: framework.TypeCommaStringSlice, Description: "Marketplace ids, returned with every token."},
		"metadata":            {Type: framework.TypeKVPairs, Description: "key=value pairs, returned with every token."},
		"state_ttl":           {Type: framework.TypeSignedDurationSecond, Description: "How long the selling partner may take; 1s to 1h. Default: 15m."},
		"amazon_callback_uri": {Type: framework.TypeString, Description: "Appstore workflow: amazon_callback_uri, with which Amazon opened the log-in page."},
		"amazon_state":        {Type: framework.TypeString, Description: "Appstore workflow: amazon_state, with which Amazon opened the log-in page.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"selling_partner_id":  {Type: framework.TypeString, Description: "Who has to authorize the application; a callback with another one is refused. Default: the account's."},
		"reauthorize":         {Type: framework.TypeBool, Description: "Allow an account that exists; its refresh token is replaced."},
		"force":               {Type: framework.TypeBool, Description: "Allow another selling partner or region than the account's, or an account whose selling partner is not known."},
	}
}

// authorizedFields is the answer of whatever makes an account with Amazon's help.
func authorizedFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":                  {Type: framework.TypeString, Required: true, Description: "Name of the account."},
		"region":                   {Type: framework.TypeString, Required: true, Description: "Region of the account."},
		"selling_partner_id":       {Type: framework.TypeString, Required: true, Description: "Selling partner id of the account."},
		"authorized_at":            {Type: framework.TypeTime, Required: true, Description: "When the selling partner authorized the application."},
		"authorization_expires_at": {Type: framework.TypeTime, Required: true, Description: "When the authorization lapses."},
	}
}

func authorizedAnswer(account *issuer.AccountInfo) *logical.Response {
	return &logical.Response{Data: map[string]any{
		"account":                  account.Name,
		"region":                   account.Region,
		"selling_partner_id":       account.SellingPartnerID,
		"authorized_at":            rfc3339(account.AuthorizedAt),
		"authorization_expires_at": rfc3339(account.AuthorizationExpiresAt),
	}}
}

func (b *backend) pathAuthorizeURL(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	r := issuer.AuthorizationRequest{TTL: defaultStateTTL}
	var marketplace string
	f.text("account", maxNameLength, &r.Account, "", accountName)
	f.text("marketplace", 32, &marketplace, "", func(text string) error {
		found, err := sellingpartner.FindMarketplace(text)
		r.Marketplace = &found
		return err
	})
	f.partner(partnerFields{&r.Region, &r.SellingPartnerID, &r.Kind, &r.MarketplaceIDs, &r.Metadata})
	f.boolean("draft", &r.Draft, false)
	f.text("redirect_uri", maxURI, &r.RedirectURI, "", httpsURL)
	f.duration("state_ttl", &r.TTL, defaultStateTTL, minStateTTL, maxStateTTL)
	f.text("amazon_callback_uri", maxURI, &r.AmazonCallbackURI, "", nil)
	f.text("amazon_state", maxURI, &r.AmazonState, "", nil)
	f.boolean("reauthorize", &r.Reauthorize, false)
	f.boolean("force", &r.Force, false)
	f.must("account", r.Account)
	checkWorkflow(f, &r)
	if f.err != nil {
		return nil, f.err
	}
	begun, err := b.issuer.BeginAuthorization(ctx, r)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"url": begun.URL, "state": begun.State.Reveal(), "expires_at": rfc3339(begun.ExpiresAt),
	}}, nil
}

// checkWorkflow tells the workflows apart: each has fields that it cannot do
// without.
func checkWorkflow(f *fields, r *issuer.AuthorizationRequest) {
	switch {
	case r.AmazonCallbackURI == "" && r.AmazonState == "":
		if r.Marketplace == nil {
			f.fail("marketplace", "is required, as a country code or a marketplace id")
		}
	case r.AmazonCallbackURI == "":
		f.fail("amazon_callback_uri", "is required with amazon_state")
	case r.AmazonState == "":
		f.fail("amazon_state", "is required with amazon_callback_uri")
	case r.SellingPartnerID == "":
		f.fail("selling_partner_id", "is required with amazon_callback_uri")
	case r.Marketplace != nil:
		f.fail("marketplace", "has no meaning with amazon_callback_uri: the selling partner is at Amazon already; region says where the account is")
	}
	if r.Marketplace != nil && r.Region != "" && r.Region != string(r.Marketplace.Region) {
		f.fail("region", "must be %s, where marketplace %s is, or left out", r.Marketplace.Region, r.Marketplace.Country)
	}
}

func (b *backend) pathAuthorizeCallback(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	callback := issuer.Callback{State: f.requiredSecret("state"), Code: f.requiredSecret("spapi_oauth_code")}
	f.text("selling_partner_id", 64, &callback.SellingPartnerID, "", partnerID)
	f.must("selling_partner_id", callback.SellingPartnerID)
	if f.err != nil {
		return nil, f.err
	}
	account, err := b.issuer.CompleteAuthorization(ctx, callback)
	if err != nil {
		return nil, err
	}
	return authorizedAnswer(account), nil
}
