// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	minTokenMinTTL = time.Minute
	maxTokenMinTTL = 55 * time.Minute
	// warnBefore is how long before an expiry reads begin to warn.
	warnBefore = 30 * 24 * time.Hour
)

const (
	configHelpSynopsis    = `The SP-API application of this mount: its Login with Amazon credentials, and defaults of its accounts.`
	configHelpDescription = `
One mount is one application. "client_id" and "client_secret" are the Login with
Amazon (LWA) credentials of its registration in Seller Central or the Solution
Provider Portal. The client secret is never returned; reads show when it was set
and when it expires (Amazon: 180 days after it was made).

A write keeps the fields that it leaves out. A new client secret is proven with
a grantless exchange before it is stored; one that Amazon refuses is not stored.
The secret before it is kept as long as Amazon accepts it (7 days), and used
where the new one is refused.

Deleting the config keeps the accounts, but no token is given until it is
written again.
`
)

func (b *backend) configPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         "config",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "configuration"},
		Fields:          configFields(),
		ExistenceCheck:  b.configExists,
		HelpSynopsis:    configHelpSynopsis,
		HelpDescription: strings.TrimSpace(configHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.handle(b.pathConfigRead),
				Summary:      "Read the application, without its secrets.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read"},
				Responses:    map[int][]framework.Response{http.StatusOK: {{Description: "The application.", Fields: configResponseFields()}}},
			},
			logical.CreateOperation: b.writeOperation(b.pathConfigWrite, "Write the application."),
			logical.UpdateOperation: b.writeOperation(b.pathConfigWrite, "Change the application; fields left out stay as they are."),
			logical.PatchOperation:  b.patchOperation(b.pathConfigWrite, "Change the application; null sets a field to its default."),
			logical.DeleteOperation: b.deleteOperation(b.pathConfigDelete, "Delete the application. The accounts stay."),
		},
	}}
}

func configFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"client_id":                {Type: framework.TypeString, Required: true, Description: "LWA client id of the application, amzn1.application-oa2-client.…"},
		"client_secret":            {Type: framework.TypeString, Description: "LWA client secret. Required to create the config; never returned.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"client_secret_expires_at": {Type: framework.TypeTime, Description: "When Amazon lets the client secret expire. Default: 180 days after it is written."},
		"application_id":           {Type: framework.TypeString, Description: "Application id, amzn1.sp.solution.…; needed for consent links."},
		"redirect_uri":             {Type: framework.TypeString, Description: "OAuth redirect URI of the application, https."},
		"region":                   {Type: framework.TypeString, Default: store.DefaultRegion, AllowedValues: regionValues(), Description: "Default region of accounts: na, eu or fe."},
		"sandbox":                  {Type: framework.TypeBool, Description: "Answer with the SP-API's sandbox endpoints."},
		"token_min_ttl":            {Type: framework.TypeSignedDurationSecond, Default: int(store.DefaultTokenMinTTL / time.Second), Description: "A token is handed out only if it lives at least this long; 1m to 55m."},
		"generate_lease":           {Type: framework.TypeBool, Default: store.DefaultGenerateLease, Description: "Lease the tokens. Without, answers carry ttl and rotation_period."},
		"request_timeout":          {Type: framework.TypeSignedDurationSecond, Default: int(store.DefaultRequestTimeout / time.Second), Description: "Limit of one exchange with its retries, from the moment it has a slot; 1s to 60s."},
		"max_concurrent_exchanges": {Type: framework.TypeInt, Default: store.DefaultMaxConcurrentExchanges, Description: "Calls to Amazon in flight, all accounts together; 1 to 1024."},
		"lwa_endpoint":             {Type: framework.TypeString, Default: endpoint.LWA, Description: "LWA token endpoint. Another than Amazon's must be allowed where the plugin is registered."},
		"sp_api_endpoint":          {Type: framework.TypeString, Description: "SP-API base URL of all accounts. Default: Amazon's, from region and sandbox."},
		"verify":                   {Type: framework.TypeBool, Default: true, Description: "Prove a new client_secret before it is stored. Not stored itself."},
		"force":                    {Type: framework.TypeBool, Description: "Change client_id although accounts exist, whose refresh tokens belong to the old one. Not stored itself."},
	}
}

func configResponseFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"client_id":                         {Type: framework.TypeString, Required: true, Description: "LWA client id."},
		"client_secret_set":                 {Type: framework.TypeBool, Required: true, Description: "Whether a client secret is stored."},
		"client_secret_set_at":              {Type: framework.TypeTime, Required: true, Description: "When the client secret was written."},
		"client_secret_expires_at":          {Type: framework.TypeTime, Required: true, Description: "When the client secret expires."},
		"previous_client_secret_expires_at": {Type: framework.TypeTime, Description: "Until when the client secret before this one is kept, while one is."},
		"application_id":                    {Type: framework.TypeString, Required: true, Description: "Application id."},
		"redirect_uri":                      {Type: framework.TypeString, Required: true, Description: "OAuth redirect URI."},
		"region":                            {Type: framework.TypeString, Required: true, Description: "Default region of accounts."},
		"sandbox":                           {Type: framework.TypeBool, Required: true, Description: "Whether the SP-API's sandbox endpoints are answered."},
		"token_min_ttl":                     {Type: framework.TypeDurationSecond, Required: true, Description: "Least time that a token handed out still lives, in seconds."},
		"generate_lease":                    {Type: framework.TypeBool, Required: true, Description: "Whether tokens are leased."},
		"request_timeout":                   {Type: framework.TypeDurationSecond, Required: true, Description: "Limit of one exchange, in seconds."},
		"max_concurrent_exchanges":          {Type: framework.TypeInt, Required: true, Description: "Calls to Amazon in flight."},
		"lwa_endpoint":                      {Type: framework.TypeString, Required: true, Description: "LWA token endpoint."},
		"sp_api_endpoint":                   {Type: framework.TypeString, Required: true, Description: "SP-API base URL of accounts in the default region."},
	}
}

func (b *backend) configExists(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (bool, error) {
	config, err := b.store.Config(ctx)
	return config != nil, err
}

func (b *backend) pathConfigRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	config, err := b.store.Config(ctx)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, fault.New(fault.NotFound, "the mount has no config yet; write it with: vault write %sconfig client_id=… client_secret=@file", mountOf(req))
	}
	data := map[string]any{
		"client_id":                config.ClientID,
		"client_secret_set":        !config.Secret.Value.IsZero(),
		"client_secret_set_at":     rfc3339(config.Secret.SetAt),
		"client_secret_expires_at": rfc3339(config.Secret.ExpiresAt),
		"application_id":           config.ApplicationID,
		"redirect_uri":             config.RedirectURI,
		"region":                   config.Region,
		"sandbox":                  config.Sandbox,
		"token_min_ttl":            seconds(config.TokenMinTTL),
		"generate_lease":           config.GenerateLease,
		"request_timeout":          seconds(config.RequestTimeout),
		"max_concurrent_exchanges": config.MaxConcurrentExchanges,
		"lwa_endpoint":             config.LWAEndpoint,
		"sp_api_endpoint":          config.SPAPIEndpoint,
	}
	if config.SPAPIEndpoint == "" {
		data["sp_api_endpoint"] = sellingpartner.Region(config.Region).Endpoint(config.Sandbox)
	}
	if now := b.opts.Now(); !config.UsablePrevious(now).IsZero() {
		data["previous_client_secret_expires_at"] = rfc3339(config.PreviousUntil)
	}
	resp := &logical.Response{Data: data}
	if warning := b.expiryWarning(config.Secret.ExpiresAt); warning != "" {
		resp.AddWarning("the client secret " + warning + "; Amazon stops accepting it then: make a new one in Seller Central and write it here")
	}
	return resp, nil
}

func (b *backend) pathConfigWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	change := issuer.ConfigChange{
		MustExist:    req.Operation == logical.PatchOperation,
		ClientSecret: f.secret("client_secret"),
		Verify:       true,
		Apply: func(config *store.Config) error {
			again := readFields(req, data)
			b.applyConfig(again, config)
			return again.err
		},
	}
	f.boolean("verify", &change.Verify, true)
	f.boolean("force", &change.Force, false)
	if f.err != nil {
		return nil, f.err
	}
	config, unproven, err := b.issuer.WriteConfig(ctx, change)
	if err != nil {
		return nil, err
	}
	var resp logical.Response
	if unproven != nil {
		resp.AddWarning(fmt.Sprintf("the client secret was stored, but could not be proven: %s", unproven))
	}
	if strings.HasPrefix(config.ClientID, "amzn1.sp.solution.") || strings.HasPrefix(config.ClientID, "amzn1.sellerapps.") {
		resp.AddWarning("client_id looks like an application id; Amazon expects amzn1.application-oa2-client.…")
	}
	return warningsOnly(&resp), nil
}

// applyConfig sets the fields that the request names.
func (b *backend) applyConfig(f *fields, config *store.Config) {
	f.text("client_id", 256, &config.ClientID, "", oneWord)
	f.timestamp("client_secret_expires_at", &config.Secret.ExpiresAt, config.Secret.SetAt.Add(issuer.SecretLifetime))
	f.text("application_id", 256, &config.ApplicationID, "", oneWord)
	f.text("redirect_uri", 2048, &config.RedirectURI, "", httpsURL)
	f.text("region", 16, &config.Region, store.DefaultRegion, knownRegion)
	f.boolean("sandbox", &config.Sandbox, false)
	f.duration("token_min_ttl", &config.TokenMinTTL, store.DefaultTokenMinTTL, minTokenMinTTL, maxTokenMinTTL)
	f.boolean("generate_lease", &config.GenerateLease, store.DefaultGenerateLease)
	f.duration("request_timeout", &config.RequestTimeout, store.DefaultRequestTimeout, time.Second, time.Minute)
	f.integer("max_concurrent_exchanges", &config.MaxConcurrentExchanges, store.DefaultMaxConcurrentExchanges, 1, 1024)
	f.text("lwa_endpoint", 2048, &config.LWAEndpoint, endpoint.LWA, b.policy.CheckLWA)
	f.text("sp_api_endpoint", 2048, &config.SPAPIEndpoint, "", b.policy.CheckSellingPartner)
	config.SPAPIEndpoint = strings.TrimSuffix(config.SPAPIEndpoint, "/")
}

func (b *backend) pathConfigDelete(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return nil, b.issuer.DeleteConfig(ctx)
}

// expiryWarning says when what expires, from 30 days before.
func (b *backend) expiryWarning(expiresAt time.Time) string {
	left := expiresAt.Sub(b.opts.Now())
	switch {
	case expiresAt.IsZero() || left > warnBefore:
		return ""
	case left <= 0:
		return fmt.Sprintf("expired at %s", rfc3339(expiresAt))
	}
	return fmt.Sprintf("expires at %s, in %d days", rfc3339(expiresAt), int(left/(24*time.Hour)))
}

// warningsOnly is the answer of a write: nothing, or warnings.
func warningsOnly(resp *logical.Response) *logical.Response {
	if len(resp.Warnings) == 0 {
		return nil
	}
	return resp
}

func regionValues() []any {
	var values []any
	for _, region := range sellingpartner.Regions() {
		values = append(values, string(region))
	}
	return values
}

func knownRegion(name string) error {
	if !sellingpartner.Region(name).Valid() {
		return fmt.Errorf("must be one of %s", sellingpartner.RegionNames())
	}
	return nil
}

func oneWord(text string) error {
	if strings.ContainsAny(text, " \u00a0") {
		return errors.New("must not hold spaces")
	}
	return nil
}

func httpsURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || parsed.Fragment != "" {
		return errors.New("must be an absolute https URL without user info or fragment, as registered with Amazon")
	}
	return nil
}
