// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/lwa"
)

const (
	grantlessHelpSynopsis    = `An access token of the application itself, for operations without a selling partner.`
	grantlessHelpDescription = `
The scope is "notifications" (destinations and subscriptions of the Notifications
API), "client-credential-rotation", or "migration", which Amazon may refuse since
it removed what that was for. All readers of a scope share a token; leases,
"min_ttl" and what happens while Amazon fails are as with "token/<account>".

The application needs no account for it, but the role in Seller Central that goes
with the operation.
`
	grantlessPrefix = "grantless/"
)

// grantlessScope is LWA's name of the scope that a path names.
func grantlessScope(name string) (string, error) {
	switch name {
	case "notifications":
		return lwa.ScopeNotifications, nil
	case "client-credential-rotation":
		return lwa.ScopeRotation, nil
	case "migration":
		return lwa.ScopeMigration, nil
	}
	return "", fault.BadField("scope", "must be notifications, client-credential-rotation or migration")
}

func scopeField() *framework.FieldSchema {
	return &framework.FieldSchema{
		Type: framework.TypeString, Required: true, Description: "notifications, client-credential-rotation or migration.",
		AllowedValues: []any{"notifications", "client-credential-rotation", "migration"},
	}
}

func (b *backend) grantlessPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         grantlessPrefix + framework.GenericNameWithAtRegex("scope"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "read", OperationSuffix: "grantless-token"},
		Fields:          map[string]*framework.FieldSchema{"scope": scopeField(), "min_ttl": minTTLField()},
		HelpSynopsis:    grantlessHelpSynopsis,
		HelpDescription: strings.TrimSpace(grantlessHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:                  b.handle(b.pathGrantlessRead),
				Summary:                   "Read a grantless access token.",
				ForwardPerformanceStandby: true, // as token/
				Responses:                 map[int][]framework.Response{http.StatusOK: {{Description: "A grantless access token.", Fields: grantlessResponseFields()}}},
			},
		},
	}}
}

func grantlessResponseFields() map[string]*framework.FieldSchema {
	fields := issuedFields("access_token")
	fields["scope"] = &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "The scope, as Login with Amazon calls it."}
	return fields
}

func (b *backend) pathGrantlessRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	minTTL, err := readMinTTL(req, data)
	if err != nil {
		return nil, err
	}
	scope, err := grantlessScope(data.Get("scope").(string))
	if err != nil {
		return nil, err
	}
	issued, err := b.issuer.Grantless(ctx, scope, minTTL)
	if err != nil {
		return nil, err
	}
	return b.grantlessAnswer(scope, issued), nil
}

func (b *backend) grantlessAnswer(scope string, issued *issuer.Issued) *logical.Response {
	data := issuedData("access_token", issued)
	data["scope"] = scope
	return b.answer(issued, data, secretTypeAccessToken, map[string]any{leasedScope: scope})
}
