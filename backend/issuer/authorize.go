// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// AuthorizationLifetime is how long the authorization of a public application
// lasts. Source: SP-API documentation, "Renew authorizations".
const AuthorizationLifetime = 365 * 24 * time.Hour

// AuthorizationRequest asks a selling partner to authorize the application. Its
// ClientID and ExpiresAt are set here.
type AuthorizationRequest struct {
	store.Authorization
	TTL         time.Duration
	Draft       bool                        // the application was not published yet
	Marketplace *sellingpartner.Marketplace // website workflow
	// Appstore workflow, in place of Marketplace: what Amazon opened the
	// application's log-in page with.
	AmazonCallbackURI, AmazonState string
}

// BegunAuthorization is where to send the selling partner.
type BegunAuthorization struct {
	URL       string
	State     credential.Secret
	ExpiresAt time.Time
}

// BeginAuthorization makes the link with which a selling partner authorizes the
// application for an account, and remembers what the account will be.
func (i *Issuer) BeginAuthorization(ctx context.Context, r AuthorizationRequest) (*BegunAuthorization, error) {
	config, settings, err := i.readConfig(ctx)
	if err != nil {
		return nil, err
	}
	if r.Marketplace != nil && config.ApplicationID == "" {
		return nil, &fault.Error{Kind: fault.NotConfigured, Field: "application_id", Message: "is not set in the config; consent links need it"}
	}
	stored, err := i.store.Account(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	if r.Marketplace != nil {
		r.Region = cmp.Or(r.Region, string(r.Marketplace.Region))
	}
	if err := mayAuthorize(&r.Authorization, stored, settings); err != nil {
		return nil, err
	}
	if stored == nil {
		r.Kind = cmp.Or(r.Kind, sellingpartner.Seller)
	} else {
		r.inherit(stored, settings)
	}
	r.ClientID, r.RedirectURI = config.ClientID, cmp.Or(r.RedirectURI, config.RedirectURI)
	r.ExpiresAt = i.now().Add(r.TTL).UTC().Truncate(time.Second)
	link, err := r.link(config.ApplicationID)
	if err != nil {
		return nil, err
	}
	state, err := i.store.AddAuthorization(ctx, r.Authorization, i.now())
	if err != nil {
		return nil, err
	}
	return &BegunAuthorization{URL: link(state), State: state, ExpiresAt: r.ExpiresAt}, nil
}

// inherit leaves what the stored account says as it is, unless the request says
// otherwise.
func (r *AuthorizationRequest) inherit(stored *store.Account, s *settings) {
	r.Exists = true
	r.Kind = cmp.Or(r.Kind, stored.Kind)
	if r.Region == string(s.regionOf(&stored.Profile)) {
		r.Region = stored.Region // which may be that of the config
	}
	if !r.Force {
		r.SellingPartnerID = cmp.Or(r.SellingPartnerID, stored.SellingPartnerID)
	}
}

// link returns what makes the link with a state, so that nothing is stored for a
// request without one.
func (r *AuthorizationRequest) link(applicationID string) (func(state credential.Secret) string, error) {
	linkWith := func(state credential.Secret) (string, error) {
		consent := sellingpartner.Consent{ApplicationID: applicationID, State: state.Reveal(), RedirectURI: r.RedirectURI, Draft: r.Draft}
		if r.Marketplace == nil {
			return consent.Confirmation(r.AmazonCallbackURI, r.AmazonState)
		}
		return consent.Link(*r.Marketplace, r.Kind)
	}
	if _, err := linkWith(credential.Secret{}); err != nil {
		if r.Marketplace == nil {
			return nil, fault.BadField("amazon_callback_uri", "%s", err)
		}
		return nil, fault.BadField("marketplace", "%s", err)
	}
	return func(state credential.Secret) string {
		link, _ := linkWith(state) // as good as the one that was tried
		return link
	}, nil
}

// mayAuthorize says why an authorization may not become that of the stored
// account, nil if there is none. It keeps those who may authorize from taking over
// an account.
func mayAuthorize(a *store.Authorization, stored *store.Account, s *settings) error {
	switch {
	case stored == nil && a.Exists:
		return fault.BadField("account", "was deleted meanwhile")
	case stored == nil:
		return nil
	case !a.Reauthorize:
		return fault.BadField("account", "exists already; its refresh token is replaced only with reauthorize=true")
	case a.Force:
		return nil
	case stored.SellingPartnerID == "":
		return fault.BadField("selling_partner_id", "of the account is not known, so that any selling partner could take its place; write it to the account first, or say force=true to authorize/url")
	case a.SellingPartnerID != "" && a.SellingPartnerID != stored.SellingPartnerID:
		return fault.BadField("selling_partner_id", "is not that of the account; another selling partner needs an account of its own, or force=true on authorize/url")
	}
	if region := s.regionOf(&stored.Profile); a.Region != "" && a.Region != string(region) {
		return fault.BadField("region", "%s is not that of the account, which is %s; each region is authorized for itself and needs an account of its own, or force=true on authorize/url", a.Region, region)
	}
	return nil
}

// Callback is what a selling partner's browser brings from Amazon. None of it
// can be trusted.
type Callback struct {
	State            credential.Secret
	Code             credential.Secret
	SellingPartnerID string
}

// CompleteAuthorization exchanges the code of an authorization and stores the
// account. Of several callbacks with one state, one gets so far. What was claimed
// is finished, whether the caller waits or not: a code works once.
func (i *Issuer) CompleteAuthorization(ctx context.Context, callback Callback) (*AccountInfo, error) {
	leave, err := i.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx = context.WithoutCancel(ctx)
	config, settings, err := i.readConfig(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := i.store.ClaimAuthorization(ctx, callback.State)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return nil, &fault.Error{Kind: fault.InvalidState, Spent: true, Message: "the state is unknown: it was used before, expired a while ago, or was never given out here"}
	}
	given := *asked
	given.SellingPartnerID = callback.SellingPartnerID
	answer, err := i.exchangeGiven(ctx, asked, &given, callback.Code, config, settings)
	if err != nil && spares(fault.KindOf(err)) {
		return nil, i.giveBack(ctx, callback.State, asked, err)
	}
	var account *AccountInfo
	if err == nil {
		account, err = i.storeAuthorized(ctx, &given, answer, config.ClientID, settings)
	} else {
		i.logUnauthorized(fault.Of(err).OfAccount(asked.Account))
	}
	// If this fails it is tidied later, and stays claimed until then.
	_ = i.store.RemoveAuthorization(ctx, callback.State)
	if err != nil {
		failed := fault.Of(err).OfAccount(asked.Account)
		failed.Spent = true
		return nil, failed
	}
	return account, nil
}

// logUnauthorized logs an authorization that did not get as far as an account.
func (i *Issuer) logUnauthorized(failed *fault.Error) {
	i.logger.Warn("an authorization could not be completed", append([]any{"account", failed.Account}, logged(failed)...)...)
}

// exchangeGiven exchanges the code of the authorization that was given, if it is
// what was asked for.
func (i *Issuer) exchangeGiven(ctx context.Context, asked, given *store.Authorization, code credential.Secret, config *store.Config, s *settings) (lwa.Token, error) {
	switch {
	case !i.now().Before(asked.ExpiresAt):
		return lwa.Token{}, fault.New(fault.InvalidState, "the state expired at %s", asked.ExpiresAt.Format(time.RFC3339))
	case asked.ClientID != config.ClientID:
		return lwa.Token{}, fault.New(fault.InvalidState, "the state is of another application: client_id of the config was changed since")
	case asked.SellingPartnerID != "" && asked.SellingPartnerID != given.SellingPartnerID:
		return lwa.Token{}, fault.New(fault.InvalidState, "selling_partner_id is not the one that was to authorize the application")
	}
	stored, err := i.store.Account(ctx, given.Account)
	if err != nil {
		return lwa.Token{}, err
	}
	if err := mayAuthorize(given, stored, s); err != nil {
		return lwa.Token{}, err
	}
	return i.exchangeCode(ctx, config, s, code, given.RedirectURI)
}

// spares reports whether a callback that failed so may be repeated: Amazon was
// not asked, or did not get so far as to look at the code.
func spares(kind fault.Kind) bool {
	switch kind {
	case fault.Unavailable, fault.RateLimited, fault.InvalidClient, fault.Storage, fault.EndpointForbidden:
		return true
	}
	return false
}

// giveBack lets another callback use the state, and says so.
func (i *Issuer) giveBack(ctx context.Context, state credential.Secret, asked *store.Authorization, err error) error {
	failed := fault.Of(err).OfAccount(asked.Account)
	if err := i.store.ReturnAuthorization(ctx, state, asked); err != nil {
		failed.Spent = true
	} else {
		failed.Message += " (the state can be used again until " + asked.ExpiresAt.Format(time.RFC3339) + ")"
	}
	i.logUnauthorized(failed)
	return failed
}

// exchangeCode exchanges an authorization code, which works once.
func (i *Issuer) exchangeCode(ctx context.Context, config *store.Config, s *settings, code credential.Secret, redirectURI string) (answer lwa.Token, err error) {
	err = i.call(ctx, s, func(ctx context.Context) (err error) {
		answer, err = i.withSecrets(config, func(app lwa.Application) (lwa.Token, error) {
			return i.lwa.AuthorizationCode(ctx, app, code, redirectURI)
		})
		return err
	})
	return answer, err
}

// storeAuthorized stores the account that came of an authorization, which a
// selling partner gave to the application of that client id. Its access token goes
// into memory.
func (i *Issuer) storeAuthorized(ctx context.Context, a *store.Authorization, answer lwa.Token, clientID string, s *settings) (*AccountInfo, error) {
	account, err := i.saveAccount(ctx, AccountChange{
		Name: a.Account, RefreshToken: answer.RefreshToken, credentialID: store.NewID(),
		Allow: func(stored *store.Account) error {
			config, err := i.store.Config(ctx)
			switch {
			case err != nil:
				return err
			case config == nil || config.ClientID != clientID:
				return fault.New(fault.Conflict, "client_id of the config was changed meanwhile: the authorization is for the application before")
			}
			return mayAuthorize(a, stored, s)
		},
		Apply: func(account *store.Account) error {
			now := i.now().UTC().Truncate(time.Second)
			account.SellingPartnerID = a.SellingPartnerID
			account.Region, account.Kind = cmp.Or(a.Region, account.Region), cmp.Or(a.Kind, account.Kind)
			if len(a.MarketplaceIDs) > 0 {
				account.MarketplaceIDs = a.MarketplaceIDs
			}
			if len(a.Metadata) > 0 {
				account.Metadata = a.Metadata
			}
			account.AuthorizedAt, account.AuthorizationExpiresAt = now, now.Add(AuthorizationLifetime)
			return nil
		},
	}, proof{token: newToken(answer, "", s), refreshToken: answer.RefreshToken, irreplaceable: true})
	if err != nil {
		lost := fault.Of(err).OfAccount(a.Account)
		i.logger.Error("an account was authorized at Amazon, but could not be stored", append([]any{"account", a.Account}, logged(lost)...)...)
		return nil, lost
	}
	i.logger.Info("an account was authorized", "account", account.Name, "selling_partner_id", account.SellingPartnerID, "request_id", answer.RequestID)
	return i.inform(account, store.InitialStatus(account), s), nil
}

// TidyAuthorizations forgets the authorizations that nobody completed.
func (i *Issuer) TidyAuthorizations(ctx context.Context) {
	if err := i.store.TidyAuthorizations(ctx, i.now()); err != nil && !errors.Is(err, logical.ErrReadOnly) {
		i.logger.Warn("expired authorizations could not be removed", logged(fault.Of(err))...)
	}
}
