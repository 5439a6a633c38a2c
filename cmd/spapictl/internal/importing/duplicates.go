// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

// duplicates remembers each account with a keyed hash, so that a long file need
// not stay in memory with its credentials.
type duplicates struct {
	key  []byte
	seen map[string]first
}

type first struct {
	place  accountfile.Place
	digest [sha256.Size]byte
}

func newDuplicates() *duplicates {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &duplicates{key: key, seen: map[string]first{}}
}

// add returns where the account stood before, if it did, and whether it says the
// same here.
func (d *duplicates) add(account *accountfile.Account) (before *accountfile.Place, same bool) {
	digest := d.digest(account)
	if earlier, ok := d.seen[account.Name]; ok {
		return &earlier.place, earlier.digest == digest
	}
	d.seen[account.Name] = first{account.Place, digest}
	return nil, false
}

func (d *duplicates) digest(account *accountfile.Account) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, d.key)
	// Texts, lists and maps of texts always encode, and maps in order.
	_ = json.NewEncoder(mac).Encode([]any{account.RefreshToken.Reveal(), account.Settings}) //nolint:errchkjson // as said
	copy(sum[:], mac.Sum(nil))
	return sum
}
