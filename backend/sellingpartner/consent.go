// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	consentPath = "/apps/authorize/consent"
	// authorizePath begins the paths of all pages on which a selling partner
	// authorizes an application.
	authorizePath = "/apps/authorize/"
)

// Kinds of selling partners.
const (
	Seller = "seller"
	Vendor = "vendor"
)

// Consent is a link to the page on which a selling partner authorizes an
// application.
type Consent struct {
	ApplicationID string
	State         string
	RedirectURI   string // empty: the first that is registered for the application
	Draft         bool   // the application was not published yet
}

// Link is the consent page of a marketplace (website workflow). Source: SP-API
// documentation, "Website Authorization Workflow".
func (c Consent) Link(m Marketplace, kind string) (string, error) {
	host := m.SellerCentral
	if kind == Vendor {
		host = m.VendorCentral
	}
	if host == "" {
		return "", fmt.Errorf("%s has no %s central that is known here", m.Name, kind)
	}
	query := url.Values{"application_id": {c.ApplicationID}}
	return c.complete(url.URL{Scheme: "https", Host: host, Path: consentPath}, query), nil
}

// Confirmation is where an authorization goes on that was begun in Amazon's
// Appstore: at the callback URI with which Amazon opened the application's log-in
// page. Source: SP-API documentation, "Selling Partner Appstore authorization
// workflow".
func (c Consent) Confirmation(callbackURI, amazonState string) (string, error) {
	callback, err := amazonPage(callbackURI)
	if err != nil {
		return "", err
	}
	query := callback.Query()
	for _, ours := range []string{"application_id", "redirect_uri", "version"} {
		query.Del(ours) // the URI came from a browser
	}
	query.Set("amazon_state", amazonState)
	return c.complete(*callback, query), nil
}

func (c Consent) complete(page url.URL, query url.Values) string {
	query.Set("state", c.State)
	if c.RedirectURI != "" {
		query.Set("redirect_uri", c.RedirectURI)
	}
	if c.Draft {
		query.Set("version", "beta")
	}
	page.RawQuery = query.Encode()
	return page.String()
}

// amazonPage accepts authorization pages of Amazon's own hosts: whoever is sent
// there carries the state. The messages do not repeat the URI.
func amazonPage(raw string) (*url.URL, error) {
	page, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case page.Scheme != "https" || page.Opaque != "" || (page.Port() != "" && page.Port() != "443") || page.User != nil || strings.Contains(raw, "#"):
		return nil, errors.New("must be an https URL of Amazon's, without user info, port or fragment")
	case !isAmazonHost(strings.ToLower(page.Hostname())):
		return nil, errors.New("must be on a host of Amazon's: amazon.com, or a seller or vendor central")
	case !strings.HasPrefix(page.Path, authorizePath) || path.Clean(page.Path) != strings.TrimSuffix(page.Path, "/") || page.RawPath != "":
		return nil, fmt.Errorf("must be a page below %s", authorizePath)
	}
	return page, nil
}

// central matches the first label of the host of a seller or vendor central.
var central = regexp.MustCompile(`^(?:www|(?:seller|vendor)central(?:-[a-z]{2,16})?)$`)

// isAmazonHost reports whether a host is one of Amazon's: a domain in which there
// is a central that is listed here, or a central in it.
func isAmazonHost(host string) bool {
	label, domain, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(Marketplaces(), func(m Marketplace) bool {
		for _, known := range []string{m.SellerCentral, m.VendorCentral} {
			_, amazons, _ := strings.Cut(known, ".")
			if amazons != "" && (host == amazons || (domain == amazons && central.MatchString(label))) {
				return true
			}
		}
		return false
	})
}
