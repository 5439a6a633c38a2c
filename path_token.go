// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	tokenHelpSynopsis    = `An access token of an account, fresh from memory or from Amazon.`
	tokenHelpDescription = `
The access token goes into the header x-amz-access-token of calls to "endpoint".
It lives at least "token_min_ttl" (of the account, or else of the config), or
"min_ttl" where the read gives one. All readers of an account share a token; it
is renewed ahead of need while it is read.

With generate_lease (the default) the answer is a lease that ends with the token
and cannot be renewed: read again instead. Revoking the lease takes the token
out of use here; Amazon has no revocation, so that it stays valid there until it
expires. Without generate_lease the answer carries "ttl", after which a read
gives a newer token, and "rotation_period".

If Amazon cannot be reached, a token with at least 60 seconds left is given,
with a warning that says what failed.
`
	tokenPrefix = "token/"
	minMinTTL   = time.Second
	// staleTTL is how soon a reader should ask again who got a token that could
	// not be renewed.
	staleTTL = 30 * time.Second
)

func (b *backend) tokenPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      tokenPrefix + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "read", OperationSuffix: "access-token"},
		Fields: map[string]*framework.FieldSchema{
			"account": accountField(),
			"min_ttl": minTTLField(),
		},
		HelpSynopsis:    tokenHelpSynopsis,
		HelpDescription: strings.TrimSpace(tokenHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.handle(b.pathTokenRead),
				Summary:  "Read an access token of an account.",
				// One cache and one exchange for all nodes of a cluster; and a
				// lease can be written by the active node only.
				ForwardPerformanceStandby: true,
				Responses:                 map[int][]framework.Response{http.StatusOK: {{Description: "An access token.", Fields: tokenResponseFields()}}},
			},
		},
	}}
}

func minTTLField() *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeSignedDurationSecond, Query: true, Description: "How long the token must still live; 1s to 55m. Default: the account's or the config's token_min_ttl."}
}

func tokenResponseFields() map[string]*framework.FieldSchema {
	fields := issuedFields("access_token")
	maps.Copy(fields, ownerFields())
	return fields
}

// issuedFields are those of every token that is answered, whatever it is for; name
// is that of the token itself.
func issuedFields(name string) map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		name:              {Type: framework.TypeString, Required: true, Description: "The token, for the header x-amz-access-token.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"token_type":      {Type: framework.TypeString, Required: true, Description: "bearer."},
		"expires_at":      {Type: framework.TypeTime, Required: true, Description: "When the token expires."},
		"expires_in":      {Type: framework.TypeInt64, Required: true, Description: "Whole seconds until it expires."},
		"region":          {Type: framework.TypeString, Required: true, Description: "Region that the token is for."},
		"endpoint":        {Type: framework.TypeString, Required: true, Description: "SP-API base URL to call."},
		"ttl":             {Type: framework.TypeInt64, Description: "Without a lease: seconds after which a read gives a newer token."},
		"rotation_period": {Type: framework.TypeInt64, Description: "Without a lease: seconds from one token to the next."},
	}
}

// ownerFields describe the account that a token is of.
func ownerFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":            {Type: framework.TypeString, Required: true, Description: "Name of the account."},
		"selling_partner_id": {Type: framework.TypeString, Required: true, Description: "Selling partner id of the account."},
		"marketplace_ids":    {Type: framework.TypeCommaStringSlice, Required: true, Description: "Marketplace ids of the account."},
		"kind":               {Type: framework.TypeString, Required: true, Description: "seller, vendor or empty."},
		"metadata":           {Type: framework.TypeKVPairs, Required: true, Description: "key=value pairs of the account."},
	}
}

func (b *backend) pathTokenRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	minTTL, err := readMinTTL(req, data)
	if err != nil {
		return nil, err
	}
	name := data.Get("account").(string)
	issued, err := b.issuer.Token(ctx, name, minTTL)
	if err != nil {
		return nil, err
	}
	return b.tokenAnswer(name, issued), nil
}

// readMinTTL is 0 where the read does not say.
func readMinTTL(req *logical.Request, data *framework.FieldData) (minTTL time.Duration, err error) {
	f := readFields(req, data)
	f.duration("min_ttl", &minTTL, 0, minMinTTL, maxTokenMinTTL)
	return minTTL, f.err
}

// cachedRead answers a bare read of a token that is in memory, ahead of the
// framework, which would ask Vault for its replication state at each read: a
// call over gRPC that costs more than all the rest. It is nil for whatever is not
// so simple; the handler of the path answers that.
func (b *backend) cachedRead(req *logical.Request) *logical.Response {
	if req.Operation != logical.ReadOperation || len(req.Data) > 0 || !b.answersReads.Load() {
		return nil
	}
	prefix, name, _ := strings.Cut(req.Path, "/")
	switch prefix + "/" {
	case tokenPrefix:
		if issued := b.issuer.Cached(name, 0); issued != nil {
			return b.tokenAnswer(name, issued)
		}
	case grantlessPrefix:
		scope, err := grantlessScope(name)
		if issued := b.issuer.CachedGrantless(scope, 0); issued != nil && err == nil {
			return b.grantlessAnswer(scope, issued)
		}
	case restrictedPrefix:
		role, account, _ := strings.Cut(name, "/")
		if issued := b.issuer.CachedRestricted(role, account); issued != nil {
			return b.restrictedAnswer(role, account, issued)
		}
	}
	return nil
}

// tokenAnswer is what every read of an access token that succeeds is answered.
func (b *backend) tokenAnswer(name string, issued *issuer.Issued) *logical.Response {
	data := issuedData("access_token", issued)
	addOwner(data, name, issued.Account)
	resp := b.answer(issued, data, secretTypeAccessToken, map[string]any{leasedAccount: name})
	b.warnOfAuthorization(resp, name, issued.Account.AuthorizationExpiresAt)
	return resp
}

// issuedData is what every token is answered with, whatever it is for.
func issuedData(name string, issued *issuer.Issued) map[string]any {
	return map[string]any{
		name:         issued.AccessToken.Reveal(),
		"token_type": "bearer",
		"expires_at": rfc3339(issued.ExpiresAt),
		"expires_in": seconds(issued.Left),
		"region":     issued.Region,
		"endpoint":   issued.Endpoint,
	}
}

// addOwner adds the account that a token is of.
func addOwner(data map[string]any, name string, account *store.Profile) {
	data["account"] = name
	data["selling_partner_id"] = account.SellingPartnerID
	data["marketplace_ids"] = orEmpty(account.MarketplaceIDs)
	data["kind"] = account.Kind
	data["metadata"] = account.Metadata.Map()
}

// answer makes data a lease with what its revocation needs, or not, as the mount
// or account has it.
func (b *backend) answer(issued *issuer.Issued, data map[string]any, secretType string, internal map[string]any) *logical.Response {
	resp := &logical.Response{Data: data}
	if issued.GenerateLease {
		resp = b.Secret(secretType).Response(data, internal)
		// Core rounds to the nearest second, so that whole ones are given to it.
		resp.Secret.TTL = time.Duration(seconds(issued.Left)) * time.Second
	} else {
		data["ttl"] = rereadAfter(issued)
		data["rotation_period"] = max(seconds(issued.Lifetime-issued.MinTTL), 1)
	}
	if issued.Failure != nil {
		resp.AddWarning(renewalWarning(issued))
	}
	return resp
}

// rereadAfter is when a read gives a newer token, in seconds. Vault Agent sleeps
// that long and a second more, so that the token must then be under its minimum.
func rereadAfter(issued *issuer.Issued) int64 {
	after := issued.Left - issued.MinTTL
	if issued.Stale {
		after = min(staleTTL, issued.Left/2)
	}
	return max(seconds(after), 1)
}

func renewalWarning(issued *issuer.Issued) string {
	if issued.Stale {
		return fmt.Sprintf("the token lives for %d more seconds only, because it could not be renewed: %s", seconds(issued.Left), issued.Failure)
	}
	return fmt.Sprintf("the token could not be renewed ahead of need: %s", issued.Failure)
}
