// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	consentPath  = "/apps/authorize/consent"
	confirmPath  = "/apps/authorize/confirm/"
	appstorePath = "/appstore/" // of this package, not of Amazon's

	callbackBase = "https://amazon.com" + confirmPath
	versionBeta  = "beta"

	// The error codes of the pages are those of SP-API docs, "Authorization
	// Errors". Where no code is known, the page has none.
	codeNotFound      = "MD1000"
	codeNoURIs        = "MD5100"
	codeUnknownTarget = "MD5101"
)

// consentRequest is a request for an authorization that Amazon would show to a visitor.
type consentRequest struct {
	applicationID, state, redirectURI string
}

// appstoreLogin is what Amazon remembers of a seller's click in the Appstore.
type appstoreLogin struct {
	applicationID, sellingPartnerID string
}

// pageError is what an error page says; it holds nothing of the request but the
// application.
type pageError struct {
	status            int
	application, code string
	text              string
}

func (e *pageError) Error() string {
	if e.code == "" {
		return "amazontest: error page: " + e.text
	}
	return "amazontest: error page " + e.code + ": " + e.text
}

// checkRequest checks what both workflows have in common, for the application
// whose id is in the URL. An unknown id is MD1000, as a missing one is
// (amzn/selling-partner-api-docs issues 265 and 3479).
func (r *registry) checkRequest(applicationID string, q url.Values) (consentRequest, *pageError) {
	refuse := func(code, text string) (consentRequest, *pageError) {
		return consentRequest{}, &pageError{http.StatusBadRequest, applicationID, code, text}
	}
	for _, name := range []string{"application_id", "state", "redirect_uri", "version", "amazon_state"} {
		// RFC 6749, section 3.1: parameters must not be included more than once.
		if len(q[name]) > 1 {
			return refuse("", name+" is there more than once")
		}
	}
	app, known := r.applications[applicationID]
	version := q.Get("version")
	switch {
	case !known:
		return refuse(codeNotFound, "there is no such application")
	// Of a published application, version=beta "can" be removed (SP-API docs,
	// "Authorization Errors"): it is accepted.
	case q.Has("version") && version != versionBeta:
		return refuse("", "there is no such version of the application")
	case app.Draft && version == "":
		return refuse(codeNotFound, "the application is a draft, which needs version=beta")
	case len(app.RedirectURIs) == 0:
		return refuse(codeNoURIs, "the application has no redirect URI")
	case q.Get("state") == "":
		return refuse("", "state is missing")
	case !q.Has("redirect_uri"):
		return consentRequest{applicationID, q.Get("state"), app.RedirectURIs[0]}, nil
	case !slices.Contains(app.RedirectURIs, q.Get("redirect_uri")):
		return refuse(codeUnknownTarget, "the redirect URI is not registered for the application")
	}
	return consentRequest{applicationID, q.Get("state"), q.Get("redirect_uri")}, nil
}

// grant ends both workflows: it is where the browser goes with its code.
func (r *registry) grant(c consentRequest, sellingPartnerID string, now time.Time) string {
	app := r.applications[c.applicationID]
	q := url.Values{
		"state":              {c.state},
		"selling_partner_id": {sellingPartnerID},
		"spapi_oauth_code":   {r.issueCode(app.ClientID, sellingPartnerID, c.redirectURI, now)},
	}
	if app.Hybrid {
		q.Set("mws_auth_token", "amzn.mws."+newUUID())
	}
	return withQuery(c.redirectURI, q)
}

// withQuery adds parameters, and leaves those that are there as they are written.
func withQuery(registered string, q url.Values) string {
	u, err := url.Parse(registered)
	if err != nil {
		panic(err) // it was parsed when it was registered
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return u.String()
}

// consentForm is what the consent page shows.
type consentForm struct {
	Site, Application, Token string
	Partners                 []string
}

// openConsent is a visit of the consent page. Its token makes it good for one answer.
func (s *Server) openConsent(q url.Values) (consentForm, *pageError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, refused := s.registry.checkRequest(q.Get("application_id"), q)
	if refused != nil {
		return consentForm{}, refused
	}
	token := newState()
	s.registry.consents[token] = c
	return consentForm{
		Application: c.applicationID, Token: token,
		Partners: slices.Sorted(maps.Keys(s.registry.partners)),
	}, nil
}

// giveConsent is the answer of the consent page's form. A token is spent by being
// shown, also in vain.
func (s *Server) giveConsent(q, form url.Values) (target string, refused *pageError) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.registry
	token, partner := form.Get("page_token"), form.Get("selling_partner_id")
	of, live := r.consents[token]
	delete(r.consents, token)
	c, refused := r.checkRequest(q.Get("application_id"), q)
	_, exists := r.partners[partner]
	switch {
	case refused != nil:
		return "", refused
	case !live:
		return "", &pageError{http.StatusForbidden, c.applicationID, "", "the page was used before, or is not ours"}
	case of != c:
		return "", &pageError{http.StatusForbidden, c.applicationID, "", "the page was made for another request"}
	case !exists:
		return "", &pageError{http.StatusForbidden, c.applicationID, "", "there is no such selling partner"}
	}
	return r.grant(c, partner, now), nil
}

// openAppstore is the click on "Authorize" in the Appstore (SP-API docs,
// "Selling Partner Appstore authorization workflow").
func (s *Server) openAppstore(applicationID, sellingPartnerID string) (target string, refused *pageError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, known := s.registry.applications[applicationID]
	_, exists := s.registry.partners[sellingPartnerID]
	switch {
	case !known:
		return "", &pageError{http.StatusBadRequest, applicationID, codeNotFound, "there is no such application"}
	case app.LoginURI == "":
		return "", &pageError{http.StatusBadRequest, applicationID, codeNoURIs, "the application has no login URI"}
	case !exists:
		return "", &pageError{http.StatusForbidden, applicationID, "", "there is no such selling partner"}
	}
	amazonState := newState()
	s.registry.logins[amazonState] = appstoreLogin{applicationID, sellingPartnerID}
	q := url.Values{
		"amazon_callback_uri": {callbackBase + url.PathEscape(app.ID)},
		"amazon_state":        {amazonState},
		"selling_partner_id":  {sellingPartnerID},
	}
	if app.Draft {
		q.Set("version", versionBeta)
	}
	return withQuery(app.LoginURI, q), nil
}

// confirmAppstore is the seller coming back from the application's login. Its
// amazon_state is spent only by success; how long one lives is not documented.
func (s *Server) confirmAppstore(applicationID string, q url.Values) (target string, refused *pageError) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c, refused := s.registry.checkRequest(applicationID, q)
	if refused != nil {
		return "", refused
	}
	amazonState := q.Get("amazon_state")
	login, live := s.registry.logins[amazonState]
	switch {
	case amazonState == "":
		return "", &pageError{http.StatusBadRequest, applicationID, "", "amazon_state is missing"}
	case !live || login.applicationID != applicationID:
		return "", &pageError{http.StatusBadRequest, applicationID, "", "amazon_state is unknown or was used"}
	}
	delete(s.registry.logins, amazonState)
	return s.registry.grant(c, login.sellingPartnerID, now), nil
}
