// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// cachedLifetime is that of the tokens which faults find in the cache: so long
// that on no machine they become too old to be given.
const cachedLifetime = 1000 * time.Second

// heldToken is a token in the cache, got between two moments.
type heldToken struct {
	accessToken   string
	before, after time.Time
}

// cacheTokens gives the account of each row a token, and then the row's fault.
func (ms *faultMounts) cacheTokens(t *testing.T, rows []faultRow) map[string]heldToken {
	t.Helper()
	ms.each(func(m *mount) { m.amazon.SetTokenLifetime(cachedLifetime) })
	held := map[string]heldToken{}
	for _, row := range rows {
		m, before := ms.of(row), time.Now()
		m.addAccount(t, row.account, "verify", false)
		a := m.token(t, row.account)
		held[row.account] = heldToken{a.accessToken(), before, time.Now()}
		m.amazon.SetAccountFault(row.account, row.Fault)
	}
	return held
}

// waitForAge waits until all tokens are that old.
func waitForAge(t *testing.T, held map[string]heldToken, age time.Duration) {
	t.Helper()
	waitFor(t, "the tokens to age", func() bool {
		for _, h := range held {
			if time.Since(h.after) < age {
				return false
			}
		}
		return true
	})
}

// A reader who asks for more than the token in the cache has is given that one,
// with a warning, where Amazon may be well soon, and told what is wrong where
// somebody has to act. Either way the token stays for those who ask for less.
func TestEveryFaultBesideAValidToken(t *testing.T) {
	t.Parallel()
	ms, rows := newFaultMounts(t), faultRows(t)
	held := ms.cacheTokens(t, rows)
	waitForAge(t, held, time.Second)
	for _, row := range rows {
		t.Run(row.account, func(t *testing.T) {
			m, had := ms.of(row), held[row.account].accessToken
			a := m.call(t, http.MethodGet, fmt.Sprintf("token/%s?min_ttl=%d", row.account, int(cachedLifetime.Seconds())-1), nil)
			require.Equal(t, 1+row.exchanges, m.amazon.Exchanges(row.account), "%s", a.Raw)
			switch {
			case row.lifetime > 0:
				require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
				require.Empty(t, a.Warnings)
				require.NotEqual(t, had, a.accessToken())
				had = a.accessToken()
			case row.transient():
				require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
				require.Equal(t, had, a.accessToken())
				require.True(t, a.warned("more seconds only, because it could not be renewed: "), "%v", a.Warnings)
				require.True(t, a.warned(row.says), "%v lacks %q", a.Warnings, row.says)
				require.Equal(t, a.number(t, "expires_in"), a.LeaseDuration)
			default:
				row.complains(t, a)
			}
			require.Equal(t, had, m.token(t, row.account).accessToken(), "for those who ask for less")
		})
	}
}

// renewalDue is a min_ttl for which a token of that age is good, but to be
// renewed: its age is four fifths of what it may be, and two thirds suffice.
func renewalDue(age time.Duration) time.Duration {
	mayBe := (age*5/4 + time.Second - 1).Truncate(time.Second)
	return cachedLifetime - mayBe
}

// dueFrom is the age from which whole seconds are fine enough for renewalDue.
const dueFrom = 5 * time.Second

// readAhead reads a token that is due for renewal; false if it was too late to
// tell, because the token may have been too old when the read arrived.
func (r faultRow) readAhead(t *testing.T, m *mount, held heldToken) (a *answer, inTime bool) {
	t.Helper()
	minTTL := renewalDue(time.Since(held.after))
	a = m.call(t, http.MethodGet, fmt.Sprintf("token/%s?min_ttl=%d", r.account, int(minTTL.Seconds())), nil)
	return a, time.Since(held.before) < cachedLifetime-minTTL
}

// A token that is renewed ahead of need is given while Amazon fails, whatever
// way: no reader fails, and those who come after the failure are warned.
func TestEveryFaultOfARenewalAhead(t *testing.T) {
	t.Parallel()
	ms, rows := newFaultMounts(t), faultRows(t)
	held := ms.cacheTokens(t, rows)
	waitForAge(t, held, dueFrom)
	for _, row := range rows {
		t.Run(row.account, func(t *testing.T) {
			m := ms.of(row)
			waitFor(t, "the outcome of the renewal", func() bool {
				a, inTime := row.readAhead(t, m, held[row.account])
				if !inTime {
					return false
				}
				require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
				owner, live := m.amazon.AccountOf(a.accessToken())
				require.True(t, live)
				require.Equal(t, row.account, owner)
				if row.lifetime > 0 {
					return a.accessToken() != held[row.account].accessToken
				}
				require.Equal(t, held[row.account].accessToken, a.accessToken())
				return a.warned("could not be renewed ahead of need: ") && a.warned(row.says)
			})
			require.GreaterOrEqual(t, m.amazon.Exchanges(row.account), 1+row.exchanges)
		})
	}
}

// A refresh token that Amazon changes takes the place of the one before, once.
func TestChangedRefreshToken(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	submitted := m.addAccount(t, "acme", "verify", false)
	before := m.stored(t, "acme")
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	first := m.token(t, "acme")
	form, _ := m.amazon.LastRequest()
	require.Equal(t, submitted, form.Get("refresh_token"))
	after := m.stored(t, "acme")
	require.Contains(t, changed(before, after), "refresh_token_fingerprint")
	require.Len(t, changed(before, after), 1)

	m.revoke(t, first.LeaseID)
	require.NotEqual(t, first.accessToken(), m.token(t, "acme").accessToken())
	form, _ = m.amazon.LastRequest()
	require.Equal(t, "Atzr|changed", form.Get("refresh_token"))
	require.Equal(t, after, m.stored(t, "acme"))
	require.Equal(t, 2, m.amazon.Exchanges("acme"))
}
