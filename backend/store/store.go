// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps the config, the accounts and the roles of one mount in Vault's
// storage, as typed and versioned entries. Its errors are fault.Errors.
package store

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
)

// The storage keys. Those that hold credentials are seal-wrapped.
const (
	KeyConfig         = "config"
	PrefixAccount     = "account/"
	keyFingerprintKey = "fingerprint-key"
	prefixStatus      = "status/"
)

// timeout bounds one storage operation; not every caller's context does.
const timeout = 30 * time.Second

// SealWrapped lists the storage keys that hold credentials: exact keys, and
// prefixes ending with a slash.
func SealWrapped() []string { return []string{KeyConfig, PrefixAccount, keyFingerprintKey} }

// Store reads and writes the entries of one mount. It is safe for concurrent
// use.
type Store struct {
	storage logical.Storage
	// Writers of one account, or of the config, take turns: Vault's storage has
	// no compare-and-swap, and a partial write must not undo another. These
	// locks are held across storage calls, never across the network. A reader of
	// a token waits for one only to store a refresh token that Amazon changed.
	accountLocks []*locksutil.LockEntry
	configLock   sync.Mutex
	keyLock      sync.Mutex
	roleLock     sync.Mutex
	// authorizationLock lets one callback have an authorization.
	authorizationLock sync.Mutex
	authorizations    atomic.Bool // some may be waiting
}

// New returns the Store of a mount's storage.
func New(storage logical.Storage) *Store {
	s := &Store{storage: storage, accountLocks: locksutil.CreateLocks()}
	s.authorizations.Store(true) // until it is known better
	return s
}

// failed is the fault of a storage call. Over gRPC an error keeps only its text.
func failed(doing string, err error) *fault.Error {
	if err.Error() == logical.ErrReadOnly.Error() {
		err = logical.ErrReadOnly
	}
	return fault.FromStorage(doing, err)
}

// AccountOf returns the account whose entry stands at a storage key.
func AccountOf(key string) (account string, ok bool) { return strings.CutPrefix(key, PrefixAccount) }

// entryVersion is the form of the entries as this version of the plugin writes
// them. A plugin refuses to read what a newer one wrote.
const entryVersion = 1

// versioned is the head of every entry.
type versioned struct {
	Version int `json:"version"`
}

func currentVersion() versioned { return versioned{entryVersion} }

// read decodes the entry at key into value, and reports whether there is one.
func (s *Store) read(ctx context.Context, key, what string, value any) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	entry, err := s.storage.Get(ctx, key)
	if err != nil {
		return false, failed("read "+what, err)
	}
	if entry == nil {
		return false, nil
	}
	var head versioned
	if err := json.Unmarshal(entry.Value, &head); err != nil {
		return false, fault.New(fault.Storage, "the stored %s cannot be decoded", what)
	}
	if head.Version > entryVersion {
		return false, fault.New(fault.Storage, "the stored %s was written by a newer version of this plugin (entry version %d, this one knows %d)", what, head.Version, entryVersion)
	}
	if err := json.Unmarshal(entry.Value, value); err != nil {
		return false, fault.New(fault.Storage, "the stored %s cannot be decoded", what)
	}
	return true, nil
}

func (s *Store) write(ctx context.Context, key, what string, value any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	entry, err := logical.StorageEntryJSON(key, value)
	if err != nil {
		return fault.New(fault.Internal, "the %s cannot be encoded", what)
	}
	if err := s.storage.Put(ctx, entry); err != nil {
		return failed("write "+what, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key, what string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.storage.Delete(ctx, key); err != nil {
		return failed("delete "+what, err)
	}
	return nil
}

func (s *Store) list(ctx context.Context, prefix, what string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	keys, err := s.storage.List(ctx, prefix)
	if err != nil {
		return nil, failed("list "+what, err)
	}
	return keys, nil
}
