// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"
)

// State is what is known of an account's authorization.
type State string

// The states of an account.
const (
	Active                  State = "active"
	Unverified              State = "unverified"
	ReauthorizationRequired State = "reauthorization_required"
	Disabled                State = "disabled"
)

// States lists the states.
func States() []State {
	return []State{Active, Unverified, ReauthorizationRequired, Disabled}
}

// Status is what exchanges found out about an account since its refresh token
// was written. It has an entry of its own, so that nothing Amazon says writes
// the entry that holds the refresh token, and it is written when the state
// changes, not at every exchange.
type Status struct {
	CredentialID   string    `json:"credential_id"` // of the account it is about
	State          State     `json:"state"`
	LastError      string    `json:"last_error,omitempty"`
	LastExchangeAt time.Time `json:"last_exchange_at,omitzero"`
	At             time.Time `json:"at,omitzero"` // when this was found out
}

type statusEntry struct {
	versioned
	Status
}

// Status reads the status of an account. Where none was written for its
// credential, it follows from the account itself.
func (s *Store) Status(ctx context.Context, account *Account) (Status, error) {
	var entry statusEntry
	found, err := s.read(ctx, prefixStatus+account.Name, "status of "+accountTitle(account.Name), &entry)
	if err != nil {
		return Status{}, err
	}
	if !found || entry.CredentialID != account.CredentialID {
		return InitialStatus(account), nil
	}
	return entry.Status, nil
}

// InitialStatus is the status of an account without any exchange since its
// refresh token was written.
func InitialStatus(account *Account) Status {
	status := Status{CredentialID: account.CredentialID, State: Unverified, LastError: account.UnprovenBecause}
	if !account.VerifiedAt.IsZero() {
		status.State, status.LastExchangeAt, status.At = Active, account.VerifiedAt, account.VerifiedAt
	}
	return status
}

// SetStatus writes the status of an account, unless the account was deleted or
// got another refresh token meanwhile.
func (s *Store) SetStatus(ctx context.Context, name string, status Status) error {
	lock := locksutil.LockForKey(s.accountLocks, name)
	lock.Lock()
	defer lock.Unlock()
	account, err := s.Account(ctx, name)
	if err != nil || account == nil || account.CredentialID != status.CredentialID {
		return err
	}
	return s.write(ctx, prefixStatus+name, "status of "+accountTitle(name), statusEntry{currentVersion(), status})
}

// StatusNames lists the accounts that have a status entry.
func (s *Store) StatusNames(ctx context.Context) (map[string]bool, error) {
	names, err := s.list(ctx, prefixStatus, "statuses")
	if err != nil {
		return nil, err
	}
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set, nil
}
