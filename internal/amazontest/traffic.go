// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// traffic is what passed through the token endpoint and the SP-API. Server.mu guards it.
type traffic struct {
	requests, grantless, codes int
	exchanges, codesOf         map[string]int
	redirectsFollowed          int
	sellingPartner, migration  int
	restricted                 map[string]int
	restrictedBodies           []string
	lastForm                   url.Values
	lastHeader                 http.Header

	lwa, sp passage
}

func newTraffic() traffic {
	return traffic{exchanges: make(map[string]int), codesOf: make(map[string]int), restricted: make(map[string]int)}
}

// enter counts a request and puts it in flight, in one step, so that whoever
// sees it in flight sees it counted. leave may be called twice.
func (s *Server) enter(q *tokenRequest, header http.Header) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.traffic
	t.requests++
	t.lastForm, t.lastHeader = maps.Clone(q.form), header.Clone()
	switch q.grant() {
	case grantRefresh:
		if known, ok := s.registry.refresh[q.form.Get("refresh_token")]; ok {
			q.account = known.account
			t.exchanges[known.account]++
		}
	case grantClient:
		t.grantless++
	case grantCode:
		t.codes++
		if known, ok := s.registry.codes[q.form.Get("code")]; ok {
			q.account = known.account
			t.codesOf[known.account]++
		}
	}
	return s.through(&t.lwa)
}

// enterSellingPartner is enter for the SP-API.
func (s *Server) enterSellingPartner(q *spRequest) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.traffic
	t.sellingPartner++
	switch {
	case q.path == migrationPath:
		t.migration++
	case q.createsRestricted():
		t.restrictedBodies = append(t.restrictedBodies, string(q.body))
		if known, ok := s.registry.access[q.token]; ok && known.account != "" {
			t.restricted[known.account]++
		}
	}
	return s.through(&t.sp)
}

// Exchanges counts the refresh requests received for the account, which is
// identified by its refresh token, whatever the outcome.
func (s *Server) Exchanges(account string) int {
	return s.count(func(t *traffic) int { return t.exchanges[account] })
}

// GrantlessExchanges counts the client_credentials requests, whatever the outcome.
func (s *Server) GrantlessExchanges() int {
	return s.count(func(t *traffic) int { return t.grantless })
}

// CodeExchanges counts the authorization_code requests, whatever the outcome.
func (s *Server) CodeExchanges() int {
	return s.count(func(t *traffic) int { return t.codes })
}

// CodeExchangesOf counts the authorization_code requests received for the
// account (of a consent, the selling partner id), whatever the outcome.
// Exchanges does not count them.
func (s *Server) CodeExchangesOf(account string) int {
	return s.count(func(t *traffic) int { return t.codesOf[account] })
}

// Requests counts all requests to the token endpoint, refused ones included.
func (s *Server) Requests() int {
	return s.count(func(t *traffic) int { return t.requests })
}

// InFlight is the number of token requests inside the handler now.
func (s *Server) InFlight() int {
	return s.count(func(t *traffic) int { return t.lwa.inFlight })
}

// MaxInFlight is the largest number of token requests that were inside the handler at once.
func (s *Server) MaxInFlight() int {
	return s.count(func(t *traffic) int { return t.lwa.maxInFlight })
}

// RedirectsFollowed counts the requests of clients that followed a redirect fault.
func (s *Server) RedirectsFollowed() int {
	return s.count(func(t *traffic) int { return t.redirectsFollowed })
}

// SellingPartnerRequests counts the requests to the simulated SP-API.
func (s *Server) SellingPartnerRequests() int {
	return s.count(func(t *traffic) int { return t.sellingPartner })
}

// MigrationCalls counts the requests for an authorization code of the
// Authorization API, whatever the outcome.
func (s *Server) MigrationCalls() int {
	return s.count(func(t *traffic) int { return t.migration })
}

// RestrictedCalls counts the requests for a restricted data token that named the
// account by their access token, even an expired one, whatever the outcome.
func (s *Server) RestrictedCalls(account string) int {
	return s.count(func(t *traffic) int { return t.restricted[account] })
}

// RestrictedBodies returns the bodies of all requests for a restricted data
// token as they came, in order, refused ones included; at most 64 KiB of each.
func (s *Server) RestrictedBodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.traffic.restrictedBodies)
}

func (s *Server) count(of func(*traffic) int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of(&s.traffic)
}

// LastRequest returns the parameters (of a form or a JSON body) and the headers
// of the latest request to the token endpoint; nil before the first.
func (s *Server) LastRequest() (form url.Values, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traffic.lastForm != nil {
		form = make(url.Values, len(s.traffic.lastForm))
		for name, values := range s.traffic.lastForm {
			form[name] = slices.Clone(values)
		}
	}
	return form, s.traffic.lastHeader.Clone()
}
