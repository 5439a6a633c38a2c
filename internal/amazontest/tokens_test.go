// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	tokensPath     = "/tokens/2021-03-01/restrictedDataToken"
	ordersPath     = "/orders/v0/orders"
	addressOfAny   = "/orders/v0/orders/{orderId}/address"
	documents      = "/reports/2021-06-30/documents"
	badInputText   = "Invalid Input"
	noAccessText   = "Application does not have access to one or more requested data elements: "
	noDocumentText = "Invalid or unsupported document ID found"
	unauthorized   = "Unauthorized"
	expiredText    = "The access token you provided has expired."
	malformedText  = "The access token you provided is revoked, malformed or invalid."
)

// seller is an access token of seller-one.
func (f *fixture) seller() string {
	f.t.Helper()
	return f.ok(refreshForm(f.refresh)).text("access_token")
}

func (f *fixture) sp(method, path, token, contentType, body string) result {
	f.t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("x-amz-access-token", token)
	}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return f.call(method, f.SPAPIEndpoint()+path, header, body)
}

// restrict asks for a restricted data token.
func (f *fixture) restrict(token, body string) result {
	f.t.Helper()
	return f.sp(http.MethodPost, tokensPath, token, "application/json", body)
}

func (f *fixture) restricted(token, body string) string {
	f.t.Helper()
	r := f.restrict(token, body)
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	return r.text("restrictedDataToken")
}

// resource is one as JSON, without dataElements unless there are any.
func resource(method, path string, elements ...string) string {
	more := ""
	if len(elements) > 0 {
		more = `,"dataElements":["` + strings.Join(elements, `","`) + `"]`
	}
	return `{"method":"` + method + `","path":"` + path + `"` + more + `}`
}

func list(resources ...string) string {
	return `{"restrictedResources":[` + strings.Join(resources, ",") + `]}`
}

func resources(method, path string, elements ...string) string {
	return list(resource(method, path, elements...))
}

func TestRestrictedDataToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	body := `{"targetApplication":"amzn1.sp.solution.other","restrictedResources":[` +
		resource("GET", ordersPath, "buyerInfo", "shippingAddress") + `,` + resource("PUT", "/mfn/v0/shipments/S1/cancel") + `]}`
	r := f.sp(http.MethodPost, tokensPath, seller, "application/json; charset=UTF-8", body)
	require.Equal(t, 200, r.status, "%s", r.raw)
	require.Len(t, r.body, 2)
	require.Equal(t, "3600", string(mustMember(t, r.raw, "expiresIn")))
	token := r.text("restrictedDataToken")
	require.True(t, strings.HasPrefix(token, "Atz.sprdt|"))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
	require.NotEmpty(t, r.header.Get("x-amzn-RequestId"))
	require.Empty(t, r.header.Get("X-Amz-Rid"), "that is Login with Amazon's")

	want := amazontest.Restricted{
		Account: "seller-one", TargetApplication: "amzn1.sp.solution.other",
		Resources: []amazontest.RestrictedResource{
			{Method: "GET", Path: ordersPath, DataElements: []string{"buyerInfo", "shippingAddress"}},
			{Method: "PUT", Path: "/mfn/v0/shipments/S1/cancel"},
		},
	}
	got, ok := f.RestrictedOf(token)
	require.True(t, ok)
	require.Equal(t, want, got)
	got.Resources[0].DataElements[0], got.Resources[1].Path = "mine", "mine"
	got, _ = f.RestrictedOf(token)
	require.Equal(t, want, got, "it was a copy")
	require.NotEqual(t, token, f.restricted(seller, body))

	_, ok = f.AccountOf(token)
	require.False(t, ok, "an access token is something else")
	_, ok = f.RestrictedOf(seller)
	require.False(t, ok)
	require.Equal(t, []string{body, body}, f.RestrictedBodies())
	require.Equal(t, 2, f.RestrictedCalls("seller-one"))
	require.Zero(t, f.RestrictedCalls("seller-two"))
	require.Equal(t, 2, f.SellingPartnerRequests())
}

func mustMember(t *testing.T, raw []byte, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &members))
	return members[name]
}

func TestRestrictedLifetime(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetTokenLifetime(10 * time.Hour)
	seller := f.seller()
	token := f.restricted(seller, resources("GET", addressOfAny))
	f.SetRestrictedLifetime(90 * time.Second)
	r := f.restrict(seller, resources("GET", addressOfAny))
	require.InDelta(t, 90, r.body["expiresIn"], 0)
	live := func(token string) bool {
		_, ok := f.RestrictedOf(token)
		return ok
	}
	f.clock.Advance(89 * time.Second)
	require.True(t, live(r.text("restrictedDataToken")))
	f.clock.Advance(time.Second)
	require.False(t, live(r.text("restrictedDataToken")))
	f.clock.Advance(time.Hour - 91*time.Second)
	require.True(t, live(token), "issued before the change")
	f.clock.Advance(time.Second)
	require.False(t, live(token))
}

func TestRestrictedDataTokenNeedsATokenOfASeller(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedQuota(time.Hour, 1)
	body := resources("GET", addressOfAny)
	seller := f.seller()
	for _, scope := range []string{amazontest.ScopeNotifications, amazontest.ScopeRotation} {
		f.spError(f.restrict(f.grantless(scope), body), 403, unauthorized, deniedText, "")
	}
	f.spError(f.restrict("", body), 403, unauthorized, deniedText, "Access token is missing in the request header.")
	f.spError(f.restrict("Atza|nobody", body), 403, unauthorized, deniedText, malformedText)
	require.Zero(t, f.RestrictedCalls("seller-one"))
	require.Zero(t, f.RestrictedCalls(""), "a grantless token is nobody's")

	rdt := f.restricted(seller, body)
	r := f.restrict(rdt, body)
	f.spError(r, 403, unauthorized, deniedText, "")
	require.Empty(t, r.header.Get("x-amzn-RateLimit-Limit"))
	f.clock.Advance(time.Hour)
	f.spError(f.restrict(seller, body), 403, unauthorized, deniedText, expiredText)
	f.spError(f.restrict(rdt, body), 403, unauthorized, deniedText, expiredText)
	require.Equal(t, 4, f.RestrictedCalls("seller-one"))
	f.restricted(f.seller(), body)
	require.Len(t, f.RestrictedBodies(), 9)

	for _, method := range []string{http.MethodGet, http.MethodPut} {
		f.spError(f.sp(method, tokensPath, seller, "", ""), 403, "MissingAuthenticationToken", deniedText, "")
	}
	require.Len(t, f.RestrictedBodies(), 9, "those were none")
}

func TestRestrictedDataTokenNeedsJSON(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	body := resources("GET", addressOfAny)
	for _, contentType := range []string{"", "text/json", formType, "application/json-patch+json", "application/json;"} {
		r := f.sp(http.MethodPost, tokensPath, seller, contentType, body)
		if contentType == "application/json;" {
			require.Equal(t, 200, r.status, "an empty list of parameters")
			continue
		}
		f.spError(r, 415, "UnsupportedMediaType", "Unsupported Media Type", "")
		require.Empty(t, r.header.Get("x-amzn-RateLimit-Limit"), "the model: no longer returned")
	}
}

func TestRestrictedDataTokenRefusesBodies(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedQuota(0, 0)
	seller := f.seller()
	one := resource("GET", addressOfAny)
	for name, body := range map[string]string{
		"nothing":                  ``,
		"no JSON":                  `restrictedResources`,
		"two values":               list(one) + list(one),
		"an array":                 `[` + one + `]`,
		"a text":                   `"x"`,
		"null":                     `null`,
		"no resources":             `{}`,
		"null resources":           `{"restrictedResources":null}`,
		"0 resources":              list(),
		"51 resources":             list(many(one, 51)...),
		"one resource":             `{"restrictedResources":` + one + `}`,
		"null resource":            list("null"),
		"text as resource":         list(`"GET ` + addressOfAny + `"`),
		"unknown member":           `{"restrictedResources":[` + one + `],"account":"x"}`,
		"wrong case":               `{"RestrictedResources":[` + one + `]}`,
		"unknown of resource":      list(`{"method":"GET","path":"` + addressOfAny + `","data_elements":["buyerInfo"]}`),
		"null application":         `{"targetApplication":null,"restrictedResources":[` + one + `]}`,
		"number as application":    `{"targetApplication":1,"restrictedResources":[` + one + `]}`,
		"null elements":            list(`{"method":"GET","path":"` + ordersPath + `","dataElements":null}`),
		"text as elements":         list(`{"method":"GET","path":"` + ordersPath + `","dataElements":"buyerInfo"}`),
		"null element":             list(`{"method":"GET","path":"` + ordersPath + `","dataElements":[null]}`),
		"no method":                list(`{"path":"` + addressOfAny + `"}`),
		"null method":              list(`{"method":null,"path":"` + addressOfAny + `"}`),
		"empty method":             resources("", addressOfAny),
		"lower case method":        resources("get", addressOfAny),
		"unknown method":           resources("PATCH", addressOfAny),
		"method of another":        resources("DELETE", addressOfAny),
		"no path":                  list(`{"method":"GET"}`),
		"null path":                list(`{"method":"GET","path":null}`),
		"empty path":               resources("GET", ""),
		"relative path":            resources("GET", "orders/v0/orders"),
		"path with query":          resources("GET", ordersPath+"?MarketplaceIds=x"),
		"path with empty query":    resources("GET", ordersPath+"?"),
		"query in a value":         resources("GET", ordersPath+"/1?x"),
		"path with host":           resources("GET", "https://sellingpartnerapi-na.amazon.com"+ordersPath),
		"path with slash":          resources("GET", ordersPath+"/"),
		"unknown path":             resources("GET", "/sellers/v1/marketplaceParticipations"),
		"longer path":              resources("GET", addressOfAny+"/line"),
		"wrong version":            resources("GET", "/orders/v1/orders"),
		"wrong spelling":           resources("GET", "/orders/v0/orders/{orderId}/Address"),
		"wrong placeholder":        resources("GET", "/orders/v0/orders/{id}/address"),
		"open placeholder":         resources("GET", "/orders/v0/orders/{orderId/address"),
		"parent as value":          resources("GET", "/orders/v0/orders/../address"),
		"space as value":           resources("GET", "/orders/v0/orders/ /address"),
		"bad escape":               resources("GET", "/orders/v0/orders/%zz/address"),
		"slash in a value":         resources("GET", "/orders/v0/orders/1%2F2/address"),
		"unknown element":          resources("GET", ordersPath, "buyerName"),
		"element in capitals":      resources("GET", ordersPath, "BuyerInfo"),
		"empty element":            resources("GET", ordersPath, ""),
		"one of two elements":      resources("GET", ordersPath, "buyerInfo", "x"),
		"elements of none":         resources("GET", addressOfAny, "shippingAddress"),
		"elements of a document":   resources("GET", documents+"/one", "buyerInfo"),
		"elements of a shipment":   resources("POST", "/mfn/v0/shipments", "shippingAddress"),
		"address of order items":   resources("GET", "/orders/v0/orders/1/orderItems", "shippingAddress"),
		"placeholder of documents": resources("GET", documents+"/{reportDocumentId}"),
		"good and bad":             list(one, resource("GET", "/nowhere")),
		"too long":                 list(one) + strings.Repeat(" ", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := f.restrict(seller, body)
			require.Equal(t, 400, r.status, "%s", r.raw)
			f.spError(r, 400, "InvalidInput", badInputText, "")
		})
	}
	calls := f.RestrictedCalls("seller-one")
	f.restricted(seller, list(one))
	require.Equal(t, calls+1, f.RestrictedCalls("seller-one"))
}

func many(resource string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = resource
	}
	return all
}

func TestRestrictedDataTokenAcceptsBodies(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedQuota(0, 0)
	seller := f.seller()
	for name, body := range map[string]string{
		"50 resources":      list(many(resource("GET", addressOfAny), 50)...),
		"all elements":      resources("GET", ordersPath, "buyerInfo", "shippingAddress", "buyerTaxInformation"),
		"elements of items": resources("GET", "/orders/v0/orders/{orderId}/orderItems", "buyerInfo"),
		"no elements":       resources("GET", ordersPath),
		"a document":        resources("GET", documents+"/amzn1.spdoc.1.4.na.00000000-0000-4000-8000-000000000001.T1"),
		"white space":       " " + strings.ReplaceAll(resources("GET", addressOfAny), ",", " ,\n") + "\n",
		"escaped value":     resources("GET", "/orders/v0/orders/9%30%32-1/address"),
		"longest":           resources("GET", addressOfAny) + strings.Repeat(" ", 64<<10-len(resources("GET", addressOfAny))),
	} {
		t.Run(name, func(t *testing.T) {
			_, ok := f.RestrictedOf(f.restricted(seller, body))
			require.True(t, ok)
		})
	}
}

func TestRolesThatAreMissing(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	both := resources("GET", ordersPath, "shippingAddress", "buyerInfo")
	before := f.restricted(seller, both)
	f.DenyDataElements("buyerInfo")
	r := f.restrict(seller, list(resource("GET", ordersPath, "shippingAddress", "buyerInfo"), resource("GET", ordersPath+"/1", "buyerInfo")))
	f.spError(r, 400, "InvalidInput", noAccessText+"[buyerInfo]", "")
	require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
	f.restricted(seller, resources("GET", ordersPath, "shippingAddress"))
	f.DenyDataElements("buyerInfo", "shippingAddress")
	f.spError(f.restrict(seller, both), 400, "InvalidInput", noAccessText+"[shippingAddress, buyerInfo]", "")
	f.DenyDataElements()
	f.restricted(seller, both)
	_, ok := f.RestrictedOf(before)
	require.True(t, ok)

	f.DenyDocument("one")
	f.DenyDocument("two")
	for _, id := range []string{"one", "two", "o%6ee"} {
		f.spError(f.restrict(seller, resources("GET", documents+"/"+id)), 400, "InvalidInput", noDocumentText, "")
	}
	f.restricted(seller, resources("GET", documents+"/three"))
	f.restricted(seller, resources("GET", ordersPath+"/one"))
}

// modelStatic is the cases as the model file has them, read another way than
// the server does.
func modelStatic(t *testing.T) map[int][]map[string]any {
	t.Helper()
	file, err := os.ReadFile("model/tokens_2021-03-01.json")
	require.NoError(t, err)
	var at any
	require.NoError(t, json.Unmarshal(file, &at))
	for _, name := range []string{"paths", tokensPath, "post", "responses"} {
		at = at.(map[string]any)[name]
	}
	cases := make(map[int][]map[string]any)
	for code, response := range at.(map[string]any) {
		sandbox, ok := response.(map[string]any)["x-amzn-api-sandbox"].(map[string]any)
		if !ok {
			continue
		}
		status, err := strconv.Atoi(code)
		require.NoError(t, err)
		for _, static := range sandbox["static"].([]any) {
			cases[status] = append(cases[status], static.(map[string]any))
		}
	}
	return cases
}

func TestStaticCasesOfTheModel(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedLifetime(time.Minute)
	seller := f.seller()
	cases := modelStatic(t)
	require.Len(t, cases[200], 2)
	require.Len(t, cases[400], 1)
	require.Len(t, cases, 2)
	for status, all := range cases {
		for _, static := range all {
			value := static["request"].(map[string]any)["parameters"].(map[string]any)["body"].(map[string]any)["value"].(map[string]any)
			body, err := json.MarshalIndent(value, "", "  ")
			require.NoError(t, err)
			r := f.restrict(seller, string(body))
			require.Equal(t, status, r.status, "%s", r.raw)
			require.Equal(t, static["response"], any(r.body))
			require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
			if status != 200 {
				f.spError(r, 400, "InvalidRequest", "Request is missing or has invalid parameters", "Resource not provided.")
				continue
			}
			token := r.text("restrictedDataToken")
			opened, ok := f.RestrictedOf(token)
			require.True(t, ok)
			require.Equal(t, "seller-one", opened.Account)
			require.Equal(t, 200, f.open(ordersPath+"/943-12-123434/address", token).status)

			value["targetApplication"] = "another"
			other, err := json.Marshal(value)
			require.NoError(t, err)
			require.NotEqual(t, token, f.restricted(seller, string(other)))
		}
	}
	f.clock.Advance(time.Hour - time.Second)
	_, ok := f.RestrictedOf("Atz.sprdt|IQEBLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR")
	require.True(t, ok, "its answer said an hour")
	f.spError(f.restrict("", `{}`), 403, unauthorized, deniedText, "Access token is missing in the request header.")
}
