// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	// maxKeyInfo bounds the accounts that one LIST reads.
	maxKeyInfo = 1000
)

const (
	accountHelpSynopsis    = `An authorized selling account: its refresh token, region and settings.`
	accountHelpDescription = `
An account is one selling partner's authorization of this application in one
region. Its refresh token goes in here and is never returned; reads show a keyed
fingerprint of it, with which two tokens can be told apart.

A new refresh token is exchanged once before it is stored. One that Amazon
refuses is not stored, and what was stored before stays. If Amazon cannot be
asked, it is stored with a warning, and its status is "unverified".

A write keeps the fields that it leaves out. "enabled=false" keeps an account
and gives no token for it.
`
	accountsHelpSynopsis    = `List the accounts, with region, status, selling partner and expiry.`
	accountsHelpDescription = `
"vault list -detailed" shows region, status, selling_partner_id and
authorization_expires_at of each account. Over HTTP, "limit" and "after" page
through the names in order; key_info is filled for pages of up to 1000. With
"status" or "expires_before" a page holds the first so many that match, and an
incomplete page is the last.
`
)

func (b *backend) accountPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         "accounts/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "accounts", Navigation: true, ItemType: "Account"},
		HelpSynopsis:    accountsHelpSynopsis,
		HelpDescription: strings.TrimSpace(accountsHelpDescription),
		Fields: map[string]*framework.FieldSchema{
			"after":          {Type: framework.TypeString, Query: true, Description: "Begin behind this name, which need not exist."},
			"limit":          {Type: framework.TypeInt, Query: true, Description: "List at most this many names; 0 lists all."},
			"status":         {Type: framework.TypeString, Query: true, Description: "List accounts with this status only; needs limit."},
			"expires_before": {Type: framework.TypeTime, Query: true, Description: "List accounts only whose authorization is known to lapse before; needs limit."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback:     b.handle(b.pathAccountsList),
				Summary:      "List the accounts.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list"},
				Responses: map[int][]framework.Response{http.StatusOK: {{Description: "The names of the accounts.", Fields: map[string]*framework.FieldSchema{
					"keys":     {Type: framework.TypeStringSlice, Description: "Names."},
					"key_info": {Type: framework.TypeMap, Description: "Of each name: region, status, selling_partner_id, authorization_expires_at."},
				}}}},
			},
		},
	}, {
		Pattern:         "accounts/" + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "account", Action: "Create", ItemType: "Account"},
		Fields:          accountFields(),
		ExistenceCheck:  b.accountExists,
		HelpSynopsis:    accountHelpSynopsis,
		HelpDescription: strings.TrimSpace(accountHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.handle(b.pathAccountRead),
				Summary:      "Read an account, without its refresh token.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read"},
				Responses:    map[int][]framework.Response{http.StatusOK: {{Description: "The account.", Fields: accountResponseFields()}}},
			},
			logical.CreateOperation: b.writeOperation(b.pathAccountWrite, "Write an account."),
			logical.UpdateOperation: b.writeOperation(b.pathAccountWrite, "Change an account; fields left out stay as they are."),
			logical.PatchOperation:  b.patchOperation(b.pathAccountWrite, "Change an account; null sets a field to its default."),
			logical.DeleteOperation: b.deleteOperation(b.pathAccountDelete, "Delete an account and its refresh token."),
		},
	}}
}

func accountField() *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "Name of the account."}
}

func accountFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":                  accountField(),
		"refresh_token":            {Type: framework.TypeString, Description: "LWA refresh token of the account. Required to create it; never returned.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"region":                   {Type: framework.TypeString, AllowedValues: regionValues(), Description: "Region of the authorization: na, eu or fe. Default: the config's."},
		"selling_partner_id":       {Type: framework.TypeString, Description: "Selling partner id (merchant token), 1 to 64 letters and digits."},
		"marketplace_ids":          {Type: framework.TypeCommaStringSlice, Description: "Marketplace ids, returned with every token."},
		"kind":                     {Type: framework.TypeString, AllowedValues: []any{sellingpartner.Seller, sellingpartner.Vendor}, Description: "seller or vendor; returned with every token."},
		"metadata":                 {Type: framework.TypeKVPairs, Description: "key=value pairs, returned with every token."},
		"authorized_at":            {Type: framework.TypeTime, Description: "When the selling partner authorized the application. Default: now."},
		"authorization_expires_at": {Type: framework.TypeTime, Description: "When the authorization lapses; reads warn from 30 days before."},
		"enabled":                  {Type: framework.TypeBool, Default: true, Description: "false keeps the account, but gives no token."},
		"generate_lease":           {Type: framework.TypeBool, Description: "Lease this account's tokens. Default: the config's."},
		"token_min_ttl":            {Type: framework.TypeSignedDurationSecond, Description: "A token is handed out only if it lives at least this long; 1m to 55m. Default: the config's."},
		"verify":                   {Type: framework.TypeBool, Default: true, Description: "Exchange a new refresh_token once before it is stored. Not stored itself."},
	}
}

func accountResponseFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":                   {Type: framework.TypeString, Required: true, Description: "Name."},
		"refresh_token_fingerprint": {Type: framework.TypeString, Required: true, Description: "Keyed fingerprint of the refresh token, 12 hex digits; equal only for equal tokens of this mount."},
		"region":                    {Type: framework.TypeString, Required: true, Description: "Region in force."},
		"selling_partner_id":        {Type: framework.TypeString, Required: true, Description: "Selling partner id."},
		"marketplace_ids":           {Type: framework.TypeCommaStringSlice, Required: true, Description: "Marketplace ids."},
		"kind":                      {Type: framework.TypeString, Required: true, Description: "seller, vendor or empty."},
		"metadata":                  {Type: framework.TypeKVPairs, Required: true, Description: "key=value pairs."},
		"authorized_at":             {Type: framework.TypeTime, Required: true, Description: "When the selling partner authorized the application."},
		"authorization_expires_at":  {Type: framework.TypeTime, Description: "When the authorization lapses, if known."},
		"enabled":                   {Type: framework.TypeBool, Required: true, Description: "Whether tokens are given."},
		"generate_lease":            {Type: framework.TypeBool, Required: true, Description: "Whether tokens are leased; in force."},
		"token_min_ttl":             {Type: framework.TypeDurationSecond, Required: true, Description: "Least time that a token handed out still lives, in seconds; in force."},
		"status":                    {Type: framework.TypeString, Required: true, Description: "active, unverified, reauthorization_required or disabled."},
		"last_exchange_at":          {Type: framework.TypeTime, Description: "When Amazon last gave a token, as far as is known."},
		"last_error":                {Type: framework.TypeString, Required: true, Description: "Why the last exchange failed; empty if it did not."},
		"created_at":                {Type: framework.TypeTime, Required: true, Description: "When the account was created."},
		"updated_at":                {Type: framework.TypeTime, Required: true, Description: "When the account was last written."},
	}
}

func (b *backend) accountExists(ctx context.Context, _ *logical.Request, data *framework.FieldData) (bool, error) {
	account, err := b.store.Account(ctx, data.Get("account").(string))
	return account != nil, err
}

func (b *backend) pathAccountRead(ctx context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("account").(string)
	account, err := b.issuer.Account(ctx, name)
	if err != nil {
		return nil, err
	}
	if account == nil {
		return nil, fault.New(fault.NotFound, "account %q does not exist", name)
	}
	answer := map[string]any{
		"account":                   name,
		"refresh_token_fingerprint": account.Fingerprint,
		"region":                    account.Region,
		"selling_partner_id":        account.SellingPartnerID,
		"marketplace_ids":           orEmpty(account.MarketplaceIDs),
		"kind":                      account.Kind,
		"metadata":                  account.Metadata.Map(),
		"authorized_at":             rfc3339(account.AuthorizedAt),
		"enabled":                   account.Enabled,
		"generate_lease":            account.GenerateLease,
		"token_min_ttl":             seconds(account.TokenMinTTL),
		"status":                    string(account.State),
		"last_error":                account.LastError,
		"created_at":                rfc3339(account.CreatedAt),
		"updated_at":                rfc3339(account.UpdatedAt),
	}
	addTime(answer, "authorization_expires_at", account.AuthorizationExpiresAt)
	addTime(answer, "last_exchange_at", account.LastExchangeAt)
	resp := &logical.Response{Data: answer}
	b.warnOfAuthorization(resp, name, account.AuthorizationExpiresAt)
	return resp, nil
}

// warnOfAuthorization warns from 30 days before an authorization lapses.
func (b *backend) warnOfAuthorization(resp *logical.Response, account string, expiresAt time.Time) {
	if warning := b.expiryWarning(expiresAt); warning != "" {
		resp.AddWarning(fmt.Sprintf("the authorization of account %q %s; the selling partner has to authorize the application again", account, warning))
	}
}

func (b *backend) pathAccountWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	change := issuer.AccountChange{
		Name:         data.Get("account").(string),
		MustExist:    req.Operation == logical.PatchOperation,
		RefreshToken: f.secret("refresh_token"),
		Verify:       true,
		Apply: func(account *store.Account) error {
			again := readFields(req, data)
			applyAccount(again, account)
			return again.err
		},
	}
	f.boolean("verify", &change.Verify, true)
	if f.err != nil {
		return nil, f.err
	}
	account, unproven, err := b.issuer.WriteAccount(ctx, change)
	if err != nil {
		return nil, err
	}
	var resp logical.Response
	if unproven != nil {
		resp.AddWarning(fmt.Sprintf("the refresh token was stored, but is unverified: %s", message(unproven, mountOf(req))))
	}
	if _, given := data.GetOk("authorization_expires_at"); !given && !change.RefreshToken.IsZero() {
		b.warnOfAuthorization(&resp, account.Name, account.AuthorizationExpiresAt)
	}
	return warningsOnly(&resp), nil
}

// applyAccount sets the fields that the request names.
func applyAccount(f *fields, account *store.Account) {
	f.partner(partnerFields{&account.Region, &account.SellingPartnerID, &account.Kind, &account.MarketplaceIDs, &account.Metadata})
	f.timestamp("authorized_at", &account.AuthorizedAt, account.CreatedAt)
	f.timestamp("authorization_expires_at", &account.AuthorizationExpiresAt, time.Time{})
	f.boolean("enabled", &account.Enabled, true)
	f.optionalBoolean("generate_lease", &account.GenerateLease)
	f.duration("token_min_ttl", &account.TokenMinTTL, 0, minTokenMinTTL, maxTokenMinTTL)
}

func (b *backend) pathAccountDelete(ctx context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return nil, b.issuer.DeleteAccount(ctx, data.Get("account").(string))
}

func (b *backend) pathAccountsList(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	f := readFields(req, data)
	var after, status string
	var limit int
	var filter issuer.AccountFilter
	f.text("after", maxNameLength, &after, "", nil)
	f.integer("limit", &limit, 0, 0, 1<<31-1)
	f.text("status", 32, &status, "", knownStatus)
	f.timestamp("expires_before", &filter.ExpiresBefore, time.Time{})
	filter.State = store.State(status)
	filtered := filter != issuer.AccountFilter{}
	if filtered && (limit == 0 || limit > maxKeyInfo) {
		f.fail("limit", "must be from 1 to %d with status or expires_before, which read the accounts one by one", maxKeyInfo)
	}
	if f.err != nil {
		return nil, f.err
	}
	names, err := b.store.AccountNames(ctx)
	if err != nil {
		return nil, err
	}
	names = behind(names, after)
	if filtered {
		accounts, err := b.issuer.SelectAccounts(ctx, names, filter, limit)
		return listOf(namesOf(accounts), accounts), err
	}
	if limit > 0 && limit < len(names) {
		names = names[:limit]
	}
	if len(names) > maxKeyInfo {
		resp := logical.ListResponse(names)
		resp.AddWarning(fmt.Sprintf("the list holds %d accounts and so their names only; with limit=%d or less it shows region and status too", len(names), maxKeyInfo))
		return resp, nil
	}
	accounts, err := b.issuer.Accounts(ctx, names)
	return listOf(names, accounts), err
}

// behind returns the names, which are in order, that come after a name.
func behind(names []string, after string) []string {
	begin, found := slices.BinarySearch(names, after)
	if found {
		begin++
	}
	return names[begin:]
}

func namesOf(accounts []*issuer.AccountInfo) []string {
	names := make([]string, 0, len(accounts))
	for _, account := range accounts {
		names = append(names, account.Name)
	}
	return names
}

// listOf lists names. One whose account was deleted meanwhile has no information,
// but counts: a page with fewer names than asked for is the last.
func listOf(names []string, accounts []*issuer.AccountInfo) *logical.Response {
	info := make(map[string]any, len(accounts))
	for _, account := range accounts {
		of := map[string]any{"region": account.Region, "status": string(account.State), "selling_partner_id": account.SellingPartnerID, "authorization_expires_at": ""}
		addTime(of, "authorization_expires_at", account.AuthorizationExpiresAt)
		info[account.Name] = of
	}
	return logical.ListResponseWithInfo(names, info)
}

func knownStatus(status string) error {
	if states := store.States(); !slices.Contains(states, store.State(status)) {
		return fmt.Errorf("must be one of %v", states)
	}
	return nil
}

// addTime answers a time that may be unknown.
func addTime(answer map[string]any, name string, moment time.Time) {
	if !moment.IsZero() {
		answer[name] = rfc3339(moment)
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
