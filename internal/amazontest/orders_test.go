// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const orderID = "902-1111111-2222222"

func (f *fixture) open(path, token string) result {
	f.t.Helper()
	return f.sp(http.MethodGet, path, token, "", "")
}

// payload is what an operation of the Orders API shows.
func (f *fixture) payload(path, token string) map[string]any {
	f.t.Helper()
	r := f.open(path, token)
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	require.Equal(f.t, "application/json", r.header.Get("Content-Type"))
	require.NotEmpty(f.t, r.header.Get("x-amzn-RateLimit-Limit"))
	payload, _ := r.body["payload"].(map[string]any)
	return payload
}

func (f *fixture) deniedTo(path, token, details string) {
	f.t.Helper()
	f.spError(f.open(path, token), 403, unauthorized, deniedText, details)
}

// order is the first of a list, or the one that was asked for.
func order(payload map[string]any) map[string]any {
	if list, ok := payload["Orders"].([]any); ok {
		return list[0].(map[string]any)
	}
	return payload
}

func TestOrdersShowWhatTheTokenOpens(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	for _, c := range []struct{ asked, opened string }{
		{ordersPath, ordersPath},
		{"/orders/v0/orders/{orderId}", ordersPath + "/" + orderID},
		{ordersPath + "/" + orderID, ordersPath + "/" + orderID},
	} {
		plain := order(f.payload(c.opened, seller))
		require.Equal(t, "seller-one-1", plain["SellerOrderId"])
		for element, member := range map[string]string{
			"buyerInfo": "BuyerInfo", "shippingAddress": "ShippingAddress", "buyerTaxInformation": "BuyerTaxInformation",
		} {
			require.NotContains(t, plain, member)
			shown := order(f.payload(c.opened, f.restricted(seller, resources("GET", c.asked, element))))
			require.NotEmpty(t, shown[member], "%s of %s", element, c.asked)
			delete(shown, member)
			require.Equal(t, plain, shown, "nothing else")
		}
	}
	require.Equal(t, orderID, f.payload(ordersPath+"/"+orderID, seller)["AmazonOrderId"])
	both := f.restricted(seller, list(
		resource("GET", ordersPath+"/"+orderID, "buyerInfo"), resource("GET", ordersPath+"/{orderId}", "shippingAddress")))
	require.Contains(t, f.payload(ordersPath+"/"+orderID, both), "BuyerInfo")
	require.Contains(t, f.payload(ordersPath+"/"+orderID, both), "ShippingAddress")
	require.NotContains(t, f.payload(ordersPath+"/1", both), "BuyerInfo")
	require.Contains(t, f.payload(ordersPath+"/1", both), "ShippingAddress")
}

func TestOrderItems(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	const path = ordersPath + "/" + orderID + "/orderItems"
	item := func(token string) map[string]any {
		payload := f.payload(path, token)
		require.Equal(t, orderID, payload["AmazonOrderId"])
		return payload["OrderItems"].([]any)[0].(map[string]any)
	}
	require.NotContains(t, item(seller), "BuyerInfo")
	require.Contains(t, item(f.restricted(seller, resources("GET", path, "buyerInfo"))), "BuyerInfo")
	require.NotContains(t, item(f.restricted(seller, resources("GET", path))), "BuyerInfo")
}

func TestOperationsThatNeedARestrictedDataToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	address, buyer := ordersPath+"/"+orderID+"/address", ordersPath+"/"+orderID+"/buyerInfo"
	for _, path := range []string{address, buyer, documents + "/one"} {
		f.deniedTo(path, seller, "")
		f.deniedTo(path, f.grantless(amazontest.ScopeNotifications), "")
		f.deniedTo(path, "", "Access token is missing in the request header.")
		f.deniedTo(path, "Atz.sprdt|nobody", malformedText)
	}
	shown := f.payload(address, f.restricted(seller, resources("GET", addressOfAny)))
	require.Equal(t, orderID, shown["AmazonOrderId"])
	require.NotEmpty(t, shown["ShippingAddress"])

	delegated := f.restricted(seller, `{"targetApplication":"amzn1.sp.solution.other",`+list(resource("GET", buyer))[1:])
	shown = f.payload(buyer, delegated)
	require.Equal(t, orderID, shown["AmazonOrderId"])
	require.NotEmpty(t, shown["BuyerEmail"])

	r := f.open(documents+"/one", f.restricted(seller, resources("GET", documents+"/one")))
	require.JSONEq(t, `{"reportDocumentId":"one","url":"https://reports.example.com/one"}`, string(r.raw))
	f.DenyDocument("two")
	require.Equal(t, 200, f.open(documents+"/two", seller).status, "nothing restricted in it")
	f.deniedTo(documents+"/two", f.restricted(seller, resources("GET", documents+"/one")), "")
	f.deniedTo(documents+"/two", f.grantless(amazontest.ScopeNotifications), "")
}

func TestRestrictedDataTokenCoversItsOperationsOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedQuota(0, 0)
	seller := f.seller()
	opened := []string{
		ordersPath,
		ordersPath + "/" + orderID,
		ordersPath + "/" + orderID + "/address",
		ordersPath + "/" + orderID + "/buyerInfo",
		ordersPath + "/" + orderID + "/orderItems",
		ordersPath + "/other",
		ordersPath + "/other/address",
		documents + "/one",
		documents + "/two",
		"/sellers/v1/marketplaceParticipations",
		"/notifications/v1/destinations",
		"/authorization/v1/authorizationCode",
	}
	f.OfferMigration(clientID, partner, developerID, mwsToken)
	for asked, want := range map[string][]string{
		resources("GET", ordersPath):                                           {opened[0]},
		resources("GET", ordersPath+"/{orderId}"):                              {opened[1], opened[5]},
		resources("GET", ordersPath+"/"+orderID):                               {opened[1]},
		resources("GET", ordersPath+"/902%2D1111111%2D2222222"):                {opened[1]},
		resources("GET", addressOfAny):                                         {opened[2], opened[6]},
		resources("GET", ordersPath+"/other/address"):                          {opened[6]},
		resources("GET", ordersPath+"/{orderId}/buyerInfo"):                    {opened[3]},
		resources("GET", ordersPath+"/{orderId}/orderItems"):                   {opened[4]},
		resources("GET", documents+"/two"):                                     {opened[8]},
		resources("DELETE", "/mfn/v0/shipments/{shipmentId}"):                  nil,
		resources("GET", ordersPath+"/{orderId}/regulatedInfo"):                nil,
		resources("GET", ordersPath+"/x/orderItems/buyerInfo"):                 nil,
		resources("GET", "/vendor/directFulfillment/orders/v1/purchaseOrders"): nil,
		list(resource("GET", documents+"/one"), resource("GET", ordersPath)):   {opened[0], opened[7]},
	} {
		token := f.restricted(seller, asked)
		var got []string
		for _, path := range opened {
			r := f.open(path, token)
			if r.status == 200 {
				got = append(got, path)
				continue
			}
			f.spError(r, 403, unauthorized, deniedText, "")
		}
		require.Equal(t, want, got, asked)
	}
}

func TestTokensOfOperationsExpire(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SetRestrictedLifetime(time.Minute)
	seller := f.seller()
	rdt := f.restricted(seller, resources("GET", ordersPath))
	grantless := f.grantless(amazontest.ScopeNotifications)
	f.clock.Advance(time.Minute)
	f.deniedTo(ordersPath, rdt, expiredText)
	f.payload(ordersPath, seller)
	f.clock.Advance(time.Hour)
	f.deniedTo(ordersPath, seller, expiredText)
	f.deniedTo("/notifications/v1/destinations", grantless, expiredText)
}

func TestDestinationsAreGrantless(t *testing.T) {
	t.Parallel()
	f := start(t)
	const path = "/notifications/v1/destinations"
	r := f.open(path, f.grantless(amazontest.ScopeNotifications+" "+amazontest.ScopeRotation))
	require.Equal(t, 200, r.status)
	require.Equal(t, "1.0", r.header.Get("x-amzn-RateLimit-Limit"))
	require.JSONEq(t, `{"payload":[{"destinationId":"00000000-0000-4000-8000-000000000001","name":"Destination",
		"resource":{"sqs":{"arn":"arn:aws:sqs:us-east-1:000000000000:destination"}}}]}`, string(r.raw))
	seller := f.seller()
	f.deniedTo(path, seller, "")
	f.deniedTo(path, f.grantless(amazontest.ScopeRotation), "")
	f.deniedTo(path, f.restricted(seller, resources("GET", ordersPath)), "")
	f.deniedTo(path, "Atza|nobody", malformedText)
	f.deniedTo(ordersPath, f.grantless(amazontest.ScopeNotifications), "")
}

func TestPathsThatAreNotServed(t *testing.T) {
	t.Parallel()
	f := start(t)
	seller := f.seller()
	for _, path := range []string{
		"/orders/v0", ordersPath + "/1/regulatedInfo", ordersPath + "/1/Address", "/mfn/v0/shipments/1", ordersPath + "/1%2Faddress",
	} {
		f.spError(f.open(path, seller), 403, "MissingAuthenticationToken", deniedText, "")
	}
	for _, path := range []string{ordersPath, "/notifications/v1/destinations"} {
		f.spError(f.sp(http.MethodPost, path, seller, "application/json", "{}"), 403, "MissingAuthenticationToken", deniedText, "")
	}
	f.spError(f.open(ordersPath+"/%7BorderId%7D", seller), 400, "InvalidInput", badInputText, "")
	f.payload(ordersPath+"?MarketplaceIds=ATVPDKIKX0DER", seller)
}
