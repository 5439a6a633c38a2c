// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	participationsPath = "/sellers/v1/marketplaceParticipations"
	accessTokenHeader  = "X-Amz-Access-Token"

	// participationsBody is the static sandbox answer of the Sellers API model.
	participationsBody = `{"payload":[{"marketplace":{"id":"ATVPDKIKX0DER","countryCode":"US","name":"Amazon.com",` +
		`"defaultCurrencyCode":"USD","defaultLanguageCode":"en_US","domainName":"www.amazon.com"},` +
		`"storeName":"BestSellerStore","participation":{"isParticipating":true,"hasSuspendedListings":false}}]}`
	participationsRate = "0.016"

	accessDenied = "Access to requested resource is denied."
)

type spErrors struct {
	Errors []spError `json:"errors"`
}

type spError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details string `json:"details"`
}

func spReply(body []byte) reply {
	return reply{sp: true, status: http.StatusOK, contentType: "application/json", body: body}
}

func spRefusal(status int, code, message, details string) reply {
	rep := spReply(mustJSON(spErrors{[]spError{{code, message, details}}}))
	rep.status = status
	return rep
}

func unauthorized(details string) reply {
	return spRefusal(http.StatusForbidden, "Unauthorized", accessDenied, details)
}

// missingAuthentication is the answer on any path and method that SP-API does not know.
func missingAuthentication() reply {
	return spRefusal(http.StatusForbidden, "MissingAuthenticationToken", accessDenied, "")
}

func quotaExceeded() reply {
	rep := spRefusal(http.StatusTooManyRequests, "QuotaExceeded", "You exceeded your quota for the requested resource.", "")
	rep.header = http.Header{"X-Amzn-Errortype": {"TooManyRequestsException"}}
	return rep
}

// spRequest is what the SP-API looks at.
type spRequest struct {
	method, path, query, uri string // path as sent, without the query
	token, contentType       string
	body                     []byte // only of createRestrictedDataToken
	oversized                bool
}

func (q *spRequest) createsRestricted() bool {
	return q.method == http.MethodPost && q.path == restrictedTokenPath
}

// readSellingPartner fails only when the client went away.
func readSellingPartner(w http.ResponseWriter, r *http.Request) (*spRequest, error) {
	q := &spRequest{
		method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, uri: r.URL.RequestURI(),
		token: r.Header.Get(accessTokenHeader), contentType: r.Header.Get("Content-Type"),
	}
	if !q.createsRestricted() {
		return q, nil
	}
	var err error
	q.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		q.oversized, err = true, nil
	}
	return q, err
}

// serveSellingPartner answers every path that is not Login with Amazon's, nor a page.
func (s *Server) serveSellingPartner(w http.ResponseWriter, r *http.Request) {
	q, err := readSellingPartner(w, r)
	leave := s.enterSellingPartner(q)
	defer leave()
	if err != nil || !s.pass(r.Context(), &s.traffic.sp) {
		panic(http.ErrAbortHandler)
	}
	s.send(w, r, s.decideSellingPartner(q), leave)
}

// decideSellingPartner is decide for the SP-API.
func (s *Server) decideSellingPartner(q *spRequest) delivery {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	fault, use := s.faults.currentSellingPartner()
	if slices.Contains(serviceFaults(), fault.Kind) {
		use()
		return delivery{reply: s.sellingPartnerFault(fault, q), fault: fault}
	}
	rep, restricted := s.operate(q, now)
	if !strikes(fault.Kind, q, rep) {
		fault, use = Fault{}, func() {}
	}
	use()
	switch {
	case restricted != nil:
		rep.body = s.finish(restricted, fault.Kind, now)
	case rep.status == http.StatusOK:
		rep.body = spoil(rep.body, fault.Kind)
	}
	return delivery{reply: rep, fault: fault}
}

// strikes tells whether the fault is one of the answer. A fault of the transport
// is one of any; one of a success may be about what only some operations answer.
func strikes(kind FaultKind, q *spRequest, rep reply) bool {
	switch {
	case !slices.Contains(successFaults(), kind):
		return true
	case rep.status != http.StatusOK:
		return false
	case kind == FaultNoAccessToken, kind == FaultEmptyAccessToken:
		return q.createsRestricted() || q.path == migrationPath
	case slices.Contains(lifetimeFaults(), kind):
		return q.createsRestricted()
	}
	return true
}

// operate does what is asked for. A restricted data token is not in the reply yet:
// see finish. The caller holds s.mu.
func (s *Server) operate(q *spRequest, now time.Time) (reply, *restrictedAnswer) {
	switch {
	case q.createsRestricted():
		return s.createRestrictedDataToken(q, now)
	case q.method == http.MethodGet && q.path == participationsPath:
		return s.participations(q.token, now), nil
	case q.method == http.MethodGet && q.path == migrationPath:
		return s.authorizationCode(q.token, q.query, now), nil
	case q.method == http.MethodGet && q.path == destinationsPath:
		return s.destinations(q, now), nil
	}
	return s.openRestricted(q, now), nil
}

// participations is getMarketplaceParticipations, which needs a selling partner's token.
func (s *Server) participations(token string, now time.Time) reply {
	t, details, ok := s.registry.admits(token, now)
	if !ok || !t.ofPartner() {
		return unauthorized(details)
	}
	return ratedReply([]byte(participationsBody), participationsRate)
}

// admits tells whether the token is a live one, whose kind the operation has to
// look at; the details are those SP-API was seen to answer.
func (r *registry) admits(token string, now time.Time) (t accessToken, details string, ok bool) {
	if token == "" {
		return t, "Access token is missing in the request header.", false
	}
	t, known := r.access[token]
	switch {
	case !known:
		return t, "The access token you provided is revoked, malformed or invalid.", false
	case !now.Before(t.expires):
		return t, "The access token you provided has expired.", false
	}
	return t, "", true
}

// SellingPartnerFaults lists the kinds that SetSellingPartnerFault takes for any
// operation.
func SellingPartnerFaults() []FaultKind {
	return []FaultKind{
		FaultServerErrorHTML, FaultServerError, FaultUnavailable, FaultTemporarilyUnavailable, FaultThrottled,
		FaultHang, FaultReset, FaultOKNotJSON, FaultOKNotObject, FaultRedirect, FaultRedirectKeepingMethod,
		FaultBadRequestNotJSON, FaultForbidden, FaultEcho, FaultEchoServerError,
		FaultDelay, FaultSlowBody, FaultTruncatedBody,
		FaultTruncatedJSON, FaultHugeBody, FaultNoAccessToken, FaultEmptyAccessToken,
	}
}

// RestrictedFaults lists the kinds that SetSellingPartnerFault takes for
// createRestrictedDataToken: those for any operation, and those about expiresIn.
func RestrictedFaults() []FaultKind {
	return slices.Concat(SellingPartnerFaults(), lifetimeFaults())
}

// SetSellingPartnerFault makes every operation of the SP-API misbehave, in the
// SP-API's own shapes, until it healed or the faults were cleared. The kinds
// about a missing or empty access token are here about the authorization code
// and the restricted data token, and spare other operations; those about the
// lifetime are about the restricted data token only.
// It panics on a fault that cannot be.
func (s *Server) SetSellingPartnerFault(f Fault) {
	if err := f.check(); err != nil {
		panic("amazontest: " + err.Error())
	}
	if !slices.Contains(RestrictedFaults(), f.Kind) {
		panic("amazontest: the SP-API has no fault " + string(f.Kind))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.sellingPartner = &f
}

// sellingPartnerFault has what was seen of SP-API: the answer to too many
// requests and access denied. The codes of 5xx are inferred.
func (s *Server) sellingPartnerFault(f Fault, q *spRequest) reply {
	rep := reply{status: http.StatusServiceUnavailable}
	switch f.Kind {
	case FaultServerErrorHTML:
		rep = htmlReply(http.StatusInternalServerError, "Internal Server Error")
	case FaultServerError:
		rep = spRefusal(http.StatusInternalServerError, "InternalFailure", "Internal Server Error", "")
	case FaultUnavailable:
		rep.retryAfter = "1"
	case FaultTemporarilyUnavailable:
		rep = spRefusal(http.StatusServiceUnavailable, "ServiceUnavailable", "Service Unavailable", "")
	case FaultThrottled:
		rep = quotaExceeded()
	case FaultOKNotJSON:
		rep = htmlReply(http.StatusOK, "Amazon")
	case FaultOKNotObject:
		rep = spReply(mustJSON([]string{newCode()}))
	case FaultRedirect:
		rep = reply{status: http.StatusFound, location: s.url + elsewhereOf(q)}
	case FaultRedirectKeepingMethod:
		rep = reply{status: http.StatusTemporaryRedirect, location: s.url + elsewhereOf(q)}
	case FaultBadRequestNotJSON:
		rep = htmlReply(http.StatusBadRequest, "Bad Request")
	case FaultForbidden:
		rep = unauthorized("")
	case FaultEcho:
		rep = invalidInput("Received: " + echoCall(q))
	case FaultEchoServerError:
		rep = htmlReply(http.StatusInternalServerError, html.EscapeString("Cannot handle "+echoCall(q)))
	}
	rep.sp = true
	if f.RetryAfter != "" && rep.status >= http.StatusBadRequest {
		rep.retryAfter = f.RetryAfter
	}
	return rep
}

// elsewhereOf is where a redirect of the request leads.
func elsewhereOf(q *spRequest) string {
	if q.createsRestricted() {
		return elsewherePathRestricted
	}
	return elsewherePathSP
}

// echoCall shows what is secret as values and as sent, as echo does.
func echoCall(q *spRequest) string {
	query, _ := url.ParseQuery(q.query)
	parts := []string{"access token=" + q.token}
	for _, name := range []string{"sellingPartnerId", "developerId", "mwsAuthToken"} {
		parts = append(parts, name+"="+query.Get(name))
	}
	return strings.Join(parts, ", ") + " in " + q.uri + " " + string(q.body)
}

// spoil is what is left of a success; a restricted data token's is up to finish.
func spoil(body []byte, kind FaultKind) []byte {
	switch kind {
	case FaultNoAccessToken:
		return []byte(`{"payload":{}}`)
	case FaultEmptyAccessToken:
		return authorizationCodeBody("")
	default:
		return distort(body, kind)
	}
}
