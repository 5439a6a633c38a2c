// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"maps"
	"slices"
	"unique"
)

// Metadata is an operator's key=value pairs: each key, in order, followed by its
// value. Every account in use keeps its own in memory, where a map would take
// several times as much.
type Metadata []string

// NewMetadata returns pairs as Metadata; nil if there are none.
func NewMetadata(pairs map[string]string) Metadata {
	if len(pairs) == 0 {
		return nil
	}
	m := make(Metadata, 0, 2*len(pairs))
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		m = append(m, shared(key), pairs[key])
	}
	return m
}

// Map returns the pairs in a new map.
func (m Metadata) Map() map[string]string {
	pairs := make(map[string]string, len(m)/2)
	for i := 0; i+1 < len(m); i += 2 {
		pairs[m[i]] = m[i+1]
	}
	return pairs
}

// MarshalJSON encodes the pairs as an object.
func (m Metadata) MarshalJSON() ([]byte, error) { return json.Marshal(m.Map()) }

// UnmarshalJSON decodes an object of strings.
func (m *Metadata) UnmarshalJSON(encoded []byte) error {
	var pairs map[string]string
	if err := json.Unmarshal(encoded, &pairs); err != nil {
		return err
	}
	*m = NewMetadata(pairs)
	return nil
}

// shared is the one copy of a text that very many accounts have in common.
func shared(text string) string { return unique.Make(text).Value() }

// Shared returns a profile whose common texts are not kept once for each account.
func (p Profile) Shared() *Profile {
	p.Region, p.Kind = shared(p.Region), shared(p.Kind)
	p.MarketplaceIDs = slices.Clone(p.MarketplaceIDs)
	for i, id := range p.MarketplaceIDs {
		p.MarketplaceIDs[i] = shared(id)
	}
	return &p
}
