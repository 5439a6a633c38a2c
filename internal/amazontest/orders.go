// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"net/http"
	"slices"
	"time"
)

const (
	ordersPath       = "/orders/v0/orders"
	orderPath        = ordersPath + "/{orderId}"
	addressPath      = orderPath + "/address"
	buyerInfoPath    = orderPath + "/buyerInfo"
	orderItemsPath   = orderPath + "/orderItems"
	documentsPath    = "/reports/2021-06-30/documents/{reportDocumentId}"
	destinationsPath = "/notifications/v1/destinations"

	// The rates are those of the models of the Orders, Reports and Notifications APIs.
	ordersRate        = "0.0167"
	orderRate         = "0.5"
	documentsRate     = "0.0167"
	destinationsRate  = "1.0"
	listedOrderID     = "902-0000000-0000001"
	destinationsReply = `{"payload":[{"destinationId":"00000000-0000-4000-8000-000000000001","name":"Destination",` +
		`"resource":{"sqs":{"arn":"arn:aws:sqs:us-east-1:000000000000:destination"}}}]}`
)

// members is an object of an answer.
type members map[string]any

// opening is what a token shows of an operation.
type opening struct {
	account    string
	restricted bool     // by a restricted data token
	elements   []string // dataElements of that
}

// operationToken is the rule for the token of a restricted operation: a restricted
// data token that covers it, or, where that is enough, one of a selling partner.
// The caller holds s.mu.
func (s *Server) operationToken(q *spRequest, op restrictedOperation, value string, now time.Time) (opening, reply, bool) {
	t, details, ok := s.registry.admits(q.token, now)
	switch {
	case !ok:
		return opening{}, unauthorized(details), false
	case t.ofPartner() && !s.registry.restricting.needsRestricted(op, value):
		return opening{account: t.account}, reply{}, true
	case t.restricted == nil:
		return opening{}, unauthorized(""), false
	}
	elements, covered := t.restricted.covers(op, value)
	if !covered {
		return opening{}, unauthorized(""), false
	}
	return opening{t.account, true, elements}, reply{}, true
}

// needsRestricted is about operations that show nothing else than what is
// restricted, and about documents (see DenyDocument).
func (c *restricting) needsRestricted(op restrictedOperation, value string) bool {
	switch op.path {
	case ordersPath, orderPath, orderItemsPath:
		return false
	case documentsPath:
		_, unrestricted := c.deniedDocuments[value]
		return !unrestricted
	}
	return true
}

// openRestricted is the restricted operations that are simulated. Of a request it
// looks at the path and the token only. The caller holds s.mu.
func (s *Server) openRestricted(q *spRequest, now time.Time) reply {
	op, value, ok := findRestricted(q.method, q.path)
	show, rate := shownBy(op.path)
	if !ok || show == nil {
		return missingAuthentication()
	}
	o, refused, ok := s.operationToken(q, op, value, now)
	if !ok {
		return refused
	}
	if isPlaceholder(value) {
		return badRestriction() // for all operations with a parameter (the model's static case of getOrder)
	}
	return ratedReply(mustJSON(show(o, value)), rate)
}

func shownBy(path string) (show func(o opening, id string) members, rate string) {
	switch path {
	case ordersPath:
		return showOrders, ordersRate
	case orderPath:
		return showOrder, orderRate
	case orderItemsPath:
		return showItems, orderRate
	case addressPath:
		return showAddress, orderRate
	case buyerInfoPath:
		return showBuyer, orderRate
	case documentsPath:
		return showDocument, documentsRate
	}
	return nil, ""
}

func showOrders(o opening, _ string) members {
	return members{"payload": members{"Orders": []members{o.order(listedOrderID)}}}
}

func showOrder(o opening, id string) members { return members{"payload": o.order(id)} }

func showItems(o opening, id string) members {
	item := members{
		"ASIN": "B000000001", "OrderItemId": "00000000000001", "SellerSKU": "SKU-1",
		"Title": "Teapot", "QuantityOrdered": 1, "QuantityShipped": 0,
	}
	if o.shows(elementBuyerInfo) {
		item["BuyerInfo"] = members{"GiftMessageText": "Many happy returns", "GiftWrapLevel": "Classic"}
	}
	return members{"payload": members{"AmazonOrderId": id, "OrderItems": []members{item}}}
}

func showAddress(_ opening, id string) members {
	return members{"payload": members{"AmazonOrderId": id, "ShippingAddress": shippingAddress()}}
}

func showBuyer(_ opening, id string) members {
	buyer := buyerInfo()
	buyer["AmazonOrderId"] = id
	return members{"payload": buyer}
}

func showDocument(_ opening, id string) members {
	return members{"reportDocumentId": id, "url": "https://reports.example.com/" + id}
}

func (o opening) shows(element string) bool {
	return o.restricted && slices.Contains(o.elements, element)
}

// order tells whose it is in SellerOrderId, which sellers choose.
func (o opening) order(id string) members {
	order := members{
		"AmazonOrderId": id, "SellerOrderId": o.account + "-1", "OrderStatus": "Unshipped",
		"PurchaseDate": "2025-03-01T09:00:00Z", "LastUpdateDate": "2025-03-01T09:30:00Z",
		"MarketplaceId": "ATVPDKIKX0DER", "NumberOfItemsShipped": 0, "NumberOfItemsUnshipped": 1,
	}
	if o.shows(elementBuyerInfo) {
		order["BuyerInfo"] = buyerInfo()
	}
	if o.shows(elementShippingAddress) {
		order["ShippingAddress"] = shippingAddress()
	}
	if o.shows(elementTaxInformation) {
		order["BuyerTaxInformation"] = members{"BuyerLegalCompanyName": "Doe Trading", "BuyerTaxRegistrationId": "XX0000001"}
	}
	return order
}

func buyerInfo() members {
	return members{"BuyerEmail": "buyer-1@marketplace.example.com", "BuyerName": "Jane Doe"}
}

func shippingAddress() members {
	return members{
		"Name": "Jane Doe", "AddressLine1": "1 Example Street", "City": "Springfield",
		"StateOrRegion": "WA", "PostalCode": "00001", "CountryCode": "US",
	}
}

// destinations is getDestinations, which is grantless. The caller holds s.mu.
func (s *Server) destinations(q *spRequest, now time.Time) reply {
	t, details, ok := s.registry.admits(q.token, now)
	if !ok || !slices.Contains(t.scopes, ScopeNotifications) {
		return unauthorized(details)
	}
	return ratedReply([]byte(destinationsReply), destinationsRate)
}

func ratedReply(body []byte, rate string) reply {
	rep := spReply(body)
	rep.header = http.Header{"X-Amzn-Ratelimit-Limit": {rate}}
	return rep
}
