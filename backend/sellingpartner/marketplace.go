// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner

import (
	"fmt"
	"strings"
)

// Marketplace is one of Amazon's marketplaces.
type Marketplace struct {
	Country       string // ISO 3166 code
	Name          string
	ID            string
	Region        Region
	SellerCentral string // host; where sellers sign in
	VendorCentral string // host; where vendors sign in, empty if not known
}

// Marketplaces lists Amazon's marketplaces. Source: SP-API documentation,
// "Marketplace IDs" and "Seller Central URLs" / "Vendor Central URLs". The
// Seller Central of Ireland is not in it; it comes from public integrations.
func Marketplaces() []Marketplace {
	return []Marketplace{
		{"CA", "Canada", "A2EUQ1WTGCTBG2", NorthAmerica, "sellercentral.amazon.ca", "vendorcentral.amazon.ca"},
		{"US", "United States", "ATVPDKIKX0DER", NorthAmerica, "sellercentral.amazon.com", "vendorcentral.amazon.com"},
		{"MX", "Mexico", "A1AM78C64UM0Y8", NorthAmerica, "sellercentral.amazon.com.mx", "vendorcentral.amazon.com.mx"},
		{"BR", "Brazil", "A2Q3Y263D00KWC", NorthAmerica, "sellercentral.amazon.com.br", "vendorcentral.amazon.com.br"},
		{"IE", "Ireland", "A28R8C7NBKEWEA", Europe, "sellercentral.amazon.ie", ""},
		{"ES", "Spain", "A1RKKUPIHCS9HS", Europe, "sellercentral-europe.amazon.com", "vendorcentral.amazon.es"},
		{"GB", "United Kingdom", "A1F83G8C2ARO7P", Europe, "sellercentral-europe.amazon.com", "vendorcentral.amazon.co.uk"},
		{"FR", "France", "A13V1IB3VIYZZH", Europe, "sellercentral-europe.amazon.com", "vendorcentral.amazon.fr"},
		{"BE", "Belgium", "AMEN7PMS3EDWL", Europe, "sellercentral.amazon.com.be", "vendorcentral.amazon.com.be"},
		{"NL", "Netherlands", "A1805IZSGTT6HS", Europe, "sellercentral.amazon.nl", "vendorcentral.amazon.nl"},
		{"DE", "Germany", "A1PA6795UKMFR9", Europe, "sellercentral-europe.amazon.com", "vendorcentral.amazon.de"},
		{"IT", "Italy", "APJ6JRA9NG5V4", Europe, "sellercentral-europe.amazon.com", "vendorcentral.amazon.it"},
		{"SE", "Sweden", "A2NODRKZP88ZB9", Europe, "sellercentral.amazon.se", "vendorcentral.amazon.se"},
		{"ZA", "South Africa", "AE08WJ6YKNBMC", Europe, "sellercentral.amazon.co.za", ""},
		{"PL", "Poland", "A1C3SOZRARQ6R3", Europe, "sellercentral.amazon.pl", "vendorcentral.amazon.pl"},
		{"EG", "Egypt", "ARBP9OOSHTCHU", Europe, "sellercentral.amazon.eg", "vendorcentral.amazon.me"},
		{"TR", "Turkey", "A33AVAJ2PDY3EV", Europe, "sellercentral.amazon.com.tr", "vendorcentral.amazon.com.tr"},
		{"SA", "Saudi Arabia", "A17E79C6D8DWNP", Europe, "sellercentral.amazon.sa", "vendorcentral.amazon.me"},
		{"AE", "United Arab Emirates", "A2VIGQ35RCS4UG", Europe, "sellercentral.amazon.ae", "vendorcentral.amazon.me"},
		{"IN", "India", "A21TJRUUN4KGV", Europe, "sellercentral.amazon.in", "www.vendorcentral.in"},
		{"SG", "Singapore", "A19VAU5U5O7RUS", FarEast, "sellercentral.amazon.sg", "vendorcentral.amazon.com.sg"},
		{"AU", "Australia", "A39IBJ37TRP1C6", FarEast, "sellercentral.amazon.com.au", "vendorcentral.amazon.com.au"},
		{"JP", "Japan", "A1VC38T7YXB528", FarEast, "sellercentral.amazon.co.jp", "vendorcentral.amazon.co.jp"},
	}
}

// FindMarketplace returns the marketplace with that country code, in either
// case, or id. UK is taken for GB, as Amazon's own samples do.
func FindMarketplace(countryOrID string) (Marketplace, error) {
	wanted := strings.ToUpper(countryOrID)
	if wanted == "UK" {
		wanted = "GB"
	}
	var known []string
	for _, m := range Marketplaces() {
		if wanted == m.Country || wanted == m.ID {
			return m, nil
		}
		known = append(known, m.Country)
	}
	return Marketplace{}, fmt.Errorf("is not a marketplace known here; known are %s, and their marketplace ids", strings.Join(known, ", "))
}
