// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"slices"
	"time"
)

const (
	// ScopeNotifications is a live grantless scope (SP-API docs, "Grantless operations").
	ScopeNotifications = "sellingpartnerapi::notifications"
	// ScopeMigration was the one of the Authorization API, which Amazon removed on
	// 2024-03-27 (SP-API docs, "Grantless operations"; see OfferMigration).
	ScopeMigration = "sellingpartnerapi::migration"
	// ScopeRotation is the other live grantless scope (SP-API docs, "Grantless operations").
	ScopeRotation = "sellingpartnerapi::client_credential:rotation"

	// secretOverlap is how long the old secret works (SP-API docs, "Rotating your app's LWA credentials").
	secretOverlap = 7 * 24 * time.Hour
	// codeLifetime is the life of an spapi_oauth_code (SP-API docs, "Website authorization workflow").
	codeLifetime = 5 * time.Minute
)

// registry is what Amazon would keep in its databases. Server.mu guards it.
type registry struct {
	lifetime time.Duration
	clients  map[string]*client
	refresh  map[string]*refreshToken
	codes    map[string]*oauthCode
	access   map[string]accessToken

	applications map[string]Application
	partners     map[string]struct{}
	consents     map[string]consentRequest // by page token, until the form comes back
	logins       map[string]appstoreLogin  // by amazon_state, until used
	migration    migrationAPI
	restricting  restricting
}

type client struct {
	secrets []clientSecret
	scopes  []string
}

type clientSecret struct {
	value string
	until time.Time // zero: no end
}

type refreshToken struct {
	clientID, account string
	revoked           bool
}

type oauthCode struct {
	clientID, account, redirectURI string
	expires                        time.Time
	used                           bool
}

type accessToken struct {
	client     string
	account    string      // empty for a grantless token
	scopes     []string    // only of a grantless token
	restricted *Restricted // only of a restricted data token
	expires    time.Time
}

// ofPartner is neither grantless nor a restricted data token.
func (t accessToken) ofPartner() bool { return t.account != "" && t.restricted == nil }

func newRegistry(lifetime time.Duration) registry {
	return registry{
		lifetime: lifetime,
		clients:  make(map[string]*client),
		refresh:  make(map[string]*refreshToken),
		codes:    make(map[string]*oauthCode),
		access:   make(map[string]accessToken),

		applications: make(map[string]Application),
		partners:     make(map[string]struct{}),
		consents:     make(map[string]consentRequest),
		logins:       make(map[string]appstoreLogin),
		migration:    newMigrationAPI(),
		restricting:  newRestricting(),
	}
}

func (r *registry) authenticate(clientID, secret string, now time.Time) (*client, bool) {
	c, ok := r.clients[clientID]
	if !ok {
		return nil, false
	}
	return c, slices.ContainsFunc(c.secrets, func(s clientSecret) bool {
		return s.value == secret && (s.until.IsZero() || now.Before(s.until))
	})
}

func (r *registry) authorize(clientID, account string) string {
	token := newRefreshToken()
	r.refresh[token] = &refreshToken{clientID: clientID, account: account}
	return token
}

func (r *registry) issueCode(clientID, account, redirectURI string, now time.Time) string {
	code := newCode()
	r.codes[code] = &oauthCode{
		clientID: clientID, account: account, redirectURI: redirectURI, expires: now.Add(codeLifetime),
	}
	return code
}

// knowsAccount is about who has authorized, and who still may.
func (r *registry) knowsAccount(account string) bool {
	if _, ok := r.partners[account]; ok {
		return true
	}
	for _, c := range r.codes {
		if c.account == account {
			return true
		}
	}
	for _, t := range r.refresh {
		if t.account == account {
			return true
		}
	}
	return false
}

// AddClient registers an application with one client secret, replacing what was
// registered under that id.
func (s *Server) AddClient(clientID, clientSecretValue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.clients[clientID] = &client{
		secrets: []clientSecret{{value: clientSecretValue}},
		scopes:  []string{ScopeNotifications, ScopeRotation},
	}
}

// RotateSecret adds a secret; the ones before it stay valid for 7 more days by
// the server's clock (SP-API docs, "Rotating your app's LWA credentials").
func (s *Server) RotateSecret(clientID, newSecret string) {
	end := s.now().Add(secretOverlap)
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.registry.clients[clientID]
	if !ok {
		return
	}
	c.secrets = slices.DeleteFunc(c.secrets, func(old clientSecret) bool { return old.value == newSecret })
	for i := range c.secrets {
		if c.secrets[i].until.IsZero() {
			c.secrets[i].until = end
		}
	}
	c.secrets = append(c.secrets, clientSecret{value: newSecret})
}

// ExpireSecret makes that secret invalid_client from now on.
func (s *Server) ExpireSecret(clientID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.registry.clients[clientID]; ok {
		c.secrets = slices.DeleteFunc(c.secrets, func(old clientSecret) bool { return old.value == secret })
	}
}

// AllowScopes replaces the scopes an application may ask for; the default is
// the two live grantless scopes (SP-API docs, "Grantless operations").
func (s *Server) AllowScopes(clientID string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.registry.clients[clientID]; ok {
		c.scopes = slices.Clone(scopes)
	}
}

// Authorize lets a selling account authorize the application, and returns the
// new refresh token; earlier ones stay valid (SP-API docs, "Self-authorization").
func (s *Server) Authorize(clientID, account string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.authorize(clientID, account)
}

// AddRefreshToken is Authorize with a chosen refresh token.
func (s *Server) AddRefreshToken(clientID, account, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.refresh[token] = &refreshToken{clientID: clientID, account: account}
}

// RevokeAuthorization makes every refresh token of the account invalid_grant.
// Access tokens live on, since Login with Amazon documents no revocation of them.
func (s *Server) RevokeAuthorization(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.registry.refresh {
		if t.account == account {
			t.revoked = true
		}
	}
}

// NewCode issues an spapi_oauth_code: single use, 5 minutes, bound to the client
// and, when one is given, to the redirect URI (SP-API docs, "Website authorization workflow").
func (s *Server) NewCode(clientID, account, redirectURI string) string {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.issueCode(clientID, account, redirectURI, now)
}

// SetTokenLifetime changes the life of access tokens issued from now on;
// expires_in is its whole seconds.
func (s *Server) SetTokenLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.lifetime = d
}

// AccountOf tells whose access token it is; ok only while it is not expired by
// the server's clock. A grantless token belongs to nobody: see ScopesOf. For a
// restricted data token, see RestrictedOf.
func (s *Server) AccountOf(token string) (account string, ok bool) {
	t, live := s.live(token)
	if !live || !t.ofPartner() {
		return "", false
	}
	return t.account, true
}

// ScopesOf tells the scopes of a grantless access token; ok only while it is
// not expired by the server's clock.
func (s *Server) ScopesOf(token string) (scopes []string, ok bool) {
	t, live := s.live(token)
	return slices.Clone(t.scopes), live && len(t.scopes) > 0
}

func (s *Server) live(token string) (accessToken, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.registry.access[token]
	if !ok || !now.Before(t.expires) {
		return accessToken{}, false
	}
	return t, true
}
