// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestRole(t *testing.T) {
	t.Parallel()
	m := configured(t)
	written := m.ok(logical.UpdateOperation, "roles/orders", map[string]any{
		"restricted_resources": `[{"method":"GET","path":"/orders/v0/orders","dataElements":["buyerInfo","shippingAddress"]},{"method":"GET","path":"/reports/2021-06-30/documents/{reportDocumentId}","dataElements":[]}]`,
		"allowed_accounts":     "acme", "path_parameters": []any{"reportDocumentId"}, "target_application": "amzn1.sp.solution.other", "description": "What it is for",
	})
	require.Nil(t, written, "nothing to say")
	now := rfc3339(m.clock.Now())
	want := map[string]any{
		"role": "orders",
		"restricted_resources": []any{
			map[string]any{"method": "GET", "path": "/orders/v0/orders", "dataElements": []string{"buyerInfo", "shippingAddress"}},
			map[string]any{"method": "GET", "path": "/reports/2021-06-30/documents/{reportDocumentId}"},
		},
		"allowed_accounts": []string{"acme"}, "path_parameters": []string{"reportDocumentId"}, "target_application": "amzn1.sp.solution.other",
		"description": "What it is for", "created_at": now, "updated_at": now,
	}
	require.Equal(t, want, m.read("roles/orders"))
	require.Equal(t, []string{"orders", "shipping"}, m.ok(logical.ListOperation, "roles/", nil).Data["keys"])

	m.clock.Advance(1e9)
	m.ok(logical.UpdateOperation, "roles/orders", map[string]any{"description": "changed"})
	m.start()
	want["description"], want["updated_at"] = "changed", rfc3339(m.clock.Now())
	require.Equal(t, want, m.read("roles/orders"))
	m.ok(logical.PatchOperation, "roles/orders", map[string]any{"allowed_accounts": nil, "target_application": nil, "description": nil})
	want["allowed_accounts"], want["target_application"], want["description"] = []string{}, "", ""
	require.Equal(t, want, m.read("roles/orders"))
	m.ok(logical.DeleteOperation, "roles/orders", nil)
	require.Equal(t, []string{"shipping"}, m.ok(logical.ListOperation, "roles/", nil).Data["keys"])
}

func TestBadRoles(t *testing.T) {
	t.Parallel()
	m := configured(t)
	get := func(path string) map[string]any { return map[string]any{"method": "GET", "path": path} }
	many := make([]any, 51)
	for n := range many {
		many[n] = get("/orders/v0/orders")
	}
	before := m.stored()
	for name, c := range map[string]struct{ value, text any }{
		"none":                   {[]any{}, "1 to 50"},
		"an empty text":          {"", "JSON"},
		"null":                   {nil, "null"},
		"51":                     {many, "51"},
		"no JSON":                {"GET /orders", "JSON"},
		"cut short":              {`[{"method":"GET"`, "JSON"},
		"more behind":            {`[{"method":"GET","path":"/orders/v0/orders"}] x`, "JSON"},
		"an object":              {get("/orders/v0/orders"), ""},
		"a list of texts":        {[]any{"GET"}, "resource 1: is no object"},
		"a list of null":         {[]any{nil}, "resource 1: is no object"},
		"a member twice":         {`[{"method":"GET","path":"/orders/v0/orders","path":"/mfn/v0/shipments"}]`, "twice"},
		"a member of null":       {[]any{map[string]any{"method": "GET", "path": nil}}, "path"},
		"a number":               {7, ""},
		"lower case":             {[]any{map[string]any{"method": "get", "path": "/x"}}, "method"},
		"bad method":             {[]any{map[string]any{"method": "PATCH", "path": "/x"}}, "GET, PUT, POST, DELETE"},
		"no method":              {[]any{map[string]any{"path": "/x"}}, "method"},
		"no path":                {[]any{map[string]any{"method": "GET"}}, "path"},
		"relative":               {[]any{get("orders/v0/orders")}, "path must begin with /"},
		"a URL":                  {[]any{get("https://sellingpartnerapi-na.amazon.com/orders")}, "path"},
		"a host":                 {[]any{get("//evil.example/orders")}, "path"},
		"a query":                {[]any{get("/orders?x=1")}, "query"},
		"a fragment":             {[]any{get("/orders#x")}, "path"},
		"encoded":                {[]any{get("/orders/%2e%2e/x")}, "percent"},
		"dots":                   {[]any{get("/orders/../x")}, "segment"},
		"a dot":                  {[]any{get("/orders/./x")}, "segment"},
		"a space":                {[]any{get("/orders/v 0")}, "space"},
		"a newline":              {[]any{get("/orders\n")}, "path"},
		"a slash at the end":     {[]any{get("/orders/")}, "path"},
		"half a placeholder":     {[]any{get("/orders/{orderId")}, "placeholder"},
		"a placeholder within":   {[]any{get("/orders/x{orderId}")}, "placeholder"},
		"long":                   {[]any{get("/" + strings.Repeat("a", 512))}, "512"},
		"unknown data element":   {[]any{map[string]any{"method": "GET", "path": "/orders/v0/orders", "dataElements": []any{"buyerinfo"}}}, "buyerInfo, shippingAddress, buyerTaxInformation"},
		"data elements no list":  {[]any{map[string]any{"method": "GET", "path": "/orders/v0/orders", "dataElements": "buyerInfo"}}, "dataElements has the wrong type"},
		"data element twice":     {[]any{map[string]any{"method": "GET", "path": "/orders/v0/orders", "dataElements": []any{"buyerInfo", "buyerInfo"}}}, "twice"},
		"misspelled":             {[]any{map[string]any{"method": "GET", "path": "/orders/v0/orders", "data_elements": []any{}}}, "data_elements"},
		"another case":           {[]any{map[string]any{"method": "GET", "Path": "/orders/v0/orders"}}, "Path"},
		"the second of two":      {[]any{get("/orders/v0/orders"), get("x")}, "resource 2"},
		"text that is too large": {strings.Repeat(" ", 64<<10) + "[]", "65536"},
	} {
		text := m.badRequest(logical.UpdateOperation, "roles/new", map[string]any{"restricted_resources": c.value})
		require.Contains(t, text, `"restricted_resources"`, name)
		require.Contains(t, text, fmt.Sprint(c.text), name)
	}
	for field, values := range map[string][]any{
		"allowed_accounts":   {"a b", []any{"a/b"}, "ä", strings.Repeat("a", 257), strings.Repeat("a,", 1000) + "a"},
		"path_parameters":    {"x", "orderId,orderId", "{orderId}", "1a", "a b", strings.Repeat("a", 65), []any{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}},
		"target_application": {"a b", "a\nb", strings.Repeat("a", 257), []any{"a"}},
		"description":        {strings.Repeat("a", 513), "a\x00", []any{"a"}},
	} {
		for _, value := range values {
			text := m.badRequest(logical.UpdateOperation, "roles/new", map[string]any{"restricted_resources": []any{get("/orders/v0/orders/{orderId}")}, field: value})
			require.Contains(t, text, `"`+field+`"`, "%.100v", value)
		}
	}
	require.Contains(t, m.badRequest(logical.UpdateOperation, "roles/new", map[string]any{"description": "x"}), `"restricted_resources": is required`)
	require.Equal(t, before, m.stored())
	large, err := json.MarshalIndent(many[:50], "", strings.Repeat(" ", 100))
	require.NoError(t, err)
	require.Greater(t, len(large), 16<<10)
	m.ok(logical.UpdateOperation, "roles/large", map[string]any{"restricted_resources": string(large)})
	m.ok(logical.DeleteOperation, "roles/large", nil)
	require.Contains(t, m.badRequest(logical.PatchOperation, "roles/shipping", map[string]any{"restricted_resources": nil}), "required")
	m.badRequest(logical.UpdateOperation, "roles/shipping", map[string]any{"role": "other"})
	require.Equal(t, before, m.stored())
}

func TestRoleWarnings(t *testing.T) {
	t.Parallel()
	m := configured(t)
	resource := func(method, path string, dataElements ...any) map[string]any {
		return map[string]any{"method": method, "path": path, "dataElements": dataElements}
	}
	specific := make([]any, 11)
	for n := range specific {
		specific[n] = resource("GET", fmt.Sprintf("/orders/v0/orders/%d/address", n))
	}
	generic := make([]any, 50)
	for n := range generic {
		generic[n] = resource("GET", "/orders/v0/orders/{orderId}/address")
	}
	for name, c := range map[string]struct {
		data map[string]any
		want []string
	}{
		"nothing":                  {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v0/orders", "buyerInfo", "shippingAddress", "buyerTaxInformation")}}, nil},
		"50 generic ones":          {map[string]any{"restricted_resources": generic}, nil},
		"11 specific ones":         {map[string]any{"restricted_resources": specific}, []string{"11 resources"}},
		"11 with a parameter":      {map[string]any{"restricted_resources": append(generic[:10:10], resource("GET", "/orders/v0/orders/{id}/address")), "path_parameters": "id"}, []string{"11 resources"}},
		"10 specific ones":         {map[string]any{"restricted_resources": specific[:10]}, nil},
		"unknown path":             {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v9/orders")}}, []string{"/orders/v9/orders is no path"}},
		"another method":           {map[string]any{"restricted_resources": []any{resource("POST", "/orders/v0/orders")}}, []string{"method POST, but with GET"}},
		"no data elements there":   {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v0/orders/{orderId}/address", "buyerInfo")}}, []string{"does not take the data element buyerInfo; it takes none"}},
		"not this one":             {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v0/orders/{orderId}/orderItems", "shippingAddress")}}, []string{"it takes buyerInfo"}},
		"another placeholder":      {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v0/orders/{id}/address")}}, []string{"Amazon calls {orderId}"}},
		"supplied by the reader":   {map[string]any{"restricted_resources": []any{resource("GET", "/orders/v0/orders/{id}/address")}, "path_parameters": "id"}, nil},
		"document in general":      {map[string]any{"restricted_resources": []any{resource("GET", "/reports/2021-06-30/documents/{reportDocumentId}")}}, []string{"name it in path_parameters"}},
		"a specific document":      {map[string]any{"restricted_resources": []any{resource("GET", "/reports/2021-06-30/documents/amzn1.doc.1")}}, nil},
		"shipment":                 {map[string]any{"restricted_resources": []any{resource("DELETE", "/mfn/v0/shipments/{shipmentId}"), resource("PUT", "/mfn/v0/shipments/{shipmentId}/cancel"), resource("POST", "/mfn/v0/shipments")}}, nil},
		"vendor":                   {map[string]any{"restricted_resources": []any{resource("GET", "/vendor/directFulfillment/shipping/2021-12-28/packingSlips/{purchaseOrderNumber}"), resource("POST", "/vendor/directFulfillment/shipping/2021-12-28/shippingLabels/{purchaseOrderNumber}")}}, nil},
		"nobody":                   {map[string]any{"restricted_resources": generic[:1], "allowed_accounts": []any{}}, []string{"allowed_accounts is empty"}},
		"nobody of that name":      {map[string]any{"restricted_resources": generic[:1], "allowed_accounts": "a*,b*"}, []string{`no account matches "b*" yet`}},
		"nobody of these names":    {map[string]any{"restricted_resources": generic[:1], "allowed_accounts": "a,acme,b*,c,d,e,f"}, []string{`no account matches "a", "b*", "c", "d", "e" and 1 more yet`}},
		"no application":           {map[string]any{"restricted_resources": generic[:1], "target_application": testClientID}, []string{"application id"}},
		"an older application id":  {map[string]any{"restricted_resources": generic[:1], "target_application": "amzn1.sellerapps.app.x"}, nil},
		"two of them at one place": {map[string]any{"restricted_resources": []any{resource("POST", "/orders/v0/orders/{id}", "buyerInfo")}}, []string{"method POST", "Amazon calls {orderId}"}},
	} {
		if _, given := c.data["allowed_accounts"]; !given {
			c.data["allowed_accounts"] = "acme"
		}
		var warnings []string
		if resp := m.ok(logical.UpdateOperation, "roles/new", c.data); resp != nil {
			warnings = resp.Warnings
		}
		m.ok(logical.DeleteOperation, "roles/new", nil)
		require.Len(t, warnings, len(c.want), "%s: %s", name, warnings)
		for n, want := range c.want {
			require.Contains(t, warnings[n], want, name)
		}
	}
}
