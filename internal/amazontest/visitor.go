// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Consent does in process what a visitor does who opens the URL of the consent
// page, signs in as the selling partner and confirms, or who comes from the
// application's login to the Appstore's callback. It returns where the browser
// would go. The error of an error page holds its code.
func (s *Server) Consent(consentURL, sellingPartnerID string) (redirect *url.URL, err error) {
	u, err := url.Parse(consentURL)
	if err != nil {
		return nil, errors.New("amazontest: not a URL") // whose text would hold the state
	}
	if !s.hasPage(u) {
		return nil, fmt.Errorf("amazontest: there is no page at %s://%s%s", u.Scheme, u.Host, u.Path)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("amazontest: the query cannot be read")
	}
	if id, ok := strings.CutPrefix(u.Path, confirmPath); ok {
		if by := s.loggedIn(q.Get("amazon_state")); by != "" && by != sellingPartnerID {
			return nil, errors.New("amazontest: another selling partner came from the Appstore")
		}
		return arrive(s.confirmAppstore(id, q))
	}
	form, refused := s.openConsent(q)
	if refused != nil {
		return nil, refused
	}
	return arrive(s.giveConsent(q, url.Values{
		"page_token": {form.Token}, "selling_partner_id": {sellingPartnerID},
	}))
}

// AppstoreLogin is the application's login URI as the Appstore opens it when the
// selling partner clicks on "Authorize".
func (s *Server) AppstoreLogin(applicationID, sellingPartnerID string) (*url.URL, error) {
	return arrive(s.openAppstore(applicationID, sellingPartnerID))
}

// hasPage tells whether Consent can answer for a browser: at one of Amazon's
// hosts, or at the server's own address.
func (s *Server) hasPage(u *url.URL) bool {
	if u.Scheme == "https" {
		return siteServes(u.Host, u.Path) && !strings.HasPrefix(u.Path, appstorePath)
	}
	return u.Scheme+"://"+u.Host == s.url && (u.Path == consentPath || strings.HasPrefix(u.Path, confirmPath))
}

func (s *Server) loggedIn(amazonState string) (sellingPartnerID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.logins[amazonState].sellingPartnerID
}

func arrive(target string, refused *pageError) (*url.URL, error) {
	if refused != nil {
		return nil, refused
	}
	return url.Parse(target)
}
