// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Application is a registered SP-API application, to which selling partners
// consent in a browser (SP-API docs, "Website authorization workflow").
type Application struct {
	// ID is such as amzn1.sp.solution.…; ClientID is the one of Login with Amazon.
	ID, ClientID string
	// RedirectURIs are where a visitor may be sent with a code, the first by default.
	RedirectURIs []string
	// LoginURI is where the Appstore sends a seller who wants to authorize.
	LoginURI string
	// Draft applications are found with version=beta only.
	Draft bool
	// Hybrid applications are given an MWS token with each authorization.
	Hybrid bool
}

// check refuses what Amazon's registration form refuses.
func (a Application) check() error {
	switch {
	case a.ID == "" || strings.Contains(a.ID, "/"):
		return fmt.Errorf("%q is no application id", a.ID)
	case a.ClientID == "":
		return errors.New("an application needs a client id")
	}
	for _, uri := range a.RedirectURIs {
		if err := checkRegistrable(uri); err != nil {
			return fmt.Errorf("redirect URI %q: %w", uri, err)
		}
	}
	if a.LoginURI != "" {
		if err := checkRegistrable(a.LoginURI); err != nil {
			return fmt.Errorf("login URI %q: %w", a.LoginURI, err)
		}
	}
	return nil
}

// checkRegistrable refuses http and localhost, as Amazon does
// (amzn/selling-partner-api-docs issues 26, 331 and 695). That loopback
// addresses count as localhost is inferred; a fragment is against RFC 6749,
// section 3.1.2.
func checkRegistrable(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(uri, "#"):
		return errors.New("must be an absolute URL without user and fragment")
	case u.Scheme != "https":
		return errors.New("must be https")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if ip := net.ParseIP(host); host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback() {
		return errors.New("must not be localhost")
	}
	return nil
}

// AddApplication registers an application, replacing what was registered under
// its id. It panics on one that Amazon does not register, which is a bug in a test.
func (s *Server) AddApplication(a Application) {
	if err := a.check(); err != nil {
		panic("amazontest: " + err.Error())
	}
	a.RedirectURIs = slices.Clone(a.RedirectURIs)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.applications[a.ID] = a
}

// AddPartner makes a selling partner who can sign in and consent. The account of
// what follows from a consent is the selling partner id: see AccountOf, Exchanges
// and SetAccountFault.
func (s *Server) AddPartner(sellingPartnerID string) {
	if sellingPartnerID == "" {
		panic("amazontest: a selling partner needs an id")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.partners[sellingPartnerID] = struct{}{}
}
