// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"net/http"
)

const (
	participationsPath = "/sellers/v1/marketplaceParticipations"
	accessTokenHeader  = "X-Amz-Access-Token"

	// participationsBody is the static sandbox answer of the Sellers API model.
	participationsBody = `{"payload":[{"marketplace":{"id":"ATVPDKIKX0DER","countryCode":"US","name":"Amazon.com",` +
		`"defaultCurrencyCode":"USD","defaultLanguageCode":"en_US","domainName":"www.amazon.com"},` +
		`"storeName":"BestSellerStore","participation":{"isParticipating":true,"hasSuspendedListings":false}}]}`
	participationsRate = "0.016"
)

type sellingPartnerErrors struct {
	Errors []sellingPartnerError `json:"errors"`
}

type sellingPartnerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details string `json:"details"`
}

// serveSellingPartner answers every path that is not Login with Amazon's.
func (s *Server) serveSellingPartner(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.traffic.sellingPartner++
	s.mu.Unlock()

	h := w.Header()
	h.Set("X-Amzn-Requestid", newUUID())
	h.Set("Content-Type", "application/json")
	if r.Method != http.MethodGet || r.URL.Path != participationsPath {
		// Only the code was seen; the texts that go with it are not known.
		refuseSellingPartner(w, "MissingAuthenticationToken", "", "")
		return
	}
	if details, ok := s.admits(r.Header.Get(accessTokenHeader)); !ok {
		refuseSellingPartner(w, "Unauthorized", "Access to requested resource is denied.", details)
		return
	}
	h.Set("X-Amzn-Ratelimit-Limit", participationsRate)
	_, _ = w.Write([]byte(participationsBody))
}

// admits tells whether the token opens an operation that needs a selling
// partner; the details are those SP-API was seen to answer.
func (s *Server) admits(token string) (details string, ok bool) {
	if token == "" {
		return "Access token is missing in the request header.", false
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.registry.access[token]
	switch {
	case !known:
		return "The access token you provided is revoked, malformed or invalid.", false
	case !now.Before(t.expires):
		return "The access token you provided has expired.", false
	case t.account == "":
		return "", false // the wrong kind of token
	}
	return "", true
}

func refuseSellingPartner(w http.ResponseWriter, code, message, details string) {
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write(mustJSON(sellingPartnerErrors{[]sellingPartnerError{{code, message, details}}}))
}
