// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

// Settle waits for exchanges and for what they store.
func (i *Issuer) Settle() { i.flights.Wait() }

// Renew is what a reader does that found the token due.
func (i *Issuer) Renew(account string) { i.renew(i.record(account), 0) }

// Renewing counts the workers that renew tokens ahead of need, and the accounts
// that wait for one.
func (i *Issuer) Renewing() (workers, waiting int) {
	i.renewals.mu.Lock()
	defer i.renewals.mu.Unlock()
	return i.renewals.workers, len(i.renewals.waiting)
}

// LimitDerivations sets how many tokens are kept beside the accounts' own.
func (i *Issuer) LimitDerivations(n int64) { i.maxDerivations = n }

// Derivations counts them.
func (i *Issuer) Derivations() int {
	count := 0
	i.derivations.Range(func(any, any) bool { count++; return true })
	if int64(count) != i.derivationCount.Load() {
		return -1
	}
	return count
}

// Quotas counts the accounts whose rate of restricted data tokens is remembered.
func (i *Issuer) Quotas() int {
	count := 0
	i.quotas.Range(func(any, any) bool { count++; return true })
	return count
}

// Closing reports whether Close was called.
func (i *Issuer) Closing() bool { return i.ctx.Err() != nil }

// Remembered lists the accounts that are in memory.
func (i *Issuer) Remembered() []string {
	var names []string
	i.records.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	return names
}
