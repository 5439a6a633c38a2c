// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FaultKind names a way in which the token endpoint misbehaves. The values are
// the names in the control API.
type FaultKind string

// Faults of the service: the request is answered without being looked at, and
// has no effect unless Fault.Spend says so: a code stays good.
// Their bodies need not be JSON (Amazon's 5xx bodies may be HTML or empty).
const (
	FaultServerErrorHTML        FaultKind = "server_error_html"       // 500, HTML
	FaultServerError            FaultKind = "server_error"            // 500, JSON server_error
	FaultUnavailable            FaultKind = "unavailable"             // 503, empty, Retry-After (1 unless given)
	FaultTemporarilyUnavailable FaultKind = "temporarily_unavailable" // 503, JSON, Retry-After only when given
	FaultThrottled              FaultKind = "throttled"               // 429, empty, Retry-After only when given
	FaultHang                   FaultKind = "hang"                    // no answer until client or server go
	FaultReset                  FaultKind = "connection_reset"        // TCP reset instead of an answer
	FaultOKNotJSON              FaultKind = "ok_not_json"             // 200, HTML
	FaultOKNotObject            FaultKind = "ok_not_object"           // 200, a JSON array
	FaultRedirect               FaultKind = "redirect"                // 302 to /elsewhere
	FaultRedirectKeepingMethod  FaultKind = "redirect_307"            // 307 to /elsewhere: a follower sends its credentials again
	FaultBadRequestNotJSON      FaultKind = "bad_request_not_json"    // 400, HTML
	FaultForbidden              FaultKind = "forbidden"               // 403, JSON access_denied
	FaultEcho                   FaultKind = "echo"                    // 400 invalid_grant whose text holds the submitted credentials
	FaultEchoServerError        FaultKind = "echo_server_error"       // 500, HTML that holds them
	FaultInvalidClient          FaultKind = "invalid_client"          // 401
	FaultInvalidGrant           FaultKind = "invalid_grant"           // 400
	FaultUnauthorizedClient     FaultKind = "unauthorized_client"     // 400
	FaultInvalidScope           FaultKind = "invalid_scope"           // 400
)

// Faults of the transport: the request has its effect and its usual answer,
// good or bad, which arrives late or in part.
const (
	FaultDelay         FaultKind = "delay"          // the answer comes after Delay
	FaultSlowBody      FaultKind = "slow_body"      // headers and half the body at once, the rest after Delay, or never
	FaultTruncatedBody FaultKind = "truncated_body" // connection closed after half of Content-Length
)

// Faults of a success: they apply to, and use up Times on, successful requests only.
const (
	FaultTruncatedJSON       FaultKind = "truncated_json" // half a JSON text with a matching Content-Length
	FaultHugeBody            FaultKind = "huge_body"      // valid JSON of more than 1 MiB
	FaultNoAccessToken       FaultKind = "no_access_token"
	FaultEmptyAccessToken    FaultKind = "empty_access_token"
	FaultExpiresInString     FaultKind = "expires_in_string" // "3600": clients must accept it
	FaultExpiresInFloat      FaultKind = "expires_in_float"  // 3600.5
	FaultExpiresInZero       FaultKind = "expires_in_zero"   // 0, and true
	FaultExpiresInOne        FaultKind = "expires_in_one"    // 1, and true
	FaultExpiresInMissing    FaultKind = "expires_in_missing"
	FaultExpiresInNegative   FaultKind = "expires_in_negative" // -1, and true
	FaultExpiresInHuge       FaultKind = "expires_in_huge"     // 1000000000
	FaultExpiresInOverflow   FaultKind = "expires_in_overflow" // beyond int64
	FaultExpiresInJunk       FaultKind = "expires_in_junk"     // "soon"
	FaultExpiresInNull       FaultKind = "expires_in_null"
	FaultChangedRefreshToken FaultKind = "changed_refresh_token" // refresh grant only
)

// Fault is a way to misbehave for a while.
type Fault struct {
	Kind FaultKind
	// Times is how many requests it hits before the server heals; 0: until cleared.
	Times int
	// RetryAfter is sent with kinds that answer an error status.
	RetryAfter string
	// Delay holds the answer back, whatever the kind, FaultHang aside.
	Delay time.Duration
	// Changed is the refresh token that FaultChangedRefreshToken returns; random by default.
	Changed string
	// Spend lets a fault of the service come after the work was done, so that a
	// code is used up though its client learns nothing; other kinds always do.
	Spend bool
}

// Faults lists every kind.
func Faults() []FaultKind {
	return slices.Concat(serviceFaults(), transportFaults(), successFaults())
}

func serviceFaults() []FaultKind {
	return []FaultKind{
		FaultServerErrorHTML, FaultServerError, FaultUnavailable, FaultTemporarilyUnavailable, FaultThrottled,
		FaultHang, FaultReset, FaultOKNotJSON, FaultOKNotObject, FaultRedirect, FaultRedirectKeepingMethod,
		FaultBadRequestNotJSON, FaultForbidden, FaultEcho, FaultEchoServerError,
		FaultInvalidClient, FaultInvalidGrant, FaultUnauthorizedClient, FaultInvalidScope,
	}
}

func transportFaults() []FaultKind {
	return []FaultKind{FaultDelay, FaultSlowBody, FaultTruncatedBody}
}

func successFaults() []FaultKind {
	return slices.Concat(
		[]FaultKind{FaultTruncatedJSON, FaultHugeBody, FaultNoAccessToken, FaultEmptyAccessToken},
		lifetimeFaults(),
		[]FaultKind{FaultChangedRefreshToken},
	)
}

// lifetimeFaults are those of a success that are about its expires_in.
func lifetimeFaults() []FaultKind {
	return []FaultKind{
		FaultExpiresInString, FaultExpiresInFloat, FaultExpiresInZero, FaultExpiresInOne, FaultExpiresInMissing,
		FaultExpiresInNegative, FaultExpiresInHuge, FaultExpiresInOverflow, FaultExpiresInJunk, FaultExpiresInNull,
	}
}

func (f Fault) check() error {
	switch {
	case !slices.Contains(Faults(), f.Kind):
		names := make([]string, 0, len(Faults()))
		for _, k := range Faults() {
			names = append(names, string(k))
		}
		return fmt.Errorf("unknown fault kind %q, known are: %s", f.Kind, strings.Join(names, ", "))
	case f.Times < 0:
		return fmt.Errorf("times is %d, must be 0 (until cleared) or more", f.Times)
	case f.Delay < 0:
		return fmt.Errorf("delay is %s, must be 0 or more", f.Delay)
	case f.Kind == FaultDelay && f.Delay == 0:
		return fmt.Errorf("fault kind %q needs a delay", f.Kind)
	}
	return nil
}

// faultSet holds the faults in force. Server.mu guards it.
type faultSet struct {
	global           *Fault
	byAccount        map[string]*Fault
	sellingPartner   *Fault
	omitRefreshToken bool
}

// current is the fault that would hit a request, and what uses it up.
func (set *faultSet) current(account string) (f Fault, use func()) {
	if p, ok := set.byAccount[account]; ok && account != "" {
		return *p, func() {
			if p.Times--; p.Times == 0 {
				delete(set.byAccount, account)
			}
		}
	}
	if p := set.global; p != nil {
		return *p, func() {
			if p.Times--; p.Times == 0 {
				set.global = nil
			}
		}
	}
	return Fault{}, func() {}
}

// currentSellingPartner is current for the SP-API.
func (set *faultSet) currentSellingPartner() (f Fault, use func()) {
	p := set.sellingPartner
	if p == nil {
		return Fault{}, func() {}
	}
	return *p, func() {
		if p.Times--; p.Times == 0 {
			set.sellingPartner = nil
		}
	}
}

// SetFault makes every grant of every account misbehave, until it healed or
// was cleared. It panics on a fault that cannot be, which is a bug in a test.
func (s *Server) SetFault(f Fault) {
	if err := f.check(); err != nil {
		panic("amazontest: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.global = &f
}

// SetAccountFault is SetFault for the refresh and code exchanges of one account;
// while in force it wins over the one of SetFault.
func (s *Server) SetAccountFault(account string, f Fault) {
	if err := f.check(); err != nil {
		panic("amazontest: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.byAccount[account] = &f
}

// OmitRefreshToken makes successful code exchanges answer without a refresh
// token, until it is called with false or the faults are cleared.
func (s *Server) OmitRefreshToken(omit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.omitRefreshToken = omit
}

// ClearFaults heals everything at once; a request that already hangs goes on hanging.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faultSet{byAccount: make(map[string]*Fault)}
}
