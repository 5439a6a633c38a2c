// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"net/http"
	"runtime"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

const (
	infoHelpSynopsis    = `What runs here: version, allowed endpoints, number of accounts.`
	infoHelpDescription = `
"endpoints" lists where credentials and access tokens may be sent: Amazon's
hosts, and those that the registration of the plugin allowed with the environment
variable SPAPI_ALLOWED_ENDPOINTS, which are also listed as "allowed_endpoints".
`
)

func (b *backend) infoPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         "info",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "read", OperationSuffix: "info"},
		HelpSynopsis:    infoHelpSynopsis,
		HelpDescription: strings.TrimSpace(infoHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.handle(b.pathInfoRead),
				Summary:  "Read what runs here.",
				Responses: map[int][]framework.Response{http.StatusOK: {{Description: "What runs here.", Fields: map[string]*framework.FieldSchema{
					"version":           {Type: framework.TypeString, Required: true, Description: "Version of the plugin."},
					"commit":            {Type: framework.TypeString, Required: true, Description: "Commit it was built from, if known."},
					"go":                {Type: framework.TypeString, Required: true, Description: "Go version it was built with."},
					"endpoints":         {Type: framework.TypeCommaStringSlice, Required: true, Description: "Where credentials and tokens may be sent."},
					"allowed_endpoints": {Type: framework.TypeCommaStringSlice, Required: true, Description: "Those of them that are not Amazon's."},
					"accounts":          {Type: framework.TypeInt, Required: true, Description: "Number of accounts."},
				}}}},
			},
		},
	}}
}

func (b *backend) pathInfoRead(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.store.AccountNames(ctx)
	if err != nil {
		return nil, err
	}
	allowed := b.policy.Allowed()
	endpoints := append([]string{endpoint.LWA}, sellingpartner.Endpoints()...)
	return &logical.Response{Data: map[string]any{
		"version":           b.opts.Version,
		"commit":            b.opts.Commit,
		"go":                runtime.Version(),
		"endpoints":         append(endpoints, allowed...),
		"allowed_endpoints": orEmpty(allowed),
		"accounts":          len(names),
	}}, nil
}
