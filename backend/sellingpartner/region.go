// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package sellingpartner knows Amazon's Selling Partner API (SP-API).
package sellingpartner

import (
	"slices"
	"strings"
)

// Region is one of the three regions of the SP-API. A refresh token is valid
// in the region in which the account was authorized.
// Source: SP-API documentation, "SP-API Endpoints".
type Region string

// The regions of the SP-API.
const (
	NorthAmerica Region = "na"
	Europe       Region = "eu"
	FarEast      Region = "fe"
)

// Regions lists all regions.
func Regions() []Region { return []Region{NorthAmerica, Europe, FarEast} }

// Valid reports whether r is a region of the SP-API.
func (r Region) Valid() bool { return slices.Contains(Regions(), r) }

// Endpoint is the base URL of the SP-API in this region, without a trailing
// slash. Source: SP-API documentation, "SP-API Endpoints" and "The Selling
// Partner API sandbox".
func (r Region) Endpoint(sandbox bool) string {
	host := "sellingpartnerapi-" + string(r) + ".amazon.com"
	if sandbox {
		host = "sandbox." + host
	}
	return "https://" + host
}

// Endpoints lists the base URLs of all regions, production and sandbox.
func Endpoints() []string {
	var all []string
	for _, sandbox := range []bool{false, true} {
		for _, region := range Regions() {
			all = append(all, region.Endpoint(sandbox))
		}
	}
	return all
}

// RegionNames lists the regions for a message, such as "na, eu, fe".
func RegionNames() string {
	var names []string
	for _, region := range Regions() {
		names = append(names, string(region))
	}
	return strings.Join(names, ", ")
}
