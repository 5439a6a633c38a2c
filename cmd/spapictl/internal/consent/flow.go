// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	answer, err := f.Mount.Write(ctx, "authorize/url", fields)
	if err != nil {
		amazonState, _ := fields["amazon_state"].(string)
		return Link{}, scrubbed(err, amazonState)
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
	state, code := redirect.State.Reveal(), redirect.Code.Reveal()
	answer, err := f.Mount.Write(ctx, "authorize/callback", map[string]any{
		"state": state, "spapi_oauth_code": code, "selling_partner_id": redirect.SellingPartnerID,
	})
	if err != nil {
		return Authorization{}, unknown(scrubbed(err, state, code))
	}
	return Authorization{
		Account: answer.Text("account"), Region: answer.Text("region"),
		SellingPartnerID: answer.Text("selling_partner_id"),
		AuthorizedAt:     answer.Text("authorized_at"), ExpiresAt: answer.Text("authorization_expires_at"),
	}, nil
}

// Repeatable reports whether the same callback may be sent again, and later may
// do: Amazon was not reached or would not be asked so often, so that Vault gave the
// state back; or Vault was not reached.
func Repeatable(err error) bool {
	failed := (*mount.Error)(nil)
	if !errors.As(err, &failed) {
		return false
	}
	return failed.Status == http.StatusServiceUnavailable || failed.Status == http.StatusTooManyRequests || failed.Unsent()
}

// unknown adds to an error without an answer what that means for a callback.
func unknown(err error) error {
	failed := (*mount.Error)(nil)
	if errors.As(err, &failed) && failed.Status == 0 && !failed.Unsent() {
		return fmt.Errorf("%w; so it is unknown whether the authorization was stored: see spapictl status", err)
	}
	return err
}

// shortestSecret keeps a forged state such as "e" from spoiling a message.
const shortestSecret = 6

// scrubbed takes secrets out of what Vault said. The engine does not repeat
// them; something between here and there might.
func scrubbed(err error, secrets ...string) error {
	failed := (*mount.Error)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	for i, message := range failed.Messages {
		for _, secret := range secrets {
			if len(secret) >= shortestSecret {
				message = strings.ReplaceAll(message, secret, credential.Redacted)
				message = strings.ReplaceAll(message, url.QueryEscape(secret), credential.Redacted)
			}
		}
		failed.Messages[i] = message
	}
	return failed
}
