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

// source is where the tokens of a record come from.
type source interface {
	// subject reads what the tokens are issued for; nil if there is no such
	// account.
	subject(ctx context.Context, i *Issuer, account string) (*store.Account, error)
	// mint asks Amazon for a token. changed is the refresh token that Amazon
	// returned, if it is another one.
	mint(ctx context.Context, i *Issuer, o *order) (minted *token, changed credential.Secret, err error)
	// endpoint is the SP-API that is asked; empty if none is.
	endpoint(account *store.Account, s *settings) string
	// failed is what the log says of a mint that failed.
	failed() string
}

// refreshSource exchanges the refresh token of an account.
type refreshSource struct{}

func (refreshSource) subject(ctx context.Context, i *Issuer, account string) (*store.Account, error) {
	return i.store.Account(ctx, account)
}

func (refreshSource) mint(ctx context.Context, i *Issuer, o *order) (*token, credential.Secret, error) {
	answer, err := i.exchange(ctx, o, func(ctx context.Context, app lwa.Application) (lwa.Token, error) {
		return i.lwa.Refresh(ctx, app, o.account.RefreshToken)
	})
	if err != nil {
		return nil, credential.Secret{}, err
	}
	i.logger.Debug("exchanged the refresh token of an account", "account", o.account.Name, "expires_at", answer.ExpiresAt.UTC().Format(time.RFC3339), "request_id", answer.RequestID)
	return newToken(answer, o.account.Generation, o.settings), answer.RefreshToken, nil
}

func (refreshSource) endpoint(*store.Account, *settings) string { return "" }

func (refreshSource) failed() string { return "the exchange of an account's refresh token failed" }

// isAccounts reports whether the record is that of an account's access tokens,
// whose exchanges tell whether the authorization holds.
func (r *record) isAccounts() bool {
	_, ok := r.source.(refreshSource)
	return ok
}

// derivedKey is what a token is for that is not the access token of an account:
// a scope, or an account and a digest of what is asked for.
type derivedKey struct{ account, what string }

// derived returns the record of such a token, new if there is none.
func (i *Issuer) derived(key derivedKey, from source) *record {
	if known, ok := i.derivations.Load(key); ok {
		return known.(*record)
	}
	i.derivationCount.Add(1) // before: eachOf goes by it
	known, loaded := i.derivations.LoadOrStore(key, &record{name: key.account, what: key.what, source: from})
	if loaded {
		i.derivationCount.Add(-1)
	}
	return known.(*record)
}

// eachOf visits the records of an account's other tokens, locked.
func (i *Issuer) eachOf(account string, visit func(*record)) {
	if i.derivationCount.Load() == 0 {
		return
	}
	i.derivations.Range(func(key, value any) bool {
		if key.(derivedKey).account == account {
			rec := value.(*record)
			rec.mu.Lock()
			defer rec.mu.Unlock()
			visit(rec)
		}
		return true
	})
}

// eachRecord visits every record, locked, until visit returns.
func (i *Issuer) eachRecord(visit func(*record)) {
	locked := func(_, value any) bool {
		rec := value.(*record)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		visit(rec)
		return true
	}
	i.records.Range(locked)
	i.derivations.Range(locked)
}
