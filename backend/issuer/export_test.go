// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

// Remembered lists the accounts that are in memory.
func (i *Issuer) Remembered() []string {
	var names []string
	i.records.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	return names
}
