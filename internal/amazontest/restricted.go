// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	elementBuyerInfo       = "buyerInfo"
	elementShippingAddress = "shippingAddress"
	elementTaxInformation  = "buyerTaxInformation"
)

// restrictedOperation is one that a restricted data token may be for.
type restrictedOperation struct {
	method, path string
	elements     []string // dataElements that it takes
	specific     bool     // the path must be a specific one
}

// restrictedOperations are the ones of the SP-API docs, "Tokens API Use Case
// Guide". Every path has at most one parameter.
func restrictedOperations() []restrictedOperation {
	const (
		orders   = "/orders/v0/orders"
		mfn      = "/mfn/v0/shipments"
		vendor   = "/vendor/directFulfillment"
		number   = "/{purchaseOrderNumber}"
		shipping = vendor + "/shipping/v1"
		later    = vendor + "/shipping/2021-12-28"
	)
	get := func(path string, elements ...string) restrictedOperation {
		return restrictedOperation{method: http.MethodGet, path: path, elements: elements}
	}
	return []restrictedOperation{
		get(orders, elementBuyerInfo, elementShippingAddress, elementTaxInformation),
		get(orders+"/{orderId}", elementBuyerInfo, elementShippingAddress, elementTaxInformation),
		get(orders+"/{orderId}/orderItems", elementBuyerInfo),
		get(orders + "/{orderId}/address"),
		get(orders + "/{orderId}/buyerInfo"),
		get(orders + "/{orderId}/regulatedInfo"),
		get(orders + "/{orderId}/orderItems/buyerInfo"),

		get(mfn + "/{shipmentId}"),
		{method: http.MethodDelete, path: mfn + "/{shipmentId}"},
		{method: http.MethodPut, path: mfn + "/{shipmentId}/cancel"},
		{method: http.MethodPost, path: mfn},
		{method: http.MethodPost, path: "/easyShip/2022-03-23/packages/bulk"},
		get("/fba/outbound/brazil/v0/shipments/{shipmentId}"),
		get("/shipping/v1/shipments/{shipmentId}"),
		{method: http.MethodGet, path: documentsPath, specific: true},

		get(vendor + "/orders/v1/purchaseOrders"),
		get(vendor + "/orders/v1/purchaseOrders" + number),
		get(vendor + "/orders/2021-12-28/purchaseOrders"),
		get(vendor + "/orders/2021-12-28/purchaseOrders" + number),
		get(shipping + "/shippingLabels" + number),
		get(shipping + "/packingSlips"),
		get(shipping + "/packingSlips" + number),
		get(shipping + "/customerInvoices"),
		get(shipping + "/customerInvoices" + number),
		get(later + "/shippingLabels"),
		get(later + "/shippingLabels" + number),
		{method: http.MethodPost, path: later + "/shippingLabels" + number},
		get(later + "/packingSlips"),
		get(later + "/packingSlips" + number),
		get(later + "/customerInvoices"),
		get(later + "/customerInvoices" + number),
	}
}

// match compares with the operation's path. Where that has a parameter, value is
// the one given, or the placeholder itself where that was given.
func (o restrictedOperation) match(method, path string) (value string, ok bool) {
	want, got := strings.Split(o.path, "/"), strings.Split(path, "/")
	if method != o.method || len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		given, err := url.PathUnescape(got[i])
		switch {
		case err != nil:
			return "", false
		case given == segment && isPlaceholder(segment), isPlaceholder(segment) && isValue(given):
			value = given
		case given != segment:
			return "", false
		}
	}
	return value, true
}

func isPlaceholder(segment string) bool { return strings.HasPrefix(segment, "{") }

// isValue tells identifiers from what would change the path, or is the
// placeholder of another operation. What else Amazon refuses is not known.
func isValue(segment string) bool {
	return segment != "" && segment != "." && segment != ".." &&
		!strings.ContainsAny(segment, "/\\{}?#%") &&
		!strings.ContainsFunc(segment, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// findRestricted finds the operation of a method and a path.
func findRestricted(method, path string) (op restrictedOperation, value string, ok bool) {
	for _, op := range restrictedOperations() {
		if value, ok := op.match(method, path); ok {
			return op, value, true
		}
	}
	return op, "", false
}

// Restricted is what a restricted data token opens.
type Restricted struct {
	Account           string
	TargetApplication string // empty unless access was delegated
	Resources         []RestrictedResource
}

// RestrictedResource is as in the model of the Tokens API.
type RestrictedResource struct {
	Method       string   `json:"method"`
	Path         string   `json:"path"`
	DataElements []string `json:"dataElements"`
}

func (r *Restricted) clone() Restricted {
	c := *r
	c.Resources = slices.Clone(r.Resources)
	for i := range c.Resources {
		c.Resources[i].DataElements = slices.Clone(c.Resources[i].DataElements)
	}
	return c
}

// covers tells whether one of the resources is the operation, with any value of
// its parameter or this one, and the dataElements of all that are.
func (r *Restricted) covers(op restrictedOperation, value string) (elements []string, ok bool) {
	for _, resource := range r.Resources {
		given, same := op.match(resource.Method, resource.Path)
		if same && (given == value || isPlaceholder(given)) {
			elements, ok = append(elements, resource.DataElements...), true
		}
	}
	return elements, ok
}
