// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/transport"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// succeeded stands for no fault at all.
const succeeded = fault.Kind(-1)

// limit of exchanges that end by themselves.
const limit = 30 * time.Second

// outcome is what a fault of Amazon's must become.
type outcome struct {
	kind     fault.Kind
	says     string // part of the error, or why not
	requests int    // that it may cost
	status   int    // HTTP status of the last whole answer; 0 if there was none
	lifetime time.Duration
}

func failed(kind fault.Kind, status, requests int, says string) outcome {
	return outcome{kind: kind, says: says, requests: requests, status: status}
}

func passed(lifetime time.Duration) outcome {
	return outcome{kind: succeeded, requests: 1, status: http.StatusOK, lifetime: lifetime}
}

// outcomes has a row for every fault of the simulator. What Amazon's side or the
// way to it may heal by itself is asked three times, what it decided once.
func outcomes() map[amazontest.FaultKind]outcome {
	const day = 24 * time.Hour
	return map[amazontest.FaultKind]outcome{
		amazontest.FaultServerErrorHTML:        failed(fault.Unavailable, 500, 3, "Amazon failed (HTTP 500"),
		amazontest.FaultServerError:            failed(fault.Unavailable, 500, 3, "server_error: Internal Server Error (HTTP 500"),
		amazontest.FaultUnavailable:            failed(fault.Unavailable, 503, 3, "Amazon failed (HTTP 503"),
		amazontest.FaultTemporarilyUnavailable: failed(fault.Unavailable, 503, 3, "temporarily_unavailable: Service Unavailable (HTTP 503"),
		amazontest.FaultThrottled:              failed(fault.RateLimited, 429, 1, "Amazon asks to slow down (HTTP 429"),
		amazontest.FaultHang:                   failed(fault.Unavailable, 0, 1, "no answer within request_timeout"),
		amazontest.FaultReset:                  failed(fault.Unavailable, 0, 3, "the connection broke"),
		amazontest.FaultOKNotJSON:              failed(fault.BadAnswer, 200, 1, "it is not the JSON object that was expected (text/html"),
		amazontest.FaultOKNotObject:            failed(fault.BadAnswer, 200, 1, "it is not the JSON object that was expected (application/json"),
		amazontest.FaultRedirect:               failed(fault.BadAnswer, 302, 1, "a redirect, which is not followed"),
		amazontest.FaultRedirectKeepingMethod:  failed(fault.BadAnswer, 307, 1, "a redirect, which is not followed"),
		amazontest.FaultBadRequestNotJSON:      failed(fault.BadAnswer, 400, 1, "Amazon refuses the request (HTTP 400"),
		amazontest.FaultForbidden:              failed(fault.BadAnswer, 403, 1, "access_denied: Access denied (HTTP 403"),
		amazontest.FaultEcho:                   failed(fault.InvalidGrant, 400, 1, "invalid_grant: The request has an invalid grant parameter : refresh_token. Received: "),
		amazontest.FaultEchoServerError:        failed(fault.Unavailable, 500, 3, "Amazon failed (HTTP 500"),
		amazontest.FaultInvalidClient:          failed(fault.InvalidClient, 401, 1, "invalid_client: Client authentication failed (HTTP 401"),
		amazontest.FaultInvalidGrant:           failed(fault.InvalidGrant, 400, 1, "invalid_grant: The request has an invalid grant parameter : refresh_token. User may have revoked"),
		amazontest.FaultUnauthorizedClient:     failed(fault.UnauthorizedClient, 400, 1, "unauthorized_client: Not authorized for requested operation (HTTP 400"),
		amazontest.FaultInvalidScope:           failed(fault.InvalidScope, 400, 1, "invalid_scope: The request has an invalid parameter : scope (HTTP 400"),
		amazontest.FaultDelay:                  passed(time.Hour),
		amazontest.FaultSlowBody:               failed(fault.Unavailable, 0, 1, "no answer within request_timeout"),
		amazontest.FaultTruncatedBody:          failed(fault.Unavailable, 0, 3, "the connection broke"),
		amazontest.FaultTruncatedJSON:          failed(fault.BadAnswer, 200, 1, "it is not the JSON object that was expected"),
		amazontest.FaultHugeBody:               failed(fault.BadAnswer, 200, 1, "it is larger than 1048576 bytes"),
		amazontest.FaultNoAccessToken:          failed(fault.BadAnswer, 200, 1, "access_token is missing"),
		amazontest.FaultEmptyAccessToken:       failed(fault.BadAnswer, 200, 1, "access_token is missing"),
		amazontest.FaultExpiresInString:        passed(time.Hour),
		amazontest.FaultExpiresInFloat:         failed(fault.BadAnswer, 200, 1, "expires_in is not a whole number"),
		amazontest.FaultExpiresInZero:          failed(fault.BadAnswer, 200, 1, "expires_in is under 10s"),
		amazontest.FaultExpiresInOne:           failed(fault.BadAnswer, 200, 1, "expires_in is under 10s"),
		amazontest.FaultExpiresInMissing:       failed(fault.BadAnswer, 200, 1, "expires_in is missing"),
		amazontest.FaultExpiresInNegative:      failed(fault.BadAnswer, 200, 1, "expires_in is not a whole number"),
		amazontest.FaultExpiresInHuge:          passed(day),
		amazontest.FaultExpiresInOverflow:      passed(day),
		amazontest.FaultExpiresInJunk:          failed(fault.BadAnswer, 200, 1, "expires_in is not a whole number"),
		amazontest.FaultExpiresInNull:          failed(fault.BadAnswer, 200, 1, "expires_in is missing"),
		amazontest.FaultChangedRefreshToken:    passed(time.Hour),
	}
}

// grant is one of the two exchanges of the client.
type grant func(context.Context, *fixture) (lwa.Token, error)

func grants() map[string]grant {
	return map[string]grant{
		"refresh": func(ctx context.Context, f *fixture) (lwa.Token, error) {
			return f.client.Refresh(ctx, f.app, credential.New(refreshToken))
		},
		"grantless": func(ctx context.Context, f *fixture) (lwa.Token, error) {
			return f.client.ClientCredentials(ctx, f.app, lwa.ScopeNotifications)
		},
	}
}

func (f *fixture) exchange(t *testing.T, g grant, limit time.Duration) (lwa.Token, *fault.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return split(g(ctx, f))
}

// inFull is what a fault needs besides its kind, and the time limit that it needs.
func inFull(kind amazontest.FaultKind) (amazontest.Fault, time.Duration) {
	f := amazontest.Fault{Kind: kind}
	switch kind {
	case amazontest.FaultUnavailable:
		f.RetryAfter = "0"
	case amazontest.FaultDelay:
		f.Delay = time.Millisecond
	case amazontest.FaultChangedRefreshToken:
		f.Changed = "Atzr|another"
	case amazontest.FaultHang, amazontest.FaultSlowBody:
		return f, time.Second // these only end with the time limit
	}
	return f, limit
}

func TestFaults(t *testing.T) {
	t.Parallel()
	table := outcomes()
	for _, kind := range amazontest.Faults() {
		want, known := table[kind]
		require.True(t, known, "no expectation for fault %s", kind)
		for name, g := range grants() {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				send, limit := inFull(kind)
				f.amazon.SetFault(send)
				token, err := f.exchange(t, g, limit)
				require.Equal(t, want.requests, f.amazon.Requests())
				require.Zero(t, f.amazon.RedirectsFollowed())
				if want.kind == succeeded {
					require.Nil(t, err)
					require.False(t, token.AccessToken.IsZero())
					require.Equal(t, want.lifetime, token.Lifetime)
					require.Equal(t, f.start.Add(want.lifetime), token.ExpiresAt)
					require.Equal(t, name == "refresh" && send.Changed != "", !token.RefreshToken.IsZero(), "only a refresh token has a successor")
					return
				}
				require.NotNil(t, err)
				require.Equal(t, want.kind, err.Kind, err)
				require.True(t, token.AccessToken.IsZero(), "no token where there is none")
				want.check(t, err)
				for _, part := range []string{"canary", url.QueryEscape(refreshToken), f.amazon.URL(), "127.0.0.1"} {
					require.NotContains(t, err.Error(), part)
				}
			})
		}
	}
}

// check compares what an error says of Amazon's answer.
func (o *outcome) check(t *testing.T, err *fault.Error) {
	t.Helper()
	require.Contains(t, err.Error(), o.says)
	require.Equal(t, o.status, err.Status)
	if o.status == 0 {
		require.Empty(t, err.RequestID, "nobody answered")
		return
	}
	require.NotEmpty(t, err.RequestID)
	require.Contains(t, err.Error(), "request id "+err.RequestID)
}

// What is repeated ends with the first good answer.
func TestRepeatedUntilItWorks(t *testing.T) {
	t.Parallel()
	repeated := 0
	for kind, want := range outcomes() {
		if want.requests == 1 {
			continue
		}
		repeated++
		for name, g := range grants() {
			f := newFixture(t)
			send, _ := inFull(kind)
			send.Times = 2
			f.amazon.SetFault(send)
			token, err := f.exchange(t, g, limit)
			require.Nil(t, err, "%s/%s", kind, name)
			require.False(t, token.AccessToken.IsZero())
			require.Equal(t, 3, f.amazon.Requests(), "%s/%s", kind, name)
		}
	}
	require.NotZero(t, repeated)
}

// A short Retry-After takes the place of the client's own wait, which would be
// over long after the time limit here.
func TestShortRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, kind := range []amazontest.FaultKind{amazontest.FaultThrottled, amazontest.FaultUnavailable, amazontest.FaultTemporarilyUnavailable} {
		for name, g := range grants() {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.client = lwa.New(lwa.Options{Permit: func(string) error { return nil }, HTTP: transport.Options{RetryWait: time.Hour}})
				t.Cleanup(f.client.Close)
				f.amazon.SetFault(amazontest.Fault{Kind: kind, RetryAfter: "1", Times: 1})
				_, err := f.exchange(t, g, limit)
				require.Nil(t, err)
				require.Equal(t, 2, f.amazon.Requests())
			})
		}
	}
}

// One that keeps being asked for is answered after two repetitions.
func TestRetryAfterWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, g := range grants() {
		f := newFixture(t)
		f.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultThrottled, RetryAfter: "0"})
		_, err := f.exchange(t, g, limit)
		require.Equal(t, fault.RateLimited, err.Kind, name)
		require.Equal(t, 3, f.amazon.Requests(), name)
	}
}

// One that is longer than the time limit is answered at once and remembered, up
// to an hour. A client that waited would outlast the test.
func TestLongRetryAfterIsAnswered(t *testing.T) {
	t.Parallel()
	const limit = 15 * time.Minute
	for value, remembered := range map[string]time.Duration{
		"1200":       20 * time.Minute,
		"2000000000": time.Hour,
		time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		for _, kind := range []amazontest.FaultKind{amazontest.FaultThrottled, amazontest.FaultUnavailable, amazontest.FaultServerError} {
			for name, g := range grants() {
				f := newFixture(t)
				f.amazon.SetFault(amazontest.Fault{Kind: kind, RetryAfter: value})
				_, err := f.exchange(t, g, limit)
				require.NotNil(t, err, "%s/%s", kind, name)
				require.Equal(t, 1, f.amazon.Requests(), "%s/%s", kind, name)
				require.Equal(t, remembered, err.RetryAfter, "%s/%s", kind, name)
			}
		}
	}
}
