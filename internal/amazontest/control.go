// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const maxControlBody = 64 << 10

type faultOrder struct {
	Kind       FaultKind `json:"kind"`
	Account    string    `json:"account"`
	Times      int       `json:"times"`
	RetryAfter string    `json:"retry_after"`
	Delay      string    `json:"delay"` // Go duration
	Changed    string    `json:"changed"`
	Spend      bool      `json:"spend"`
}

type lifetimeOrder struct {
	Seconds int64 `json:"seconds"`
}

type elementsOrder struct {
	DataElements []string `json:"data_elements"` // all others are given back
}

type documentOrder struct {
	ID string `json:"id"`
}

type accountOrder struct {
	Account  string `json:"account"`
	ClientID string `json:"client_id"` // may be left out when there is one client
}

type codeOrder struct {
	accountOrder
	RedirectURI string `json:"redirect_uri"`
}

type applicationOrder struct {
	ID           string   `json:"id"`
	ClientID     string   `json:"client_id"` // may be left out when there is one client
	RedirectURIs []string `json:"redirect_uris"`
	LoginURI     string   `json:"login_uri"`
	Draft        bool     `json:"draft"`
	Hybrid       bool     `json:"hybrid"`
}

type partnerOrder struct {
	SellingPartnerID string `json:"selling_partner_id"`
}

type revokeOrder struct {
	Account string `json:"account"`
}

type stats struct {
	Exchanges              map[string]int `json:"exchanges"`
	GrantlessExchanges     int            `json:"grantless_exchanges"`
	CodeExchanges          int            `json:"code_exchanges"`
	Requests               int            `json:"requests"`
	InFlight               int            `json:"in_flight"`
	MaxInFlight            int            `json:"max_in_flight"`
	RedirectsFollowed      int            `json:"redirects_followed"`
	SellingPartnerRequests int            `json:"selling_partner_requests"`
	MigrationCalls         int            `json:"migration_calls"`
	RestrictedCalls        map[string]int `json:"restricted_calls"`
}

func (s *Server) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+controlPath+"/fault", order(s.controlFault))
	mux.Handle("DELETE "+controlPath+"/fault", order(s.controlHeal))
	mux.Handle("POST "+controlPath+"/lifetime", order(controlLifetime(s.SetTokenLifetime)))
	mux.Handle("POST "+controlPath+"/restricted/lifetime", order(controlLifetime(s.SetRestrictedLifetime)))
	mux.Handle("POST "+controlPath+"/restricted/deny", order(s.controlDeny))
	mux.Handle("POST "+controlPath+"/restricted/deny-document", order(s.controlDenyDocument))
	mux.Handle("POST "+controlPath+"/authorize", order(s.controlAuthorize))
	mux.Handle("POST "+controlPath+"/code", order(s.controlCode))
	mux.Handle("POST "+controlPath+"/application", order(s.controlApplication))
	mux.Handle("POST "+controlPath+"/partner", order(s.controlPartner))
	mux.Handle("POST "+controlPath+"/revoke", order(s.controlRevoke))
	mux.Handle("GET "+controlPath+"/stats", order(s.controlStats))
	return loopbackOnly(mux)
}

// loopbackOnly matters when the program listens on more than loopback.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			answerControl(w, http.StatusForbidden, map[string]string{"error": "the control API is for loopback only"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

type nothing struct{}

// order turns a function of a strictly read JSON body into a handler; an error
// is the caller's fault.
func order[Body any](do func(Body) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body Body
		err := readStrictly(http.MaxBytesReader(w, r.Body, maxControlBody), &body)
		var result any
		if err == nil {
			result, err = do(body)
		}
		if err != nil {
			answerControl(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		answerControl(w, http.StatusOK, result)
	})
}

// readStrictly takes no body for an empty object.
func readStrictly(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	switch err := dec.Decode(into); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("bad body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bad body: more than one JSON value")
	}
	return nil
}

func answerControl(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(mustJSON(v), '\n'))
}

func (s *Server) controlFault(o faultOrder) (any, error) {
	f := Fault{Kind: o.Kind, Times: o.Times, RetryAfter: o.RetryAfter, Changed: o.Changed, Spend: o.Spend}
	if o.Delay != "" {
		d, err := time.ParseDuration(o.Delay)
		if err != nil {
			return nil, fmt.Errorf("bad delay: %w", err)
		}
		f.Delay = d
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if o.Account == "" {
		s.SetFault(f)
		return nothing{}, nil
	}
	if err := s.checkAccount(o.Account); err != nil {
		return nil, err
	}
	s.SetAccountFault(o.Account, f)
	return nothing{}, nil
}

func (s *Server) controlHeal(nothing) (any, error) {
	s.ClearFaults()
	return nothing{}, nil
}

func controlLifetime(set func(time.Duration)) func(lifetimeOrder) (any, error) {
	return func(o lifetimeOrder) (any, error) {
		const most = 10 * 365 * 24 * 3600 // far from overflowing a time.Duration
		if o.Seconds < 1 || o.Seconds > most {
			return nil, fmt.Errorf("seconds is %d, must be 1 to %d", o.Seconds, most)
		}
		set(time.Duration(o.Seconds) * time.Second)
		return nothing{}, nil
	}
}

func (s *Server) controlDeny(o elementsOrder) (any, error) {
	known := []string{elementBuyerInfo, elementShippingAddress, elementTaxInformation}
	for _, element := range o.DataElements {
		if !slices.Contains(known, element) {
			return nil, fmt.Errorf("unknown data element %q, known are: %s", element, strings.Join(known, ", "))
		}
	}
	s.DenyDataElements(o.DataElements...)
	return nothing{}, nil
}

func (s *Server) controlDenyDocument(o documentOrder) (any, error) {
	if o.ID == "" {
		return nil, errors.New("id is missing")
	}
	s.DenyDocument(o.ID)
	return nothing{}, nil
}

func (s *Server) controlAuthorize(o accountOrder) (any, error) {
	clientID, err := s.checkOrder(o)
	if err != nil {
		return nil, err
	}
	return map[string]string{"account": o.Account, "refresh_token": s.Authorize(clientID, o.Account)}, nil
}

func (s *Server) controlCode(o codeOrder) (any, error) {
	clientID, err := s.checkOrder(o.accountOrder)
	if err != nil {
		return nil, err
	}
	code := s.NewCode(clientID, o.Account, o.RedirectURI)
	return map[string]string{"account": o.Account, "spapi_oauth_code": code}, nil
}

func (s *Server) controlApplication(o applicationOrder) (any, error) {
	clientID, err := s.checkClient(o.ClientID)
	if err != nil {
		return nil, err
	}
	a := Application{
		ID: o.ID, ClientID: clientID, RedirectURIs: o.RedirectURIs,
		LoginURI: o.LoginURI, Draft: o.Draft, Hybrid: o.Hybrid,
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	s.AddApplication(a)
	return nothing{}, nil
}

func (s *Server) controlPartner(o partnerOrder) (any, error) {
	if o.SellingPartnerID == "" {
		return nil, errors.New("selling_partner_id is missing")
	}
	s.AddPartner(o.SellingPartnerID)
	return nothing{}, nil
}

func (s *Server) controlRevoke(o revokeOrder) (any, error) {
	if err := s.checkAccount(o.Account); err != nil {
		return nil, err
	}
	s.RevokeAuthorization(o.Account)
	return nothing{}, nil
}

func (s *Server) controlStats(nothing) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.traffic
	return stats{
		Exchanges:              maps.Clone(t.exchanges),
		GrantlessExchanges:     t.grantless,
		CodeExchanges:          t.codes,
		Requests:               t.requests,
		InFlight:               t.lwa.inFlight,
		MaxInFlight:            t.lwa.maxInFlight,
		RedirectsFollowed:      t.redirectsFollowed,
		SellingPartnerRequests: t.sellingPartner,
		MigrationCalls:         t.migration,
		RestrictedCalls:        maps.Clone(t.restricted),
	}, nil
}

// checkAccount finds typing errors: a fault of nobody would never show.
func (s *Server) checkAccount(account string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.registry.knowsAccount(account) {
		return fmt.Errorf("no account %q has authorized", account)
	}
	return nil
}

func (s *Server) checkOrder(o accountOrder) (clientID string, err error) {
	if o.Account == "" {
		return "", errors.New("account is missing")
	}
	return s.checkClient(o.ClientID)
}

// checkClient finds the one client that there is, where none is named.
func (s *Server) checkClient(named string) (clientID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.Sorted(maps.Keys(s.registry.clients))
	switch {
	case named == "" && len(known) == 1:
		return known[0], nil
	case named == "":
		return "", fmt.Errorf("client_id is missing: there are %d clients", len(known))
	case !slices.Contains(known, named):
		return "", fmt.Errorf("no client %q", named)
	}
	return named, nil
}
