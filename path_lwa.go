// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
)

const (
	lwaHelpSynopsis    = `An access token of an account, in the shape of Login with Amazon's token endpoint.`
	lwaHelpDescription = `
For SDKs that take the URL of the token endpoint: through Vault Proxy they get a
token here without a refresh token or a client secret. The request is a POST with
grant_type=refresh_token, as form or JSON. The path says which account; what is
submitted as credentials is ignored, and never stored or logged. A refresh token
comes back exactly as submitted, since some SDKs insist on one.

The token lives at least 55 minutes, since some SDKs keep it for an hour whatever
"expires_in" says; less only if Amazon fails or gives less. The answer is no lease:
Vault cannot lease an answer of another shape. Errors have Login with Amazon's
shape, too.
`
	lwaGrantlessHelpSynopsis    = `A grantless access token, in the shape of Login with Amazon's token endpoint.`
	lwaGrantlessHelpDescription = `
As "lwa/token/<account>", with grant_type=client_credentials and without an
account. The path says which scope; a "scope" in the request must include it.
`
	lwaPrefix          = "lwa/"
	lwaTokenPrefix     = lwaPrefix + "token/"
	lwaGrantlessPrefix = lwaPrefix + "grantless/"

	// lwaMinTTL is how long a token that is given here still lives: some SDKs keep
	// one for a fixed time, others until it expired.
	lwaMinTTL = 55 * time.Minute
	// maxLWABody bounds all that a request submits, in bytes.
	maxLWABody = 64 << 10
)

func (b *backend) lwaPaths() []*framework.Path {
	submitted := func(grantType string) map[string]*framework.FieldSchema {
		return map[string]*framework.FieldSchema{
			"grant_type":    {Type: framework.TypeString, Required: true, AllowedValues: []any{grantType}, Description: "Must be " + grantType + "."},
			"client_id":     {Type: framework.TypeString, Description: "Ignored, as is everything else that is submitted."},
			"client_secret": {Type: framework.TypeString, Description: "Ignored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		}
	}
	token, grantless := submitted(grantRefreshToken), submitted(grantClientCredentials)
	token["account"], grantless["scope"] = accountField(), scopeField()
	token["refresh_token"] = &framework.FieldSchema{Type: framework.TypeString, Description: "Ignored, and answered as submitted.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}}
	return []*framework.Path{{
		Pattern:         lwaTokenPrefix + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "exchange", OperationSuffix: "token"},
		Fields:          token,
		HelpSynopsis:    lwaHelpSynopsis,
		HelpDescription: strings.TrimSpace(lwaHelpDescription),
		Operations:      map[logical.Operation]framework.OperationHandler{logical.UpdateOperation: b.lwaOperation(b.pathLWAToken, "Exchange for an access token of an account.", "refresh_token", token["refresh_token"])},
	}, {
		Pattern:         lwaGrantlessPrefix + framework.GenericNameWithAtRegex("scope"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "exchange", OperationSuffix: "grantless"},
		Fields:          grantless,
		HelpSynopsis:    lwaGrantlessHelpSynopsis,
		HelpDescription: strings.TrimSpace(lwaGrantlessHelpDescription),
		Operations:      map[logical.Operation]framework.OperationHandler{logical.UpdateOperation: b.lwaOperation(b.pathLWAGrantless, "Exchange for a grantless access token.", "scope", grantlessResponseFields()["scope"])},
	}}
}

func (b *backend) lwaOperation(serve handler, summary, also string, field *framework.FieldSchema) *framework.PathOperation {
	success := map[string]*framework.FieldSchema{
		"access_token": {Type: framework.TypeString, Required: true, Description: "Access token.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"token_type":   {Type: framework.TypeString, Required: true, Description: "bearer."},
		"expires_in":   {Type: framework.TypeInt64, Required: true, Description: "Whole seconds until it expires."},
	}
	optional := *field
	optional.Required = false
	success[also] = &optional
	// Without fields: in Vault's OpenAPI all answers of an operation share a schema.
	failure := []framework.Response{{Description: "A failure, with error and error_description.", MediaType: "application/json"}}
	return &framework.PathOperation{
		Callback:                  framework.OperationFunc(serve), // handleLWA turns its errors into answers
		Summary:                   summary,
		ForwardPerformanceStandby: true, // as token/
		Responses: map[int][]framework.Response{
			http.StatusOK:           {{Description: "The answer of Login with Amazon's token endpoint, as it stands.", MediaType: "application/json", Fields: success}},
			http.StatusBadRequest:   failure,
			http.StatusUnauthorized: failure,
		},
	}
}

// handleLWA answers whatever is asked below lwa/ in the shape of Login with Amazon,
// failures too, and paths that are none: those who ask expect nothing else.
func (b *backend) handleLWA(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if resp := b.cachedLWA(req); resp != nil {
		return resp, nil
	}
	switch {
	case !isBelow(req.Path, lwaTokenPrefix) && !isBelow(req.Path, lwaGrantlessPrefix):
		return b.lwaFailure(req, fault.New(fault.InvalidInput, "the URL must end with lwa/token/<account> or lwa/grantless/<scope>")), nil
	case req.Operation != logical.UpdateOperation:
		return b.lwaFailure(req, fault.New(fault.InvalidInput, "the token endpoint takes a POST")), nil
	}
	if err := tooLarge(req.Data); err != nil {
		return b.lwaFailure(req, err), nil
	}
	asked := *req
	asked.Data = knownToLWA(req.Data)
	resp, err := b.Backend.HandleRequest(ctx, &asked)
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, logical.ErrReadOnly):
		return nil, logical.ErrReadOnly // Vault forwards the request
	case errors.Is(err, logical.ErrUnsupportedPath):
		err = badNameIn(req.Path)
	}
	return b.lwaFailure(req, err), nil
}

func isBelow(path, prefix string) bool {
	return len(path) > len(prefix) && strings.HasPrefix(path, prefix)
}

func badNameIn(path string) error {
	if isBelow(path, lwaTokenPrefix) {
		return fault.BadField("account", "%s", errBadName)
	}
	_, err := grantlessScope("")
	return err
}

// knownToLWA leaves of what was submitted what matters here; the framework would
// complain about the rest.
func knownToLWA(submitted map[string]any) map[string]any {
	known := map[string]any{}
	for _, name := range []string{"grant_type", "refresh_token", "scope"} {
		if text, ok := submitted[name].(string); ok && text != "" {
			known[name] = text
		}
	}
	return known
}

// tooLarge bounds what is submitted, which is about what was sent.
func tooLarge(submitted map[string]any) error {
	if sizeOf(submitted) > maxLWABody {
		return fault.New(fault.InvalidInput, "the request is larger than %d bytes", maxLWABody)
	}
	return nil
}

func sizeOf(value any) int {
	const other = 2 // at least: an empty list, say
	size := other
	switch value := value.(type) {
	case string:
		return len(value)
	case json.Number:
		return len(value)
	case map[string]any:
		for name, member := range value {
			size += len(name) + sizeOf(member)
		}
	case []any:
		for _, element := range value {
			size += sizeOf(element)
		}
	}
	return size
}

// cachedLWA is cachedRead for an exchange.
func (b *backend) cachedLWA(req *logical.Request) *logical.Response {
	if req.Operation != logical.UpdateOperation || !b.answersReads.Load() || tooLarge(req.Data) != nil {
		return nil
	}
	grantType, _ := req.Data["grant_type"].(string)
	if account, ok := strings.CutPrefix(req.Path, lwaTokenPrefix); ok && grantType == grantRefreshToken {
		if issued := b.issuer.Cached(account, lwaMinTTL); issued != nil {
			submitted, _ := req.Data["refresh_token"].(string)
			return lwaToken(issued, submitted)
		}
	}
	if name, ok := strings.CutPrefix(req.Path, lwaGrantlessPrefix); ok && grantType == grantClientCredentials {
		scope, err := grantlessScope(name)
		submitted, _ := req.Data["scope"].(string)
		if err != nil || checkScope(submitted, scope) != nil {
			return nil
		}
		if issued := b.issuer.CachedGrantless(scope, lwaMinTTL); issued != nil {
			return lwaGrantless(issued, scope)
		}
	}
	return nil
}

func (b *backend) pathLWAToken(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	account := data.Get("account").(string)
	if err := checkName("account", account); err != nil {
		return nil, err
	}
	if err := checkGrant(req, grantRefreshToken); err != nil {
		return nil, err
	}
	issued, err := b.issuer.Token(ctx, account, lwaMinTTL)
	if err != nil {
		return nil, err
	}
	submitted, _ := req.Data["refresh_token"].(string)
	return lwaToken(issued, submitted), nil
}

func (b *backend) pathLWAGrantless(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	// Not from data: there the scope of the path and that of the body are one field.
	scope, err := grantlessScope(strings.TrimPrefix(req.Path, lwaGrantlessPrefix))
	if err != nil {
		return nil, err
	}
	if err := checkGrant(req, grantClientCredentials); err != nil {
		return nil, err
	}
	submitted, _ := req.Data["scope"].(string)
	if err := checkScope(submitted, scope); err != nil {
		return nil, err
	}
	issued, err := b.issuer.Grantless(ctx, scope, lwaMinTTL)
	if err != nil {
		return nil, err
	}
	return lwaGrantless(issued, scope), nil
}

// checkScope refuses a request for other scopes than the one of the path. One that
// asks for more of them is told what it got (RFC 6749, section 3.3).
func checkScope(submitted, scope string) error {
	if asked := strings.Fields(submitted); len(asked) > 0 && !slices.Contains(asked, scope) {
		return fault.BadField("scope", "does not include %s, which is all that this path serves", scope)
	}
	return nil
}

func lwaToken(issued *issuer.Issued, submitted string) *logical.Response {
	return lwaAnswer(http.StatusOK, lwaSuccess{
		AccessToken: issued.AccessToken.Reveal(), RefreshToken: submitted, TokenType: "bearer", ExpiresIn: seconds(issued.Left),
	})
}

func lwaGrantless(issued *issuer.Issued, scope string) *logical.Response {
	return lwaAnswer(http.StatusOK, lwaSuccess{
		AccessToken: issued.AccessToken.Reveal(), Scope: scope, TokenType: "bearer", ExpiresIn: seconds(issued.Left),
	})
}
