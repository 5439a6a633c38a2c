// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package lwa is a client of Login with Amazon (LWA), which exchanges refresh
// tokens and client credentials for access tokens. Its errors are fault.Errors
// and hold no credential, whatever Amazon answers.
package lwa

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
)

// ScopeNotifications is the grantless scope that every application may ask for.
// Source: SP-API documentation, "Grantless operations".
const ScopeNotifications = "sellingpartnerapi::notifications"

// Application is the LWA client that asks for tokens.
type Application struct {
	Endpoint     string // URL of the token endpoint
	ClientID     string
	ClientSecret credential.Secret
}

// Token is Amazon's answer to an exchange.
type Token struct {
	AccessToken  credential.Secret
	RefreshToken credential.Secret // set when Amazon returned another one than was sent
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
	Now func() time.Time
	// RetryWait is the wait before the first repetition; the second waits twice
	// as long. 200 ms if zero.
	RetryWait time.Duration
	// UserAgent is sent to Amazon.
	UserAgent string
}

// Client exchanges credentials at LWA. It is safe for concurrent use.
type Client struct {
	opts      Options
	transport *http.Transport
	http      *http.Client
}

// New returns a Client with a connection pool of its own.
func New(opts Options) *Client {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.RetryWait == 0 {
		opts.RetryWait = 200 * time.Millisecond
	}
	transport := newTransport(silence, pingAnswer)
	retrying := &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: &recorder{next: transport, userAgent: opts.UserAgent}, CheckRedirect: refuseRedirect},
		Logger:       nil, // it would log URLs
		RetryMax:     maxRetries,
		CheckRetry:   checkRetry,
		Backoff:      backoff(opts.RetryWait),
		ErrorHandler: lastAnswer,
	}
	return &Client{
		opts:      opts,
		transport: transport,
		http:      &http.Client{Transport: &retryablehttp.RoundTripper{Client: retrying}, CheckRedirect: refuseRedirect},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Refresh exchanges a refresh token for an access token.
// Source: SP-API documentation, "Connect to the Selling Partner API".
func (c *Client) Refresh(ctx context.Context, app Application, refreshToken credential.Secret) (Token, error) {
	token, err := c.exchange(ctx, app, refreshToken, func(ctx context.Context) error {
		config := &oauth2.Config{
			ClientID:     app.ClientID,
			ClientSecret: app.ClientSecret.Reveal(),
			// The default style probes: it would repeat every failed exchange.
			Endpoint: oauth2.Endpoint{TokenURL: app.Endpoint, AuthStyle: oauth2.AuthStyleInParams},
		}
		_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken.Reveal()}).Token()
		return err
	})
	if err != nil {
		return Token{}, err
	}
	if token.RefreshToken.Equal(refreshToken) || !usable(token.RefreshToken.Reveal()) {
		token.RefreshToken = credential.Secret{}
	}
	return token, nil
}

// ClientCredentials asks for a grantless token of scope.
// Source: SP-API documentation, "Grantless operations".
func (c *Client) ClientCredentials(ctx context.Context, app Application, scope string) (Token, error) {
	return c.exchange(ctx, app, credential.Secret{}, func(ctx context.Context) error {
		config := &clientcredentials.Config{
			ClientID:     app.ClientID,
			ClientSecret: app.ClientSecret.Reveal(),
			TokenURL:     app.Endpoint,
			Scopes:       []string{scope},
			AuthStyle:    oauth2.AuthStyleInParams,
		}
		_, err := config.Token(ctx)
		return err
	})
}

// exchange runs one grant and decides what its answer means. x/oauth2 only sends
// it: its token takes an expires_in of 0 for "never expires" and bounds nothing,
// its error prints Amazon's body, and has no type before there is a status.
func (c *Client) exchange(ctx context.Context, app Application, refreshToken credential.Secret, grant func(context.Context) error) (Token, error) {
	if err := c.opts.Permit(app.Endpoint); err != nil {
		return Token{}, fault.New(fault.EndpointForbidden, "lwa_endpoint %s", err)
	}
	answer := &answer{}
	start := c.opts.Now()
	err := grant(context.WithValue(withAnswer(ctx, answer), oauth2.HTTPClient, c.http))
	scrub := newScrubber(app.ClientSecret, refreshToken)
	if answer.status != http.StatusOK {
		return Token{}, answer.fault(ctx, err, scrub)
	}
	token, lifetime, err := parseToken(answer.body)
	if err != nil {
		return Token{}, answer.nonsense(err, scrub)
	}
	return Token{
		AccessToken:  credential.New(token.AccessToken),
		RefreshToken: credential.New(token.RefreshToken),
		ExpiresAt:    start.Add(lifetime),
		Lifetime:     lifetime,
		RequestID:    answer.requestID(),
	}, nil
}
