// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package fault is what can go wrong between a Vault request and Amazon, as
// errors that carry a kind. Callers decide by kind, never by text.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classifies an Error. The zero Kind is Internal, so that a forgotten
// kind is a failure of ours and never blames the caller or Amazon.
type Kind int

// The kinds, each with the side that has to act.
const (
	Internal           Kind = iota // a defect of the plugin
	Storage                        // Vault's storage failed
	Unsaved                        // Vault's storage failed to take a refresh token that Amazon changed
	InvalidInput                   // the request: a field has a bad value
	UnsupportedGrant               // the request: an OAuth grant that is not served there
	Full                           // the request: there is no room for another of its kind just now
	Conflict                       // the request: another one changed the same thing meanwhile
	NotFound                       // the request: what is to be read or patched does not exist
	UnknownAccount                 // the request: a token was asked of an account that does not exist
	UnknownRole                    // the request: a restricted data token was asked of a role that does not exist
	NotConfigured                  // the operator: no config was written yet
	Disabled                       // the operator: the account was switched off
	AccountNotAllowed              // the operator: the role does not allow the account
	EndpointForbidden              // the operator: the stored endpoint is not allowed by the registration
	InvalidGrant                   // the seller: the refresh token was revoked, lapsed or never valid
	InvalidCode                    // the seller: the authorization code is expired, used up or another application's
	InvalidState                   // the seller: the state of an authorization is unknown, expired, used up or another's
	InvalidMWS                     // the operator: Amazon does not know the MWS authorization
	Removed                        // the operator: Amazon does not offer the operation any more
	UnauthorizedClient             // the operator: the refresh token belongs to another application
	InvalidScope                   // the operator: the application lacks the role for a scope
	InvalidResources               // the operator: Amazon refuses the restricted resources of a role
	AccessDenied                   // the operator or Amazon: it denies a call for no reason that it gives
	AccessTokenRefused             // Amazon refuses an access token that it gave
	InvalidClient                  // the operator: Amazon refuses the application's client id or secret
	RateLimited                    // Amazon asks to slow down
	Unavailable                    // Amazon could not be reached or failed
	BadAnswer                      // Amazon answered what makes no sense
	Canceled                       // the reader gave up
)

// Error is a failure with its kind. Its text never holds a credential.
type Error struct {
	Kind    Kind
	Account string // the account concerned, if any
	Role    string // the role concerned, if any
	Field   string // the request field concerned, if any
	Message string // what happened, for the reader

	// What Amazon answered, where it did.
	Status      int    // HTTP status
	Code        string // OAuth error code
	Description string // Amazon's own text, bounded and scrubbed
	RequestID   string // Amazon's request id, which its support asks for

	// Spent says that what was sent cannot be sent again, whatever the kind.
	Spent      bool
	RetryAfter time.Duration // how long Amazon asked to wait; 0 if it did not
	Cause      error         // for the log only; never part of the text
}

// New returns an Error of kind with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// BadField returns the InvalidInput error of one request field.
func BadField(field, format string, args ...any) *Error {
	return &Error{Kind: InvalidInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// FromStorage wraps a failure of Vault's storage; doing says what was tried.
func FromStorage(doing string, cause error) *Error {
	return &Error{Kind: Storage, Message: "storage failed to " + doing, Cause: cause}
}

// Error gives the message and, where Amazon answered, its own words.
func (e *Error) Error() string {
	var text strings.Builder
	if e.Field != "" {
		fmt.Fprintf(&text, "field %q: ", e.Field)
	}
	text.WriteString(e.Message)
	for _, words := range []string{e.Code, e.Description} {
		if words != "" {
			text.WriteString(": " + words)
		}
	}
	if tags := e.tags(); tags != "" {
		fmt.Fprintf(&text, " (%s)", tags)
	}
	return text.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) tags() string {
	var tags []string
	if e.Status != 0 {
		tags = append(tags, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.RequestID != "" {
		tags = append(tags, "request id "+e.RequestID)
	}
	return strings.Join(tags, ", ")
}

// OfAccount returns a copy of the error that names account.
func (e *Error) OfAccount(account string) *Error {
	named := *e
	named.Account = account
	return &named
}

// OfRole returns a copy of the error that names role.
func (e *Error) OfRole(role string) *Error {
	named := *e
	named.Role = role
	return &named
}

// Of returns err as an *Error. An error without a kind becomes Internal, with
// its text kept as cause only.
func Of(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Kind: Internal, Message: "internal error", Cause: err}
}

// KindOf returns the kind of err, which must not be nil.
func KindOf(err error) Kind { return Of(err).Kind }

// Transient reports whether the kind says that Amazon cannot be asked just
// now, so that a token which is still valid may be served in the meantime.
func (k Kind) Transient() bool {
	return k == RateLimited || k == Unavailable || k == BadAnswer || k == AccessDenied || k == AccessTokenRefused
}
