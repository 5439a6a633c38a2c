// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package transport is how Amazon is called over HTTP: with bounded answers, few
// repetitions and no redirects, and without a credential in any error.
package transport

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
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

// Options configure a Client. The zero value serves.
type Options struct {
	// RetryWait is the wait before the first repetition; the second waits twice
	// as long. 200 ms if zero.
	RetryWait time.Duration
	// UserAgent is sent to Amazon.
	UserAgent string
}

// Client calls Amazon through a connection pool of its own. It is safe for
// concurrent use.
type Client struct {
	transport *http.Transport
	http      *http.Client
}

// New returns a Client.
func New(opts Options) *Client {
	if opts.RetryWait == 0 {
		opts.RetryWait = 200 * time.Millisecond
	}
	transport := newTransport(silence, pingAnswer)
	retrying := &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: &recorder{next: transport, userAgent: opts.UserAgent}, CheckRedirect: refuseRedirect},
		Logger:       nil, // it would log URLs
		RetryMax:     maxRetries,
		CheckRetry:   checkRetry,
		Backoff:      backoff(opts.RetryWait),
		ErrorHandler: lastAnswer,
	}
	return &Client{
		transport: transport,
		http:      &http.Client{Transport: &retryablehttp.RoundTripper{Client: retrying}, CheckRedirect: refuseRedirect},
	}
}

// HTTP sends requests whose context came from Record or RecordOnce. What its
// errors say must not be passed on: they hold the URL.
func (c *Client) HTTP() *http.Client { return c.http }

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

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
	kept := answerFrom(req.Context())
	kept.forget()
	// Nothing is sent before there is a connection.
	req = req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { kept.sent.Store(true) },
	}))
	if kept.once {
		req.GetBody = nil // with it, net/http repeats what an HTTP/2 server gave back
	}
	if r.userAgent != "" {
		req.Header.Set("User-Agent", r.userAgent)
	}
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
	kept.Status, kept.Header, kept.Body = resp.StatusCode, resp.Header, body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// checkRetry repeats what failed on Amazon's side or on the way, as long as
// the time limit leaves room; a call that must be made once, only if nothing of
// it was sent.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if called := answerFrom(ctx); called.once && called.sent.Load() {
		return false, nil
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
