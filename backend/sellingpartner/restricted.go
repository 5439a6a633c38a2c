// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner

import (
	"fmt"
	"slices"
	"strings"
)

// The data elements that a restricted data token may open within an order.
// Source: selling-partner-api-models, Tokens API.
const (
	buyerInfo           = "buyerInfo"
	shippingAddress     = "shippingAddress"
	buyerTaxInformation = "buyerTaxInformation"
)

// Methods lists the methods of restricted operations.
// Source: selling-partner-api-models, Tokens API.
func Methods() []string { return []string{"GET", "PUT", "POST", "DELETE"} }

// DataElements lists the data elements.
func DataElements() []string { return []string{buyerInfo, shippingAddress, buyerTaxInformation} }

// restrictedOperation is an operation that needs a restricted data token.
type restrictedOperation struct {
	path         string // with the names of its placeholders
	methods      []string
	dataElements []string
	specific     bool // Amazon resolves no placeholder of it
}

// restrictedOperations are those known when this was written; Amazon adds others,
// and versions of its APIs change their paths.
// Source: SP-API documentation, "Tokens API use case guide".
func restrictedOperations() []restrictedOperation {
	const (
		orders   = "/orders/v0/orders"
		mfn      = "/mfn/v0/shipments"
		vendor   = "/vendor/directFulfillment/"
		shipping = vendor + "shipping/"
	)
	get, all := []string{"GET"}, DataElements()
	operations := []restrictedOperation{
		{path: orders, methods: get, dataElements: all},
		{path: orders + "/{orderId}", methods: get, dataElements: all},
		{path: orders + "/{orderId}/orderItems", methods: get, dataElements: []string{buyerInfo}},
		{path: orders + "/{orderId}/orderItems/buyerInfo", methods: get},
		{path: orders + "/{orderId}/address", methods: get},
		{path: orders + "/{orderId}/buyerInfo", methods: get},
		{path: orders + "/{orderId}/regulatedInfo", methods: get},
		{path: mfn, methods: []string{"POST"}},
		{path: mfn + "/{shipmentId}", methods: []string{"GET", "DELETE"}},
		{path: mfn + "/{shipmentId}/cancel", methods: []string{"PUT"}},
		{path: "/easyShip/2022-03-23/packages/bulk", methods: []string{"POST"}},
		{path: "/reports/2021-06-30/documents/{reportDocumentId}", methods: get, specific: true},
		{path: "/fba/outbound/brazil/v0/shipments/{shipmentId}", methods: get},
		{path: "/shipping/v1/shipments/{shipmentId}", methods: get},
		{path: shipping + "v1/shippingLabels/{purchaseOrderNumber}", methods: get},
		{path: shipping + "2021-12-28/shippingLabels", methods: get},
		{path: shipping + "2021-12-28/shippingLabels/{purchaseOrderNumber}", methods: []string{"GET", "POST"}},
	}
	for _, version := range []string{"v1", "2021-12-28"} {
		for _, path := range []string{vendor + "orders/" + version + "/purchaseOrders", shipping + version + "/packingSlips", shipping + version + "/customerInvoices"} {
			operations = append(operations,
				restrictedOperation{path: path, methods: get},
				restrictedOperation{path: path + "/{purchaseOrderNumber}", methods: get})
		}
	}
	return operations
}

// Placeholders lists the names of the placeholders of a path, in order.
func Placeholders(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := placeholder(segment); ok {
			names = append(names, name)
		}
	}
	return names
}

// IsSpecific reports whether the path has a value where the operation has a
// placeholder, as far as the operation is known.
func (r RestrictedResource) IsSpecific() bool {
	operations := restrictedOperations()
	at := slices.IndexFunc(operations, func(o restrictedOperation) bool { return o.matches(r.Path) })
	return at >= 0 && len(Placeholders(r.Path)) < len(Placeholders(operations[at].path))
}

// placeholder is the name in a segment of a path that is a placeholder.
func placeholder(segment string) (name string, ok bool) {
	inner, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(inner, "}")
	return name, opened && closed && name != ""
}

// Doubts says why Amazon may refuse a resource. supplied are the placeholders that
// a value takes the place of before Amazon sees them.
func (r RestrictedResource) Doubts(supplied []string) []string {
	operations := restrictedOperations()
	at := slices.IndexFunc(operations, func(o restrictedOperation) bool { return o.matches(r.Path) })
	if at < 0 {
		return []string{"is no path of a restricted operation that is known here; Amazon refuses what it does not know"}
	}
	known := operations[at]
	var doubts []string
	if !slices.Contains(known.methods, r.Method) {
		doubts = append(doubts, fmt.Sprintf("is not a restricted operation with method %s, but with %s", r.Method, strings.Join(known.methods, " and ")))
	}
	for _, element := range r.DataElements {
		if !slices.Contains(known.dataElements, element) {
			doubts = append(doubts, fmt.Sprintf("does not take the data element %s; it takes %s", element, orNone(known.dataElements)))
		}
	}
	return append(doubts, known.doubtsOf(r.Path, supplied)...)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// matches reports whether a path is the operation's, with values or placeholders
// of any name.
func (o restrictedOperation) matches(path string) bool {
	want, got := strings.Split(o.path, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(want, got string) bool {
		_, isPlaceholder := placeholder(want)
		return isPlaceholder || want == got
	})
}

// doubtsOf are those about the placeholders of a path that matches.
func (o restrictedOperation) doubtsOf(path string, supplied []string) []string {
	var doubts []string
	want := strings.Split(o.path, "/")
	for at, segment := range strings.Split(path, "/") {
		name, isPlaceholder := placeholder(segment)
		switch {
		case !isPlaceholder || slices.Contains(supplied, name):
		case o.specific:
			doubts = append(doubts, fmt.Sprintf("needs a specific value for {%s}: name it in path_parameters", name))
		case segment != want[at]:
			doubts = append(doubts, fmt.Sprintf("has the placeholder {%s}, which Amazon calls %s", name, want[at]))
		}
	}
	return doubts
}
