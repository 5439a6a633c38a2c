// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"syscall"

	"vault-plugin-secrets-spapi/backend/fault"
)

// answer is what Amazon last answered within one exchange. Its status is 0 if
// there was no whole answer.
type answer struct {
	status    int
	header    http.Header
	body      []byte
	oversized bool
}

type answerKey struct{}

func withAnswer(ctx context.Context, a *answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

func answerFrom(ctx context.Context) *answer {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		return a
	}
	return &answer{}
}

var requestIDShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// requestID is what Amazon's support asks for. Source: SP-API documentation,
// "Request an operation".
func (a *answer) requestID() string {
	for _, name := range []string{"X-Amzn-Requestid", "X-Amz-Rid"} {
		if id := a.header.Get(name); requestIDShape.MatchString(id) {
			return id
		}
	}
	return ""
}

// fault turns a failed exchange into an Error by what is known of it: status
// and OAuth error code, or the type of the network error.
func (a *answer) fault(ctx context.Context, err error, scrub scrubber) *fault.Error {
	if a.status == 0 || errors.Is(ctx.Err(), context.Canceled) {
		return unreachable(ctx, err)
	}
	var oauthError struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(a.body, &oauthError) // 5xx bodies may be HTML or empty

	kind := kindOf(a.status, oauthError.Code)
	failed := fault.New(kind, "%s", messageOf(kind))
	if a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest {
		failed.Message = "Amazon answered with a redirect, which is not followed"
	}
	failed.Status = a.status
	failed.Code = scrub.clean(oauthError.Code)
	failed.Description = scrub.clean(oauthError.Description)
	failed.RequestID = a.requestID()
	failed.RetryAfter, _ = retryAfter(a.header)
	return failed
}

// nonsense is the fault of a 200 that makes no sense.
func (a *answer) nonsense(why error, scrub scrubber) *fault.Error {
	if a.oversized {
		why = fmt.Errorf("it is larger than %d bytes", maxBodySize)
	}
	failed := fault.New(fault.BadAnswer, "Amazon's answer makes no sense: %s (%s, %d bytes)", why, scrub.clean(a.header.Get("Content-Type")), len(a.body))
	failed.Status = a.status
	failed.RequestID = a.requestID()
	return failed
}

// kindOf decides by status and OAuth error code. Source: RFC 6749 section 5.2
// and the SP-API documentation, "LWA error responses".
func kindOf(status int, code string) fault.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return fault.RateLimited
	case status >= http.StatusInternalServerError:
		return fault.Unavailable
	case status < http.StatusBadRequest: // a success that is not 200, or a redirect
		return fault.BadAnswer
	}
	switch code {
	case "invalid_grant":
		return fault.InvalidGrant
	case "invalid_client":
		return fault.InvalidClient
	case "unauthorized_client":
		return fault.UnauthorizedClient
	case "invalid_scope":
		return fault.InvalidScope
	}
	return fault.BadAnswer
}

func messageOf(kind fault.Kind) string {
	switch kind {
	case fault.InvalidGrant:
		return "Amazon refuses the refresh token"
	case fault.InvalidClient:
		return "Amazon refuses the application's client id or client secret"
	case fault.UnauthorizedClient:
		return "Amazon says that the refresh token does not belong to this application"
	case fault.InvalidScope:
		return "Amazon refuses the scope"
	case fault.RateLimited:
		return "Amazon asks to slow down"
	case fault.Unavailable:
		return "Amazon failed"
	}
	return "Amazon refuses the request"
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
