// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
)

const (
	// maxFieldSize bounds each string of a request, in bytes, whatever the field.
	maxFieldSize = 16 << 10
	// maxListSize is the same for one that holds a list as JSON.
	maxListSize = 64 << 10
	// maxNameLength bounds the name of an account or a role, in bytes.
	maxNameLength = 256
)

// HandleRequest refuses requests with fields that the path does not know or that
// have the wrong type. The framework would ignore the first, and its message for
// the second holds the value, which may be a credential.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if resp := b.cachedRead(req); resp != nil {
		return resp, nil
	}
	if strings.HasPrefix(req.Path, lwaPrefix) && submits(req.Operation) {
		return b.handleLWA(ctx, req)
	}
	if err := b.checkFields(req); err != nil {
		return nil, b.vaultError(req, err)
	}
	resp, err := b.Backend.HandleRequest(ctx, req)
	if errors.Is(err, logical.ErrUnsupportedPath) && req.Operation != logical.ListOperation {
		err = b.misspelled(req)
	}
	return resp, err
}

// misspelled says why a path is none, where it is for the name of an account.
func (b *backend) misspelled(req *logical.Request) error {
	for prefix, field := range map[string]string{"accounts/": "account", tokenPrefix: "account", migratePrefix: "account", rolesPrefix: "role", grantlessPrefix: "scope", restrictedPrefix: "account"} {
		name, ok := strings.CutPrefix(req.Path, prefix)
		if !ok || name == "" {
			continue
		}
		if role, _, two := strings.Cut(name, "/"); prefix == restrictedPrefix && (!two || !nameShape.MatchString(role)) {
			field = "role"
		}
		if _, err := grantlessScope(name); prefix == grantlessPrefix {
			return b.vaultError(req, err)
		}
		return b.vaultError(req, fault.BadField(field, "%s", errBadName))
	}
	return logical.ErrUnsupportedPath
}

// HandleExistenceCheck needs the path only. Without the data the framework has
// nothing to complain about, which Vault would log together with the value.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checkFound, exists bool, err error) {
	bare := *req
	bare.Data = nil
	return b.Backend.HandleExistenceCheck(ctx, &bare)
}

func (b *backend) checkFields(req *logical.Request) error {
	if len(req.Data) == 0 {
		return nil
	}
	if !submits(req.Operation) {
		return nil
	}
	path := b.Route(req.Path)
	if path == nil {
		return nil
	}
	names := make([]string, 0, len(req.Data))
	for name := range req.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		schema := path.Fields[name]
		if schema == nil {
			return fault.BadField(shorten(name), "is unknown here")
		}
		value := map[string]any{name: req.Data[name]}
		limit := maxFieldSize
		if schema.Type == framework.TypeSlice {
			limit = maxListSize
		}
		if text, ok := req.Data[name].(string); ok && len(text) > limit {
			return fault.BadField(name, "is longer than %d bytes", limit)
		}
		if !wellTyped(schema, req.Data[name]) || (&framework.FieldData{Raw: value, Schema: path.Fields}).Validate() != nil {
			return fault.BadField(name, "must be %s", expected(schema.Type))
		}
	}
	return nil
}

// submits reports whether the data of an operation is a request's; that of a
// revocation, say, is the lease's.
func submits(operation logical.Operation) bool {
	switch operation {
	case logical.CreateOperation, logical.ReadOperation, logical.UpdateOperation, logical.PatchOperation, logical.DeleteOperation, logical.ListOperation:
		return true
	}
	return false
}

// wellTyped is stricter than the framework where that would turn one type into
// another, such as a list into a string.
func wellTyped(schema *framework.FieldSchema, value any) bool {
	switch schema.Type {
	case framework.TypeBool:
		text, isText := value.(string)
		_, isBool := value.(bool)
		_, err := strconv.ParseBool(text)
		return value == nil || isBool || (isText && err == nil)
	case framework.TypeString, framework.TypeSignedDurationSecond, framework.TypeTime, framework.TypeInt:
		switch value.(type) {
		case map[string]any, []any, []string, []byte:
			return false
		}
	}
	return true
}

// expected says what a field of a type takes, for a message.
func expected(fieldType framework.FieldType) string {
	switch fieldType {
	case framework.TypeSignedDurationSecond:
		return `a duration, such as "30m" or a number of seconds`
	case framework.TypeTime:
		return `a time in RFC 3339, such as "2026-01-31T12:00:00Z"`
	case framework.TypeBool:
		return "true or false"
	case framework.TypeInt:
		return "a whole number"
	case framework.TypeKVPairs:
		return "a map of strings, or key=value"
	case framework.TypeCommaStringSlice:
		return "a list of strings"
	case framework.TypeSlice:
		return "a list, or JSON that holds one"
	}
	return "a string"
}

// shorten bounds a name that came from outside, for a message.
func shorten(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

// handler answers a request, or fails with an error that has a kind.
type handler func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error)

// handle makes a handler an operation: it checks the names in the path and turns
// errors into Vault's.
func (b *backend) handle(serve handler) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		if err := checkPathFields(req, data); err != nil {
			return nil, b.vaultError(req, err)
		}
		resp, err := serve(ctx, req, data)
		if err != nil {
			return nil, b.vaultError(req, err)
		}
		return resp, nil
	}
}

// checkPathFields refuses a body that names another resource than the path does,
// and names that are too long.
func checkPathFields(req *logical.Request, data *framework.FieldData) error {
	for name, value := range req.Data {
		if inPath, ok := data.Raw[name].(string); ok && fmt.Sprint(value) != inPath {
			return fault.BadField(name, "has another value in the path than in the body")
		}
	}
	for _, field := range []string{"account", "role"} {
		name, _ := data.Raw[field].(string)
		if err := checkName(field, name); err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses what the shape of a name in a path lets through.
func checkName(field, name string) error {
	switch {
	case len(name) > maxNameLength:
		return fault.BadField(field, "is longer than %d bytes", maxNameLength)
	case strings.Contains(name, ".."):
		return fault.BadField(field, "must not hold two dots in a row, which Vault's storage refuses")
	}
	return nil
}
