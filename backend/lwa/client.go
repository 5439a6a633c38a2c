// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package lwa is a client of Login with Amazon (LWA), which exchanges refresh
// tokens and client credentials for access tokens. Its errors are fault.Errors
// and hold no credential, whatever Amazon answers.
package lwa

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/transport"
)

// Grantless scopes: the first may be asked for by every application, the last
// went with the Authorization API, which Amazon removed.
// Source: SP-API documentation, "Grantless operations".
const (
	ScopeNotifications = "sellingpartnerapi::notifications"
	ScopeRotation      = "sellingpartnerapi::client_credential:rotation"
	ScopeMigration     = "sellingpartnerapi::migration"
)

// Application is the LWA client that asks for tokens.
type Application struct {
	Endpoint     string // URL of the token endpoint
	ClientID     string
	ClientSecret credential.Secret
}

// Token is Amazon's answer to an exchange.
type Token struct {
	AccessToken  credential.Secret
	RefreshToken credential.Secret // set when Amazon returned another one than was sent, or a first one
	ExpiresAt    time.Time         // counted from before the request was sent
	Lifetime     time.Duration     // as Amazon said, at most 24 h
	RequestID    string
}

// Options configure a Client. Only Permit is required.
type Options struct {
	// Permit returns why an endpoint may not receive credentials, or nil. It is
	// asked before every exchange.
	Permit func(endpoint string) error
	// Now is the clock; time.Now if nil.
	Now  func() time.Time
	HTTP transport.Options
}

// Client exchanges credentials at LWA. It is safe for concurrent use.
type Client struct {
	opts Options
	http *transport.Client
}

// New returns a Client with a connection pool of its own.
func New(opts Options) *Client {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Client{opts: opts, http: transport.New(opts.HTTP)}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.Close() }

// grant is what is exchanged, as messages call it.
type grant string

const (
	refreshGrant     grant = "refresh token"
	codeGrant        grant = "authorization code"
	credentialsGrant grant = "scope"
)

// Refresh exchanges a refresh token for an access token.
// Source: SP-API documentation, "Connect to the Selling Partner API".
func (c *Client) Refresh(ctx context.Context, app Application, refreshToken credential.Secret) (Token, error) {
	ctx, answer := transport.Record(ctx)
	token, err := c.exchange(ctx, app, exchange{refreshGrant, refreshToken, answer, func(ctx context.Context) error {
		_, err := app.config("").TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken.Reveal()}).Token()
		return err
	}})
	if token.RefreshToken.Equal(refreshToken) {
		token.RefreshToken = credential.Secret{}
	}
	return token, err
}

// AuthorizationCode exchanges the code of an authorization for an access token
// and the refresh token, which is always set. redirectURI is the one that the
// authorization was asked with, if it was. A code works once, so that this is not
// repeated once something of it was sent.
// Source: SP-API documentation, "Website authorization workflow".
func (c *Client) AuthorizationCode(ctx context.Context, app Application, code credential.Secret, redirectURI string) (Token, error) {
	ctx, answer := transport.RecordOnce(ctx)
	token, err := c.exchange(ctx, app, exchange{codeGrant, code, answer, func(ctx context.Context) error {
		_, err := app.config(redirectURI).Exchange(ctx, code.Reveal())
		return err
	}})
	if err == nil && token.RefreshToken.IsZero() {
		return Token{}, answer.Nonsense(errors.New("refresh_token is missing or not a token"), transport.NewScrubber(app.ClientSecret, code))
	}
	return token, err
}

// ClientCredentials asks for a grantless token of scope.
// Source: SP-API documentation, "Grantless operations".
func (c *Client) ClientCredentials(ctx context.Context, app Application, scope string) (Token, error) {
	ctx, answer := transport.Record(ctx)
	return c.exchange(ctx, app, exchange{credentialsGrant, credential.Secret{}, answer, func(ctx context.Context) error {
		config := &clientcredentials.Config{
			ClientID:     app.ClientID,
			ClientSecret: app.ClientSecret.Reveal(),
			TokenURL:     app.Endpoint,
			Scopes:       []string{scope},
			AuthStyle:    oauth2.AuthStyleInParams,
		}
		_, err := config.Token(ctx)
		return err
	}})
}

// config is the application as x/oauth2 wants it. The default AuthStyle probes: it
// would repeat every failed exchange.
func (a Application) config(redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.ClientID, ClientSecret: a.ClientSecret.Reveal(), RedirectURL: redirectURI,
		Endpoint: oauth2.Endpoint{TokenURL: a.Endpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// exchange is one grant to be run.
type exchange struct {
	grant  grant
	sent   credential.Secret
	answer *transport.Answer
	run    func(context.Context) error
}

// exchange runs one grant and decides what its answer means. x/oauth2 only sends
// it: its token takes an expires_in of 0 for "never expires" and bounds nothing,
// its error prints Amazon's body, and has no type before there is a status.
func (c *Client) exchange(ctx context.Context, app Application, e exchange) (Token, error) {
	if err := c.opts.Permit(app.Endpoint); err != nil {
		return Token{}, fault.New(fault.EndpointForbidden, "lwa_endpoint %s", err)
	}
	start := c.opts.Now()
	err := e.run(context.WithValue(ctx, oauth2.HTTPClient, c.http.HTTP()))
	scrub := transport.NewScrubber(app.ClientSecret, e.sent)
	if e.answer.Status != http.StatusOK {
		return Token{}, failure(ctx, e.answer, err, scrub, e.grant)
	}
	token, lifetime, err := parseToken(e.answer.Body)
	if err != nil {
		return Token{}, e.answer.Nonsense(err, scrub)
	}
	return Token{
		AccessToken:  credential.New(token.AccessToken),
		RefreshToken: credential.New(token.RefreshToken),
		ExpiresAt:    start.Add(lifetime),
		Lifetime:     lifetime,
		RequestID:    e.answer.RequestID(),
	}, nil
}
