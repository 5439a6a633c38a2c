// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"html"
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

// serveSellingPartner answers every path that is not Login with Amazon's, nor a page.
func (s *Server) serveSellingPartner(w http.ResponseWriter, r *http.Request) {
	s.send(w, r, s.decideSellingPartner(r), func() {})
}

// decideSellingPartner is decide for the SP-API.
func (s *Server) decideSellingPartner(r *http.Request) delivery {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traffic.sellingPartner++
	if r.URL.Path == migrationPath {
		s.traffic.migration++
	}
	fault, use := s.faults.currentSellingPartner()
	if slices.Contains(serviceFaults(), fault.Kind) {
		use()
		return delivery{reply: s.sellingPartnerFault(fault, r), fault: fault}
	}
	rep := s.operate(r, now)
	ofSuccess := slices.Contains(successFaults(), fault.Kind)
	switch {
	case ofSuccess && rep.status != http.StatusOK:
		fault = Fault{}
	case ofSuccess:
		use()
		rep.body = spoil(rep.body, fault.Kind)
	default:
		use()
	}
	return delivery{reply: rep, fault: fault}
}

// operate does what is asked for. The caller holds s.mu.
func (s *Server) operate(r *http.Request, now time.Time) reply {
	token := r.Header.Get(accessTokenHeader)
	switch {
	case r.Method == http.MethodGet && r.URL.Path == participationsPath:
		return s.participations(token, now)
	case r.Method == http.MethodGet && r.URL.Path == migrationPath:
		return s.authorizationCode(token, r.URL.RawQuery, now)
	}
	return spRefusal(http.StatusForbidden, "MissingAuthenticationToken", accessDenied, "")
}

// participations is getMarketplaceParticipations, which needs a selling partner's token.
func (s *Server) participations(token string, now time.Time) reply {
	t, details, ok := s.registry.admits(token, now)
	if !ok || t.account == "" {
		return spRefusal(http.StatusForbidden, "Unauthorized", accessDenied, details)
	}
	rep := spReply([]byte(participationsBody))
	rep.header = http.Header{"X-Amzn-Ratelimit-Limit": {participationsRate}}
	return rep
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

// SellingPartnerFaults lists the kinds that SetSellingPartnerFault takes.
func SellingPartnerFaults() []FaultKind {
	return []FaultKind{
		FaultServerErrorHTML, FaultServerError, FaultUnavailable, FaultTemporarilyUnavailable, FaultThrottled,
		FaultHang, FaultReset, FaultOKNotJSON, FaultOKNotObject, FaultRedirect, FaultRedirectKeepingMethod,
		FaultBadRequestNotJSON, FaultForbidden, FaultEcho, FaultEchoServerError,
		FaultDelay, FaultSlowBody, FaultTruncatedBody,
		FaultTruncatedJSON, FaultHugeBody, FaultNoAccessToken, FaultEmptyAccessToken,
	}
}

// SetSellingPartnerFault makes every operation of the SP-API misbehave, in the
// SP-API's own shapes, until it healed or the faults were cleared. The kinds
// about a missing or empty access token are here about the authorization code.
// It panics on a fault that cannot be.
func (s *Server) SetSellingPartnerFault(f Fault) {
	if err := f.check(); err != nil {
		panic("amazontest: " + err.Error())
	}
	if !slices.Contains(SellingPartnerFaults(), f.Kind) {
		panic("amazontest: the SP-API has no fault " + string(f.Kind))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.sellingPartner = &f
}

// sellingPartnerFault has what was seen of SP-API: the answer to too many
// requests and access denied. The codes of 5xx are inferred.
func (s *Server) sellingPartnerFault(f Fault, r *http.Request) reply {
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
		rep = spRefusal(http.StatusTooManyRequests, "QuotaExceeded", "You exceeded your quota for the requested resource.", "")
		rep.header = http.Header{"X-Amzn-Errortype": {"TooManyRequestsException"}}
	case FaultOKNotJSON:
		rep = htmlReply(http.StatusOK, "Amazon")
	case FaultOKNotObject:
		rep = spReply(mustJSON([]string{newCode()}))
	case FaultRedirect:
		rep = reply{status: http.StatusFound, location: s.url + elsewherePathSP}
	case FaultRedirectKeepingMethod:
		rep = reply{status: http.StatusTemporaryRedirect, location: s.url + elsewherePathSP}
	case FaultBadRequestNotJSON:
		rep = htmlReply(http.StatusBadRequest, "Bad Request")
	case FaultForbidden:
		rep = spRefusal(http.StatusForbidden, "Unauthorized", accessDenied, "")
	case FaultEcho:
		rep = invalidInput("Received: " + echoCall(r))
	case FaultEchoServerError:
		rep = htmlReply(http.StatusInternalServerError, html.EscapeString("Cannot handle "+echoCall(r)))
	}
	rep.sp = true
	if f.RetryAfter != "" && rep.status >= http.StatusBadRequest {
		rep.retryAfter = f.RetryAfter
	}
	return rep
}

// echoCall shows what is secret as values and as sent, as echo does.
func echoCall(r *http.Request) string {
	q, _ := url.ParseQuery(r.URL.RawQuery)
	parts := []string{"access token=" + r.Header.Get(accessTokenHeader)}
	for _, name := range []string{"sellingPartnerId", "developerId", "mwsAuthToken"} {
		parts = append(parts, name+"="+q.Get(name))
	}
	return strings.Join(parts, ", ") + " in " + r.URL.RequestURI()
}

// spoil is what is left of a success.
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
