// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
)

// grantlessSource asks for the grantless tokens of a scope.
type grantlessSource struct{ scope string }

// subject is the application, which is on as long as there is a config.
func (grantlessSource) subject(context.Context, *Issuer, string) (*store.Account, error) {
	return &store.Account{Profile: store.Profile{Enabled: true}}, nil
}

func (s grantlessSource) mint(ctx context.Context, i *Issuer, o *order) (*token, credential.Secret, error) {
	answer, err := i.exchange(ctx, o, func(ctx context.Context, app lwa.Application) (lwa.Token, error) {
		return i.lwa.ClientCredentials(ctx, app, s.scope)
	})
	if err != nil {
		return nil, credential.Secret{}, err
	}
	i.logger.Debug("got a grantless token", "scope", s.scope, "expires_at", answer.ExpiresAt.UTC().Format(time.RFC3339), "request_id", answer.RequestID)
	return newToken(answer, o.account.Generation, o.settings), credential.Secret{}, nil
}

func (grantlessSource) endpoint(*store.Account, *settings) string { return "" }

func (s grantlessSource) failed() string { return "no grantless token of scope " + s.scope }

// Grantless returns a token of an LWA scope with at least minTTL left, or the
// config's minimum if minTTL is 0. It is Token without an account.
func (i *Issuer) Grantless(ctx context.Context, scope string, minTTL time.Duration) (*Issued, error) {
	return i.token(ctx, minTTL, func() *record { return i.derived(derivedKey{what: scope}, grantlessSource{scope}) })
}

// CachedGrantless is Cached for Grantless.
func (i *Issuer) CachedGrantless(scope string, minTTL time.Duration) *Issued {
	known, ok := i.derivations.Load(derivedKey{what: scope})
	return i.cached(known, ok, minTTL)
}

// RetireGrantless is Retire for a grantless token.
func (i *Issuer) RetireGrantless(scope string, accessToken credential.Secret) {
	known, ok := i.derivations.Load(derivedKey{what: scope})
	i.retire(known, ok, accessToken)
}
