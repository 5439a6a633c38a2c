// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const addressPath = "/orders/v0/orders/{orderId}/address"

func addresses() sellingpartner.RestrictedRequest {
	return sellingpartner.RestrictedRequest{RestrictedResources: []sellingpartner.RestrictedResource{{Method: "GET", Path: addressPath}}}
}

// newTokenFixture has the access token of a selling partner.
func newTokenFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.accessToken = accessToken(t, f.amazon, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.amazon.Authorize(clientID, "acme")}})
	return f
}

func (f *fixture) restricted(limit time.Duration, request sellingpartner.RestrictedRequest) (sellingpartner.RestrictedDataToken, *fault.Error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), limit)
	defer cancel()
	token, err := f.client.RestrictedDataToken(ctx, f.amazon.SPAPIEndpoint(), f.accessToken, request, func() { f.repeated++ })
	if err == nil {
		return token, nil
	}
	require.NotContains(f.t, err.Error(), f.accessToken.Reveal())
	require.NotContains(f.t, err.Error(), "127.0.0.1")
	require.True(f.t, token.Token.IsZero())
	return token, fault.Of(err)
}

func TestRestrictedDataToken(t *testing.T) {
	t.Parallel()
	f := newTokenFixture(t)
	token, err := f.restricted(time.Minute, addresses())
	require.Nil(t, err)
	require.Equal(t, time.Hour, token.Lifetime)
	require.NotEmpty(t, token.RequestID)
	known, live := f.amazon.RestrictedOf(token.Token.Reveal())
	require.True(t, live)
	require.Equal(t, "acme", known.Account)

	full := sellingpartner.RestrictedRequest{TargetApplication: "amzn1.sp.solution.other", RestrictedResources: []sellingpartner.RestrictedResource{
		{Method: "GET", Path: "/orders/v0/orders", DataElements: []string{"buyerInfo", "shippingAddress"}},
		{Method: "GET", Path: addressPath, DataElements: []string{}},
	}}
	_, err = f.restricted(time.Minute, full)
	require.Nil(t, err)
	bodies := f.amazon.RestrictedBodies()
	require.JSONEq(t, `{"restrictedResources":[{"method":"GET","path":"/orders/v0/orders/{orderId}/address"}]}`, bodies[0])
	require.JSONEq(t, `{"targetApplication":"amzn1.sp.solution.other","restrictedResources":[
		{"method":"GET","path":"/orders/v0/orders","dataElements":["buyerInfo","shippingAddress"]},
		{"method":"GET","path":"/orders/v0/orders/{orderId}/address"}]}`, bodies[1], "no member is null")
}

// The static cases of the model's sandbox come through as they are.
func TestSandboxOfTheTokensAPI(t *testing.T) {
	t.Parallel()
	f := newTokenFixture(t)
	for _, c := range []struct {
		target, path, token string
	}{
		{"amzn1.sellerapps.app.target-application", addressPath, "Atz.sprdt|IQEBLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR"},
		{"", "/orders/v0/orders/943-12-123434/address", "Atz.sprdt|AODFNESLjAsAhRmHjNgHpi0U-Dme37rR6CuUpSR"},
	} {
		token, err := f.restricted(time.Minute, sellingpartner.RestrictedRequest{
			TargetApplication:   c.target,
			RestrictedResources: []sellingpartner.RestrictedResource{{Method: "GET", Path: c.path}},
		})
		require.Nil(t, err)
		require.Equal(t, c.token, token.Token.Reveal())
		require.Equal(t, time.Hour, token.Lifetime)
	}
	_, err := f.restricted(time.Minute, sellingpartner.RestrictedRequest{
		TargetApplication:   "amzn1.sellerapps.app.target-application",
		RestrictedResources: []sellingpartner.RestrictedResource{{Path: "/orders/v1/orders/902-1845936-5435065/address"}},
	})
	require.Equal(t, fault.InvalidResources, err.Kind)
	require.Contains(t, err.Error(), "InvalidRequest: Resource not provided.")
}

func TestRefusedResources(t *testing.T) {
	t.Parallel()
	f := newTokenFixture(t)
	f.amazon.DenyDataElements("buyerInfo")
	request := addresses()
	request.RestrictedResources[0] = sellingpartner.RestrictedResource{Method: "GET", Path: "/orders/v0/orders", DataElements: []string{"buyerInfo"}}
	_, err := f.restricted(time.Minute, request)
	require.Equal(t, fault.InvalidResources, err.Kind)
	require.Contains(t, err.Error(), "InvalidInput: Application does not have access to one or more requested data elements: [buyerInfo]")
	require.Regexp(t, `HTTP 400, request id [0-9a-f-]+`, err.Error())

	f.accessToken = credential.New("Atza|garbled")
	_, err = f.restricted(time.Minute, addresses())
	require.Equal(t, fault.AccessTokenRefused, err.Kind)
	require.Contains(t, err.Error(), "revoked, malformed or invalid")

	f.client = sellingpartner.New(sellingpartner.Options{Permit: func(string) error { return errors.New("is not allowed") }})
	_, err = f.restricted(time.Minute, addresses())
	require.Equal(t, fault.EndpointForbidden, err.Kind)
}

// What every fault of the SP-API becomes here; the call may be repeated.
func TestFaultsOfTheTokensAPI(t *testing.T) {
	t.Parallel()
	here := map[amazontest.FaultKind]fault.Kind{
		amazontest.FaultBadRequestNotJSON: fault.InvalidResources, amazontest.FaultForbidden: fault.AccessDenied, amazontest.FaultEcho: fault.InvalidResources,
		amazontest.FaultExpiresInString: succeeded, amazontest.FaultExpiresInHuge: succeeded, amazontest.FaultExpiresInOverflow: succeeded,
	}
	for _, kind := range amazontest.RestrictedFaults() {
		want, known := outcomes()[kind]
		if !known { // about expiresIn
			want = outcome{fault.BadAnswer, 1}
		}
		if other, differs := here[kind]; differs {
			want.kind = other
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newTokenFixture(t)
			send, limit := amazontest.Fault{Kind: kind}, time.Minute
			switch kind {
			case amazontest.FaultHang, amazontest.FaultSlowBody:
				limit = time.Second // these only end with it
			case amazontest.FaultDelay:
				send.Delay = time.Millisecond
			}
			f.amazon.SetSellingPartnerFault(send)
			token, err := f.restricted(limit, addresses())
			require.Len(t, f.amazon.RestrictedBodies(), want.calls)
			require.Equal(t, want.calls-1, f.repeated, "each repetition is told")
			require.Zero(t, f.amazon.RedirectsFollowed())
			if want.kind == succeeded {
				require.Nil(t, err)
				require.True(t, token.Lifetime >= 10*time.Second && token.Lifetime <= 24*time.Hour, token.Lifetime)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, want.kind, err.Kind, err)
		})
	}
}

// What cannot travel in a header is no token.
func TestUnusableRestrictedDataTokens(t *testing.T) {
	t.Parallel()
	f := newTokenFixture(t)
	for _, token := range []string{"a b", `a\n`, "ä", strings.Repeat("a", 64<<10+1)} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"restrictedDataToken":"`+token+`","expiresIn":3600}`)
		}))
		_, err := f.client.RestrictedDataToken(t.Context(), server.URL, f.accessToken, addresses(), func() {})
		server.Close()
		require.Equal(t, fault.BadAnswer, fault.KindOf(err))
		require.ErrorContains(t, err, "restrictedDataToken is missing or not a token")
	}
}

func TestNormalizedRequests(t *testing.T) {
	t.Parallel()
	resource := func(method, path string, dataElements ...string) sellingpartner.RestrictedResource {
		return sellingpartner.RestrictedResource{Method: method, Path: path, DataElements: dataElements}
	}
	given := sellingpartner.RestrictedRequest{RestrictedResources: []sellingpartner.RestrictedResource{
		resource("GET", "/b"), resource("GET", "/a", "shippingAddress", "buyerInfo"), resource("DELETE", "/b"), resource("GET", "/a", "buyerInfo"),
	}}
	before := string(given.Body())
	require.Equal(t, []sellingpartner.RestrictedResource{
		resource("GET", "/a", "buyerInfo"), resource("GET", "/a", "buyerInfo", "shippingAddress"), resource("DELETE", "/b"), resource("GET", "/b"),
	}, given.Normalized().RestrictedResources)
	require.Equal(t, before, string(given.Body()), "the request stays as it is")
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"orderId", "x"}, sellingpartner.Placeholders("/a/{orderId}/b/{x}"))
	for _, path := range []string{"/a", "/a/{}", "/a/{b", "/a/b}", "/a{b}", ""} {
		require.Empty(t, sellingpartner.Placeholders(path), path)
	}
}

// The list of restricted operations names no path twice, and Amazon's simulation
// agrees with each of its lines.
func TestKnownOperations(t *testing.T) {
	t.Parallel()
	for path, methods := range map[string]string{
		"/orders/v0/orders/{orderId}/regulatedInfo": "GET", "/orders/v0/orders/{orderId}/orderItems/buyerInfo": "GET", "/orders/v0/orders/{orderId}/buyerInfo": "GET",
		"/mfn/v0/shipments": "POST", "/mfn/v0/shipments/{shipmentId}": "GET DELETE", "/mfn/v0/shipments/{shipmentId}/cancel": "PUT",
		"/easyShip/2022-03-23/packages/bulk": "POST", "/fba/outbound/brazil/v0/shipments/{shipmentId}": "GET", "/shipping/v1/shipments/{shipmentId}": "GET",
		"/vendor/directFulfillment/orders/v1/purchaseOrders": "GET", "/vendor/directFulfillment/orders/2021-12-28/purchaseOrders/{purchaseOrderNumber}": "GET",
		"/vendor/directFulfillment/shipping/v1/shippingLabels/{purchaseOrderNumber}": "GET", "/vendor/directFulfillment/shipping/2021-12-28/shippingLabels": "GET",
		"/vendor/directFulfillment/shipping/2021-12-28/shippingLabels/{purchaseOrderNumber}": "GET POST",
		"/vendor/directFulfillment/shipping/v1/customerInvoices":                             "GET", "/vendor/directFulfillment/shipping/2021-12-28/customerInvoices/{purchaseOrderNumber}": "GET",
		"/vendor/directFulfillment/shipping/v1/packingSlips/{purchaseOrderNumber}": "GET", "/vendor/directFulfillment/shipping/2021-12-28/packingSlips": "GET",
	} {
		for _, method := range sellingpartner.Methods() {
			f := newTokenFixture(t)
			resource := sellingpartner.RestrictedResource{Method: method, Path: path}
			_, err := f.restricted(time.Minute, sellingpartner.RestrictedRequest{RestrictedResources: []sellingpartner.RestrictedResource{resource}})
			doubts := resource.Doubts(nil)
			require.Equal(t, strings.Contains(methods, method), len(doubts) == 0, "%s %s: %v", method, path, doubts)
			require.Equal(t, err == nil, len(doubts) == 0, "%s %s: %v", method, path, doubts)
			require.False(t, resource.IsSpecific(), path)
		}
	}
}
