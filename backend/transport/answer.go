// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync/atomic"
	"syscall"

	"vault-plugin-secrets-spapi/backend/fault"
)

// Answer is what Amazon last answered to one call. Its Status is 0 if there was
// no whole answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Repeated, if not nil, runs before the call is sent another time.
	Repeated func()

	attempts  int
	oversized bool
	once      bool        // not to be repeated once it was sent
	sent      atomic.Bool // it may have reached Amazon
}

type answerKey struct{}

// Record returns a context for one call, and where its answer will be. The call
// is repeated where that may help.
func Record(ctx context.Context) (context.Context, *Answer) {
	a := &Answer{}
	return context.WithValue(ctx, answerKey{}, a), a
}

// RecordOnce is Record for a call that spends something at Amazon: it is not
// repeated unless nothing of it was sent.
func RecordOnce(ctx context.Context) (context.Context, *Answer) {
	a := &Answer{once: true}
	return context.WithValue(ctx, answerKey{}, a), a
}

func answerFrom(ctx context.Context) *Answer {
	if a, ok := ctx.Value(answerKey{}).(*Answer); ok {
		return a
	}
	return &Answer{}
}

func (a *Answer) forget() {
	if a.attempts++; a.attempts > 1 && a.Repeated != nil {
		a.Repeated()
	}
	a.Status, a.Header, a.Body, a.oversized = 0, nil, nil, false
	a.sent.Store(false)
}

var requestIDShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// RequestID is what Amazon's support asks for. Source: SP-API documentation,
// "Request an operation".
func (a *Answer) RequestID() string {
	for _, name := range []string{"X-Amzn-Requestid", "X-Amz-Rid"} {
		if id := a.Header.Get(name); requestIDShape.MatchString(id) {
			return id
		}
	}
	return ""
}

// Unanswered is the fault of a call without a whole answer, or that was given
// up; nil if there is an answer to look at.
func (a *Answer) Unanswered(ctx context.Context, err error) *fault.Error {
	if a.Status == 0 || errors.Is(ctx.Err(), context.Canceled) {
		return unreachable(ctx, err)
	}
	return nil
}

// Kind is what the status alone says of an answer that is no success.
// fault.BadAnswer leaves it to Amazon's own error code.
func (a *Answer) Kind() fault.Kind {
	switch {
	case a.Status == http.StatusTooManyRequests:
		return fault.RateLimited
	case a.Status >= http.StatusInternalServerError:
		return fault.Unavailable
	}
	return fault.BadAnswer
}

// IsRefusal reports whether Amazon blames the request.
func (a *Answer) IsRefusal() bool {
	return a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError
}

// Refused is the fault of an answer that is no success, with Amazon's own code
// and description.
func (a *Answer) Refused(kind fault.Kind, message, code, description string, scrub Scrubber) *fault.Error {
	failed := fault.New(kind, "%s", message)
	if a.Status >= http.StatusMultipleChoices && a.Status < http.StatusBadRequest {
		failed.Message = "Amazon answered with a redirect, which is not followed"
	}
	failed.Status = a.Status
	failed.Code = scrub.clean(code)
	failed.Description = scrub.clean(description)
	failed.RequestID = a.RequestID()
	failed.RetryAfter, _ = retryAfter(a.Header)
	return failed
}

// Nonsense is the fault of a 200 that makes no sense.
func (a *Answer) Nonsense(why error, scrub Scrubber) *fault.Error {
	if a.oversized {
		why = fmt.Errorf("it is larger than %d bytes", maxBodySize)
	}
	failed := fault.New(fault.BadAnswer, "Amazon's answer makes no sense: %s (%s, %d bytes)", why, scrub.clean(a.Header.Get("Content-Type")), len(a.Body))
	failed.Status = a.Status
	failed.RequestID = a.RequestID()
	return failed
}

// unreachable describes a failure without an answer. The text of err is left
// out: errors of HTTP clients hold the URL.
func unreachable(ctx context.Context, err error) *fault.Error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &fault.Error{Kind: fault.Canceled, Message: "the exchange was canceled"}
	}
	return fault.New(fault.Unavailable, "Amazon could not be reached: %s", networkCause(ctx, err))
}

func networkCause(ctx context.Context, err error) string {
	var dnsError *net.DNSError
	var netError net.Error
	var certificateError *tls.CertificateVerificationError
	var recordError tls.RecordHeaderError
	var alertError tls.AlertError
	var authorityError x509.UnknownAuthorityError
	var opError *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "no answer within request_timeout"
	case errors.As(err, &dnsError):
		return "the host name could not be resolved"
	case errors.As(err, &certificateError), errors.As(err, &authorityError):
		return "its TLS certificate could not be verified"
	case errors.As(err, &recordError), errors.As(err, &alertError):
		return "the TLS handshake failed"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "the connection broke"
	case errors.As(err, &netError) && netError.Timeout():
		return "time-out"
	case errors.As(err, &opError):
		return "the network failed in " + opError.Op
	}
	return "the request failed"
}
