// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// faultRow is a way in which Amazon misbehaves towards an account, and what
// becomes of it on a real Vault.
type faultRow struct {
	amazontest.Fault
	account   string // Fault.Kind by default
	exchanges int    // that reach Amazon, all repetitions included
	status    int    // of the read
	says      string
	lifetime  int64  // of the token, in seconds, where there is one
	silent    bool   // there was no whole answer, and so no request id
	after     string // status of the account, unverified by default: nothing was learned
	short     bool   // only request_timeout ends it
	all       bool   // it is the application's fault, and so all accounts'
}

func broken(kind amazontest.FaultKind, status, exchanges int, says string) faultRow {
	return faultRow{Fault: amazontest.Fault{Kind: kind}, status: status, exchanges: exchanges, says: says}
}

// unanswered is a fault without a whole answer.
func unanswered(kind amazontest.FaultKind, exchanges int, says string) faultRow {
	row := broken(kind, http.StatusServiceUnavailable, exchanges, says)
	row.silent, row.short = true, exchanges == 1
	return row
}

func harmless(kind amazontest.FaultKind, lifetime int64) faultRow {
	return faultRow{Fault: amazontest.Fault{Kind: kind}, status: http.StatusOK, exchanges: 1, lifetime: lifetime, after: "active"}
}

func (r faultRow) retryAfter(account, value string) faultRow {
	r.account, r.RetryAfter = account, value
	return r
}

func (r faultRow) delayed(by time.Duration) faultRow {
	r.Delay = by
	return r
}

func (r faultRow) leaves(status string) faultRow {
	r.after = status
	return r
}

func (r faultRow) ofAll() faultRow {
	r.all = true
	return r
}

// transient tells whether Amazon may give a token soon, so that one that is
// still valid is given meanwhile.
func (r faultRow) transient() bool { return r.status >= http.StatusTooManyRequests }

// faultRows has a row or more for every fault of the simulator.
func faultRows(t *testing.T) []faultRow {
	t.Helper()
	const (
		bad, slow, nonsense, down = http.StatusBadRequest, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable

		hour, day = 60 * 60, 24 * 60 * 60
	)
	rows := []faultRow{
		broken(amazontest.FaultServerErrorHTML, down, 3, "Amazon failed (HTTP 500"),
		broken(amazontest.FaultServerError, down, 3, "server_error: Internal Server Error (HTTP 500"),
		broken(amazontest.FaultServerError, down, 1, "HTTP 500").retryAfter("server_error_retry_later", "120"),
		broken(amazontest.FaultUnavailable, down, 3, "Amazon failed (HTTP 503"),
		broken(amazontest.FaultUnavailable, down, 1, "HTTP 503").retryAfter("unavailable_retry_later", "120"),
		broken(amazontest.FaultTemporarilyUnavailable, down, 3, "temporarily_unavailable: Service Unavailable (HTTP 503"),
		broken(amazontest.FaultThrottled, slow, 1, "Amazon asks to slow down (HTTP 429"),
		broken(amazontest.FaultThrottled, slow, 3, "slow down").retryAfter("throttled_retry_soon", "1"),
		broken(amazontest.FaultThrottled, slow, 1, "slow down").retryAfter("throttled_retry_later", "120"),
		unanswered(amazontest.FaultHang, 1, "no answer within request_timeout"),
		unanswered(amazontest.FaultReset, 3, "the connection broke"),
		broken(amazontest.FaultOKNotJSON, nonsense, 1, "makes no sense: it is not the JSON object that was expected (text/html"),
		broken(amazontest.FaultOKNotObject, nonsense, 1, "makes no sense: it is not the JSON object that was expected (application/json"),
		broken(amazontest.FaultRedirect, nonsense, 1, "a redirect, which is not followed (HTTP 302"),
		broken(amazontest.FaultRedirectKeepingMethod, nonsense, 1, "a redirect, which is not followed (HTTP 307"),
		broken(amazontest.FaultBadRequestNotJSON, nonsense, 1, "Amazon refuses the request (HTTP 400"),
		broken(amazontest.FaultForbidden, nonsense, 1, "access_denied: Access denied (HTTP 403"),
		broken(amazontest.FaultEcho, bad, 1, "invalid_grant: The request has an invalid grant parameter : refresh_token. Received: ").leaves("reauthorization_required"),
		broken(amazontest.FaultEchoServerError, down, 3, "Amazon failed (HTTP 500"),
		broken(amazontest.FaultInvalidClient, bad, 1, "invalid_client: Client authentication failed (HTTP 401").ofAll(),
		broken(amazontest.FaultInvalidGrant, bad, 1, "invalid_grant: The request has an invalid grant parameter : refresh_token. User may have revoked").leaves("reauthorization_required"),
		broken(amazontest.FaultUnauthorizedClient, bad, 1, "unauthorized_client: Not authorized for requested operation (HTTP 400"),
		broken(amazontest.FaultInvalidScope, bad, 1, "invalid_scope: The request has an invalid parameter : scope (HTTP 400"),
		harmless(amazontest.FaultDelay, hour).delayed(time.Millisecond),
		unanswered(amazontest.FaultSlowBody, 1, "no answer within request_timeout"),
		unanswered(amazontest.FaultTruncatedBody, 3, "the connection broke"),
		broken(amazontest.FaultTruncatedJSON, nonsense, 1, "makes no sense: it is not the JSON object that was expected"),
		broken(amazontest.FaultHugeBody, nonsense, 1, "makes no sense: it is larger than 1048576 bytes"),
		broken(amazontest.FaultNoAccessToken, nonsense, 1, "makes no sense: access_token is missing"),
		broken(amazontest.FaultEmptyAccessToken, nonsense, 1, "makes no sense: access_token is missing"),
		harmless(amazontest.FaultExpiresInString, hour),
		broken(amazontest.FaultExpiresInFloat, nonsense, 1, "makes no sense: expires_in is not a whole number"),
		broken(amazontest.FaultExpiresInZero, nonsense, 1, "makes no sense: expires_in is under 10s"),
		broken(amazontest.FaultExpiresInOne, nonsense, 1, "makes no sense: expires_in is under 10s"),
		broken(amazontest.FaultExpiresInMissing, nonsense, 1, "makes no sense: expires_in is missing"),
		broken(amazontest.FaultExpiresInNegative, nonsense, 1, "makes no sense: expires_in is not a whole number"),
		harmless(amazontest.FaultExpiresInHuge, day),
		harmless(amazontest.FaultExpiresInOverflow, day),
		broken(amazontest.FaultExpiresInJunk, nonsense, 1, "makes no sense: expires_in is not a whole number"),
		broken(amazontest.FaultExpiresInNull, nonsense, 1, "makes no sense: expires_in is missing"),
		harmless(amazontest.FaultChangedRefreshToken, hour),
	}
	expected := map[amazontest.FaultKind]bool{}
	for i := range rows {
		expected[rows[i].Kind] = true
		if rows[i].account == "" {
			rows[i].account = string(rows[i].Kind)
		}
	}
	for _, kind := range amazontest.Faults() {
		require.True(t, expected[kind], "no row for fault %s", kind)
	}
	return rows
}

// faultMounts are the mounts of a table: what only a time limit ends gets a
// short one, what harms all accounts of a mount gets its own.
type faultMounts struct{ usual, short, all *mount }

func newFaultMounts(t *testing.T, config ...any) *faultMounts {
	t.Helper()
	mounted := func(suffix string, more ...any) *mount {
		m := shared.newBareMount(t, strings.ToLower(t.Name())+"-"+suffix)
		m.writeConfig(t, append(more, config...)...)
		return m
	}
	return &faultMounts{
		usual: mounted("usual", "request_timeout", "30s"),
		short: mounted("short", "request_timeout", "2s"),
		all:   mounted("all"),
	}
}

func (ms *faultMounts) of(row faultRow) *mount {
	switch {
	case row.all:
		return ms.all
	case row.short:
		return ms.short
	}
	return ms.usual
}

func (ms *faultMounts) each(do func(*mount)) {
	for _, m := range []*mount{ms.usual, ms.short, ms.all} {
		do(m)
	}
}

// stored is what a mount stores for an account, as far as it shows. What
// exchanges found out is not part of it.
func (m *mount) stored(t *testing.T, account string) map[string]any {
	t.Helper()
	all := m.ok(t, http.MethodGet, "accounts/"+account, nil).Data
	for _, found := range []string{"status", "last_error", "last_exchange_at"} {
		delete(all, found)
	}
	for field, value := range m.ok(t, http.MethodGet, "config", nil).Data {
		all["config "+field] = value
	}
	return all
}

// complains checks the error of a row.
func (r faultRow) complains(t *testing.T, a *answer) {
	t.Helper()
	require.Equal(t, r.status, a.Status, "%s", a.Raw)
	require.True(t, a.complained(`account "`+r.account+`": `), "%s", a.Raw)
	require.True(t, a.complained(r.says), "%s lacks %q", a.Raw, r.says)
	require.NotContains(t, string(a.Raw), "127.0.0.1")
	requestID := `request id [0-9a-f]{8}-[0-9a-f-]{27}\)`
	if r.silent {
		require.NotContains(t, string(a.Raw), "request id")
	} else {
		require.Regexp(t, requestID, string(a.Raw))
	}
}

// What Amazon does wrong gets its own status and text, costs no more exchanges
// than it must, is not asked for again at once, and changes nothing that is
// stored: when Amazon is well again, so is the account.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	ms, rows := newFaultMounts(t, "generate_lease", false), faultRows(t)
	refreshTokens := map[string]string{}
	for _, row := range rows {
		m := ms.of(row)
		refreshTokens[row.account] = m.addAccount(t, row.account, "verify", false)
		m.amazon.SetAccountFault(row.account, row.Fault)
		before := m.stored(t, row.account)
		t.Run(row.account, func(t *testing.T) { row.strikes(t, m, refreshTokens[row.account]) })
		after := m.stored(t, row.account)
		if row.Kind == amazontest.FaultChangedRefreshToken {
			require.Contains(t, changed(before, after), "refresh_token_fingerprint")
			delete(before, "refresh_token_fingerprint")
			delete(after, "refresh_token_fingerprint")
		}
		require.Equal(t, before, after, row.account)
	}
	ms.each(func(m *mount) {
		require.Zero(t, m.amazon.RedirectsFollowed())
		m.amazon.ClearFaults()
	})
	for _, row := range rows {
		t.Run(row.account+"/healed", func(t *testing.T) { row.heals(t, ms.of(row), refreshTokens[row.account]) })
	}
}

// strikes reads a token of an account that the fault hits.
func (r faultRow) strikes(t *testing.T, m *mount, refreshToken string) {
	t.Helper()
	first := m.call(t, http.MethodGet, "token/"+r.account, nil)
	require.Equal(t, r.exchanges, m.amazon.Exchanges(r.account), "%s", first.Raw)
	require.NotContains(t, string(first.Raw), refreshToken)
	require.NotContains(t, string(first.Raw), m.clientSecret)
	if r.lifetime > 0 {
		r.succeeds(t, m, first)
		require.Equal(t, first.accessToken(), m.token(t, r.account).accessToken())
		require.Equal(t, r.exchanges, m.amazon.Exchanges(r.account))
	} else {
		r.complains(t, first)
		r.isRemembered(t, m, first)
	}

	account := m.ok(t, http.MethodGet, "accounts/"+r.account, nil)
	want := r.after
	if want == "" {
		want = "unverified"
	}
	require.Equal(t, want, account.text("status"))
	if r.lifetime > 0 || r.all { // the application's fault is none of the account's
		require.Empty(t, account.text("last_error"))
	} else {
		require.Contains(t, account.text("last_error"), r.says)
	}
}

// succeeds checks the answer of a fault that is none.
func (r faultRow) succeeds(t *testing.T, m *mount, a *answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	owner, live := m.amazon.AccountOf(a.accessToken())
	require.True(t, live)
	require.Equal(t, r.account, owner)
	const minTTL = 30 * 60
	require.Equal(t, r.lifetime-minTTL, a.number(t, "rotation_period"))
	require.LessOrEqual(t, a.number(t, "expires_in"), r.lifetime)
	require.Greater(t, a.number(t, "expires_in"), r.lifetime-minTTL)
}

// isRemembered reads again until that costs no exchange: at once, unless a wait
// of a second is over by then. The waits double, so that few reads suffice on
// any machine.
func (r faultRow) isRemembered(t *testing.T, m *mount, last *answer) {
	t.Helper()
	for range 7 {
		asked, before := m.amazon.Exchanges(r.account), last
		last = m.call(t, http.MethodGet, "token/"+r.account, nil)
		r.complains(t, last)
		if m.amazon.Exchanges(r.account) == asked {
			require.Equal(t, before.Errors, last.Errors)
			require.Zero(t, asked%r.exchanges)
			return
		}
	}
	require.Fail(t, "each read costs an exchange")
}

// heals writes the same refresh token again, which ends the account's back-off,
// and has it exchanged.
func (r faultRow) heals(t *testing.T, m *mount, refreshToken string) {
	t.Helper()
	if r.Kind == amazontest.FaultInvalidClient { // and so does the secret, for all
		m.ok(t, http.MethodPost, "config", map[string]any{"client_secret": m.clientSecret, "verify": false, "request_timeout": "20s"})
	}
	fingerprint := m.ok(t, http.MethodGet, "accounts/"+r.account, nil).text("refresh_token_fingerprint")
	m.ok(t, http.MethodPost, "accounts/"+r.account, map[string]any{"refresh_token": refreshToken, "verify": false})
	asked := m.amazon.Exchanges(r.account)
	m.token(t, r.account)
	require.Equal(t, asked+1, m.amazon.Exchanges(r.account))
	form, _ := m.amazon.LastRequest()
	require.Equal(t, refreshToken, form.Get("refresh_token"))
	account := m.ok(t, http.MethodGet, "accounts/"+r.account, nil)
	require.Equal(t, "active", account.text("status"))
	require.Empty(t, account.text("last_error"))
	require.Equal(t, r.Kind == amazontest.FaultChangedRefreshToken, fingerprint != account.text("refresh_token_fingerprint"))
}
