// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"errors"
	"regexp"

	"github.com/hashicorp/vault/sdk/framework"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

const maxMarketplaceIDs = 64

var (
	partnerIDShape   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	marketplaceShape = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
)

// partnerFields is what a request may say about a selling partner, wherever an
// account comes from.
type partnerFields struct {
	region, sellingPartnerID, kind *string
	marketplaceIDs                 *[]string
	metadata                       *store.Metadata
}

// partner reads the fields that describe a selling partner.
func (f *fields) partner(into partnerFields) {
	f.text("region", 16, into.region, "", knownRegion)
	f.text("selling_partner_id", 64, into.sellingPartnerID, "", partnerID)
	f.list("marketplace_ids", into.marketplaceIDs, maxMarketplaceIDs, marketplaceShape, "1 to 32 letters and digits")
	f.text("kind", 16, into.kind, "", func(kind string) error {
		if kind != sellingpartner.Seller && kind != sellingpartner.Vendor {
			return errors.New("must be seller or vendor")
		}
		return nil
	})
	f.pairs("metadata", into.metadata)
}

func partnerID(id string) error {
	if !partnerIDShape.MatchString(id) {
		return errors.New("must be 1 to 64 letters and digits")
	}
	return nil
}

// nameShape takes what framework.GenericNameWithAtRegex takes, for the name of an
// account that does not stand in the path.
var nameShape = regexp.MustCompile("^" + framework.GenericNameWithAtRegex("account") + "$")

// errBadName says what the name of an account looks like.
var errBadName = errors.New("must begin and end with a letter, a digit or an underscore, with those and - . @ between; no slashes")

func accountName(name string) error {
	if !nameShape.MatchString(name) {
		return errBadName
	}
	return nil
}
