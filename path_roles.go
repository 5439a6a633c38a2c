// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/ryanuber/go-glob"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	roleHelpSynopsis    = `What a restricted data token may open, and for which accounts.`
	roleHelpDescription = `
A role is a list of restricted operations (those that answer with personal data),
and the accounts for which "restricted/<role>/<account>" gives a restricted data
token for them. A Vault policy on that path says who may read it.

"restricted_resources" is JSON: a list of objects with "method", "path" and, for
orders, "dataElements". A path holds the placeholders that Amazon's documentation
has, such as /orders/v0/orders/{orderId}/address, and then opens the operation for
every order. Those that "path_parameters" names are filled in by the reader, for
operations that need a specific path, such as
/reports/2021-06-30/documents/{reportDocumentId}.

"allowed_accounts" are names, in which * stands for anything. Without any, the role
gives no token. A changed role holds for the next read.
`
	rolesHelpSynopsis    = `List the roles.`
	rolesHelpDescription = `The names of the roles for restricted data tokens, in order.`
	rolesPrefix          = "roles/"
)

func (b *backend) rolePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:         rolesPrefix + "?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "roles", Navigation: true, ItemType: "Role"},
		HelpSynopsis:    rolesHelpSynopsis,
		HelpDescription: rolesHelpDescription,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback:     b.handle(b.pathRolesList),
				Summary:      "List the roles.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list"},
				Responses: map[int][]framework.Response{http.StatusOK: {{Description: "The names of the roles.", Fields: map[string]*framework.FieldSchema{
					"keys": {Type: framework.TypeStringSlice, Description: "Names."},
				}}}},
			},
		},
	}, {
		Pattern:         rolesPrefix + framework.GenericNameWithAtRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "role", Action: "Create", ItemType: "Role"},
		Fields:          roleFields(),
		ExistenceCheck:  b.roleExists,
		HelpSynopsis:    roleHelpSynopsis,
		HelpDescription: strings.TrimSpace(roleHelpDescription),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.handle(b.pathRoleRead),
				Summary:      "Read a role.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read"},
				Responses:    map[int][]framework.Response{http.StatusOK: {{Description: "The role.", Fields: roleResponseFields()}}},
			},
			logical.CreateOperation: b.writeOperation(b.pathRoleWrite, "Write a role."),
			logical.UpdateOperation: b.writeOperation(b.pathRoleWrite, "Change a role; fields left out stay as they are."),
			logical.PatchOperation:  b.patchOperation(b.pathRoleWrite, "Change a role; null sets a field to its default."),
			logical.DeleteOperation: b.deleteOperation(b.pathRoleDelete, "Delete a role."),
		},
	}}
}

func roleField() *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeString, Required: true, Description: "Name of the role."}
}

func roleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"role":                 roleField(),
		"restricted_resources": {Type: framework.TypeSlice, Description: `1 to 50 of {"method", "path", "dataElements"}, as JSON or as a string that holds JSON. Required to create the role.`},
		"allowed_accounts":     {Type: framework.TypeCommaStringSlice, Description: "Accounts that the role may be used for; * stands for anything. Default: none."},
		"path_parameters":      {Type: framework.TypeCommaStringSlice, Description: "Placeholders of the paths that the reader fills in."},
		"target_application":   {Type: framework.TypeString, Description: "Application id that the tokens are delegated to."},
		"description":          {Type: framework.TypeString, Description: "What the role is for."},
	}
}

func roleResponseFields() map[string]*framework.FieldSchema {
	fields := roleFields()
	for _, field := range fields {
		field.Required = true
	}
	fields["created_at"] = &framework.FieldSchema{Type: framework.TypeTime, Required: true, Description: "When the role was created."}
	fields["updated_at"] = &framework.FieldSchema{Type: framework.TypeTime, Required: true, Description: "When it was last written."}
	return fields
}

func (b *backend) roleExists(ctx context.Context, _ *logical.Request, data *framework.FieldData) (bool, error) {
	role, err := b.store.Role(ctx, data.Get("role").(string))
	return role != nil, err
}

func (b *backend) pathRolesList(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.store.RoleNames(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

func (b *backend) pathRoleRead(ctx context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("role").(string)
	role, err := b.store.Role(ctx, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, &fault.Error{Kind: fault.NotFound, Role: name, Message: fmt.Sprintf("role %q does not exist", name)}
	}
	resources := make([]any, 0, len(role.Resources))
	for _, resource := range role.Resources {
		entry := map[string]any{"method": resource.Method, "path": resource.Path}
		if len(resource.DataElements) > 0 {
			entry["dataElements"] = resource.DataElements
		}
		resources = append(resources, entry)
	}
	return &logical.Response{Data: map[string]any{
		"role":                 name,
		"restricted_resources": resources,
		"allowed_accounts":     orEmpty(role.AllowedAccounts),
		"path_parameters":      orEmpty(role.PathParameters),
		"target_application":   role.TargetApplication,
		"description":          role.Description,
		"created_at":           rfc3339(role.CreatedAt),
		"updated_at":           rfc3339(role.UpdatedAt),
	}}, nil
}

func (b *backend) pathRoleWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	accounts, err := b.store.AccountNames(ctx)
	if err != nil {
		return nil, err
	}
	role, err := b.issuer.WriteRole(ctx, data.Get("role").(string), req.Operation == logical.PatchOperation, func(role *store.Role) error {
		return readRole(readFields(req, data), role)
	})
	if err != nil {
		return nil, err
	}
	warnings := roleWarnings(role, accounts)
	if len(warnings) == 0 {
		return nil, nil
	}
	return &logical.Response{Warnings: warnings}, nil
}

func (b *backend) pathRoleDelete(ctx context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return nil, b.issuer.DeleteRole(ctx, data.Get("role").(string))
}

// unmatched names the patterns that match none of the accounts, which are in order.
func unmatched(patterns, accounts []string) string {
	const shown = 5
	var idle []string
	for _, pattern := range patterns {
		var matches bool
		if strings.Contains(pattern, "*") {
			matches = slices.ContainsFunc(accounts, func(account string) bool { return glob.Glob(pattern, account) })
		} else {
			_, matches = slices.BinarySearch(accounts, pattern)
		}
		if !matches {
			idle = append(idle, strconv.Quote(pattern))
		}
	}
	text := strings.Join(idle[:min(len(idle), shown)], ", ")
	if more := len(idle) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// manyResources is how many, with a specific path among them, made tokens that were
// too large for a header. Source: users' reports; Amazon names no number.
const manyResources = 10

// roleWarnings says what will not work as written: that nothing matches, and what
// Amazon will probably refuse.
func roleWarnings(role *store.Role, accounts []string) []string {
	var warnings []string
	specific := len(role.PathParameters) > 0
	for _, resource := range role.Resources {
		asked := sellingpartner.RestrictedResource(resource)
		specific = specific || asked.IsSpecific()
		for _, doubt := range asked.Doubts(role.PathParameters) {
			warnings = append(warnings, fmt.Sprintf("%s %s %s", resource.Method, resource.Path, doubt))
		}
	}
	if specific && len(role.Resources) > manyResources {
		warnings = append(warnings, fmt.Sprintf("a token for %d resources, some of them specific, may be too large for the header that it travels in: use paths with Amazon's placeholders, or several roles", len(role.Resources)))
	}
	if len(role.AllowedAccounts) == 0 {
		warnings = append(warnings, "the role gives no token yet: allowed_accounts is empty")
	}
	if idle := unmatched(role.AllowedAccounts, accounts); idle != "" {
		warnings = append(warnings, "allowed_accounts: no account matches "+idle+" yet")
	}
	if id := role.TargetApplication; id != "" && !strings.HasPrefix(id, "amzn1.sp.solution.") && !strings.HasPrefix(id, "amzn1.sellerapps.app.") {
		warnings = append(warnings, "target_application does not look like an application id (amzn1.sp.solution.…)")
	}
	return warnings
}
