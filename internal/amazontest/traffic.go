// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// traffic is what passed through the token endpoint. Server.mu guards it.
type traffic struct {
	requests, grantless, codes int
	exchanges, codesOf         map[string]int
	inFlight, maxInFlight      int
	redirectsFollowed          int
	sellingPartner, migration  int
	lastForm                   url.Values
	lastHeader                 http.Header

	changed chan struct{} // closed at the next change of inFlight; nil while nobody waits
	holds   int
	gate    chan struct{} // closed when the last hold is released
}

func (t *traffic) move(by int) {
	t.inFlight += by
	t.maxInFlight = max(t.maxInFlight, t.inFlight)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
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
	t.move(1)
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.traffic.move(-1)
	})
}

// pass waits while the server is on hold; false when the client or the server went away.
func (s *Server) pass(ctx context.Context) bool {
	s.mu.Lock()
	gate := s.traffic.gate
	s.mu.Unlock()
	if gate == nil {
		return ctx.Err() == nil
	}
	select {
	case <-gate:
		return true
	case <-ctx.Done():
		return false
	}
}

// Hold makes every token request wait in the handler, counted and in flight,
// until release, or until its client is gone. Holds nest; release may be called twice.
func (s *Server) Hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.traffic
	t.holds++
	if t.gate == nil {
		t.gate = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.holds--; t.holds == 0 {
			close(t.gate)
			t.gate = nil
		}
	})
}

// WaitInFlight waits until at least n token requests are inside the handler.
func (s *Server) WaitInFlight(ctx context.Context, n int) error {
	return s.waitFor(ctx, func(inFlight int) bool { return inFlight >= n })
}

// WaitIdle waits until no token request is inside the handler.
func (s *Server) WaitIdle(ctx context.Context) error {
	return s.waitFor(ctx, func(inFlight int) bool { return inFlight == 0 })
}

func (s *Server) waitFor(ctx context.Context, done func(inFlight int) bool) error {
	for {
		s.mu.Lock()
		if done(s.traffic.inFlight) {
			s.mu.Unlock()
			return nil
		}
		if s.traffic.changed == nil {
			s.traffic.changed = make(chan struct{})
		}
		changed := s.traffic.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return errors.New("amazontest: server closed")
		}
	}
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
	return s.count(func(t *traffic) int { return t.inFlight })
}

// MaxInFlight is the largest number of token requests that were inside the handler at once.
func (s *Server) MaxInFlight() int {
	return s.count(func(t *traffic) int { return t.maxInFlight })
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
