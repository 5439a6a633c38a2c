// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"context"
	"errors"
	"net/url"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// Vault begins and completes authorizations.
type Vault interface {
	// Begin makes a link to Amazon; fields are those of authorize/url.
	Begin(ctx context.Context, fields map[string]any) (Link, error)
	Complete(ctx context.Context, redirect Redirect) (Authorization, error)
}

// Link leads a selling partner to Amazon's consent page. It holds the state.
type Link struct {
	URL       string
	State     credential.Secret
	ExpiresAt time.Time
}

// RedirectURI is where the link asks Amazon to send the browser; empty if it
// leaves that to Amazon.
func (l Link) RedirectURI() string {
	address, err := url.Parse(l.URL)
	if err != nil {
		return ""
	}
	return address.Query().Get("redirect_uri")
}

// Authorization is what Vault stored. The times are as Vault wrote them.
type Authorization struct {
	Account, Region, SellingPartnerID string
	AuthorizedAt, ExpiresAt           string
}

// Flow is the engine's authorize/ paths.
type Flow struct{ Mount *mount.Mount }

// Begin implements Vault.
func (f Flow) Begin(ctx context.Context, fields map[string]any) (Link, error) {
	amazonState, _ := fields["amazon_state"].(string)
	answer, err := f.Mount.Write(ctx, "authorize/url", fields, credential.New(amazonState))
	if err != nil {
		return Link{}, err
	}
	link := Link{URL: answer.Text("url"), State: credential.New(answer.Text("state"))}
	address, err := url.Parse(link.URL)
	if err != nil || address.Scheme != "https" || address.Host == "" || link.State.IsZero() {
		return Link{}, errors.New("Vault answered no link: is an older version of the engine mounted?")
	}
	if link.ExpiresAt, err = time.Parse(time.RFC3339, answer.Text("expires_at")); err != nil {
		return Link{}, errors.New("Vault answered no time until which the link can be used")
	}
	link.URL = address.String() // without anything unprintable
	return link, nil
}

// Complete implements Vault.
func (f Flow) Complete(ctx context.Context, redirect Redirect) (Authorization, error) {
	answer, err := f.Mount.Write(ctx, "authorize/callback", map[string]any{
		"state": redirect.State.Reveal(), "spapi_oauth_code": redirect.Code.Reveal(), "selling_partner_id": redirect.SellingPartnerID,
	}, redirect.State, redirect.Code)
	switch {
	case err != nil:
		return Authorization{}, err
	case answer.Text("account") == "":
		return Authorization{}, &UnknownError{errors.New("Vault answered without an account: is it Vault, and the engine, that answers?")}
	}
	return Authorization{
		Account: answer.Text("account"), Region: answer.Text("region"),
		SellingPartnerID: answer.Text("selling_partner_id"),
		AuthorizedAt:     answer.Text("authorized_at"), ExpiresAt: answer.Text("authorization_expires_at"),
	}, nil
}
