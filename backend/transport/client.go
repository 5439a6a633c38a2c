// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	maxRetries  = 2
	maxBodySize = 1 << 20
	// maxRetryAfter bounds what is remembered of a Retry-After header.
	maxRetryAfter = time.Hour
	// maxIdleConns is as many as there may be exchanges in flight: a connection
	// more would be made anew, with its handshakes, for each exchange.
	maxIdleConns = 1024
	// silence is how long a connection may be silent before it is tried with a
	// ping, and pingAnswer how long that may take: together less than the usual
	// time limit of an exchange, so that the exchange is repeated on another one.
	silence    = 5 * time.Second
	pingAnswer = 3 * time.Second
)

func newTransport(silence, pingAnswer time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		// A connection that a firewall forgot is silent. Without a ping, all
		// exchanges would go on to it, each until its time limit.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: pingAnswer},
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// refuseRedirect keeps credentials from being sent on to wherever an answer
// points.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// lastAnswer ends the repetitions with the last answer, or without one: net/http
// writes a line to the log of a process that returns both.
func lastAnswer(resp *http.Response, err error, _ int) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// recorder reads each answer whole, so that a connection that breaks in the
// middle of a body is repeated like any other, and keeps the last one.
type recorder struct {
	next      http.RoundTripper
	userAgent string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.userAgent != "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", r.userAgent)
	}
	kept := answerFrom(req.Context())
	*kept = answer{}
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBodySize+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > maxBodySize {
		body, kept.oversized = nil, true
	}
	kept.status, kept.header, kept.body = resp.StatusCode, resp.Header, body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// checkRetry repeats what failed on Amazon's side or on the way, as long as
// the time limit leaves room. Every grant of this package may be repeated: an
// exchange of a refresh token or of client credentials spends nothing.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return true, nil //nolint:nilerr // an error returned here would end the repetitions
	}
	wait, given := retryAfter(resp.Header)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return given && fits(ctx, wait), nil
	case resp.StatusCode >= http.StatusInternalServerError:
		return fits(ctx, wait), nil
	}
	return false, nil
}

func fits(ctx context.Context, wait time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return !limited || time.Until(deadline) > wait
}

// backoff waits as long as Amazon asked, or base and twice base, give or take
// a half, so that a fleet does not come back in step.
func backoff(base time.Duration) retryablehttp.Backoff {
	return func(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
		if resp != nil {
			if wait, given := retryAfter(resp.Header); given {
				return wait
			}
		}
		return time.Duration(float64(base<<attempt) * (0.5 + rand.Float64())) //nolint:gosec // jitter is no secret
	}
}

// retryAfter reads a Retry-After header in either of its forms.
func retryAfter(header http.Header) (wait time.Duration, given bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = max(time.Until(date), 0)
	} else {
		return 0, false
	}
	return min(wait, maxRetryAfter), true
}
