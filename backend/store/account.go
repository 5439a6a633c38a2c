// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"

	"vault-plugin-secrets-spapi/backend/credential"
)

// Account is one authorized selling account.
type Account struct {
	Name string `json:"-"`
	Profile
	RefreshToken    credential.Secret `json:"-"`
	CredentialID    string            `json:"credential_id"` // changes when somebody writes a refresh token
	Fingerprint     string            `json:"refresh_token_fingerprint"`
	AuthorizedAt    time.Time         `json:"authorized_at"`
	VerifiedAt      time.Time         `json:"verified_at,omitzero"`       // when the refresh token was proven at its write
	UnprovenBecause string            `json:"unproven_because,omitempty"` // why it was not, if Amazon was asked
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
}

// Profile is what a read of a token needs of an account, and so what is kept in
// memory of each account in use: its size counts.
type Profile struct {
	// Generation changes with everything that makes tokens issued before
	// another authorization's: they are not served any more.
	Generation             string        `json:"generation"`
	Region                 string        `json:"region,omitempty"` // empty: the config's
	SellingPartnerID       string        `json:"selling_partner_id,omitempty"`
	MarketplaceIDs         []string      `json:"marketplace_ids,omitempty"`
	Kind                   string        `json:"kind,omitempty"`
	Metadata               Metadata      `json:"metadata,omitempty"`
	AuthorizationExpiresAt time.Time     `json:"authorization_expires_at,omitzero"`
	GenerateLease          *bool         `json:"generate_lease,omitempty"` // nil: the config's
	TokenMinTTL            time.Duration `json:"token_min_ttl,omitempty"`  // 0: the config's
	Enabled                bool          `json:"enabled"`
}

// accountEntry is the stored form, the only place where the refresh token is
// encoded.
type accountEntry struct {
	versioned
	Account
	SealedRefreshToken string `json:"refresh_token"`
}

// Account reads an account; nil if there is none.
func (s *Store) Account(ctx context.Context, name string) (*Account, error) {
	var entry accountEntry
	found, err := s.read(ctx, PrefixAccount+name, accountTitle(name), &entry)
	if err != nil || !found {
		return nil, err
	}
	account := entry.Account
	account.Name = name
	account.RefreshToken = credential.New(entry.SealedRefreshToken)
	return &account, nil
}

// AccountNames lists all accounts in order.
func (s *Store) AccountNames(ctx context.Context) ([]string, error) {
	names, err := s.list(ctx, PrefixAccount, "accounts")
	slices.Sort(names)
	return names, err
}

// UpdateAccount replaces an account by what change makes of the stored one (nil
// if there is none), then runs committed. Writers of one account take turns;
// change and committed must not call the network. If change returns nil, nothing
// is written. An account without a fingerprint gets one.
func (s *Store) UpdateAccount(ctx context.Context, name string, change func(stored *Account) (*Account, error), committed func(*Account)) error {
	lock := locksutil.LockForKey(s.accountLocks, name)
	lock.Lock()
	defer lock.Unlock()
	stored, err := s.Account(ctx, name)
	if err != nil {
		return err
	}
	account, err := change(stored)
	if err != nil || account == nil {
		return err
	}
	if account.Fingerprint == "" {
		if account.Fingerprint, err = s.fingerprint(ctx, account.RefreshToken); err != nil {
			return err
		}
	}
	entry := accountEntry{versioned: currentVersion(), Account: *account, SealedRefreshToken: account.RefreshToken.Reveal()}
	if err := s.write(ctx, PrefixAccount+name, accountTitle(name), entry); err != nil {
		return err
	}
	committed(account)
	return nil
}

// DeleteAccount removes an account, then runs committed.
func (s *Store) DeleteAccount(ctx context.Context, name string, committed func()) error {
	lock := locksutil.LockForKey(s.accountLocks, name)
	lock.Lock()
	defer lock.Unlock()
	if err := s.remove(ctx, PrefixAccount+name, accountTitle(name)); err != nil {
		return err
	}
	committed()
	// The account is gone, which is what was asked for. A status that stays
	// behind is about a credential that no account will ever have again.
	_ = s.remove(ctx, prefixStatus+name, "status")
	return nil
}

func accountTitle(name string) string { return fmt.Sprintf("account %q", name) }
