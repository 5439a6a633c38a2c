// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

func fullAccount() *store.Account {
	lease := false
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &store.Account{
		Name: "acme", CredentialID: "c", RefreshToken: credential.New("Atzr|secret"),
		Profile: store.Profile{
			Generation: "g", Region: "eu", SellingPartnerID: "A1", MarketplaceIDs: []string{"M1"}, Kind: "seller", Metadata: store.NewMetadata(map[string]string{"a": "b"}),
			AuthorizationExpiresAt: now.Add(time.Hour), GenerateLease: &lease, TokenMinTTL: time.Minute, Enabled: true,
		},
		AuthorizedAt: now, VerifiedAt: now, CreatedAt: now, UpdatedAt: now,
	}
}

func put(t *testing.T, s *store.Store, account *store.Account) *store.Account {
	t.Helper()
	committed := false
	require.NoError(t, s.UpdateAccount(t.Context(), account.Name, func(*store.Account) (*store.Account, error) { return account, nil },
		func(*store.Account) { committed = true }))
	require.True(t, committed)
	read, err := s.Account(t.Context(), account.Name)
	require.NoError(t, err)
	return read
}

// The form of an entry is a contract with what is stored already: to change it
// takes another version of the entry.
func TestStoredAccount(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	stored := `{"version":1,"generation":"g","credential_id":"c","refresh_token_fingerprint":"f","region":"eu","selling_partner_id":"A1",
		"marketplace_ids":["M1"],"kind":"seller","metadata":{"a":"b"},"authorized_at":"2026-01-02T03:04:05Z","authorization_expires_at":"2026-01-02T04:04:05Z",
		"enabled":true,"generate_lease":false,"token_min_ttl":60000000000,"verified_at":"2026-01-02T03:04:05Z","created_at":"2026-01-02T03:04:05Z",
		"updated_at":"2026-01-02T03:04:05Z","refresh_token":"Atzr|secret"}`
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "account/acme", Value: []byte(stored)}))
	s := store.New(storage)
	read, err := s.Account(t.Context(), "acme")
	require.NoError(t, err)
	want := fullAccount()
	want.Fingerprint = "f"
	require.Equal(t, want, read)

	put(t, s, read)
	entry, err := storage.Get(t.Context(), "account/acme")
	require.NoError(t, err)
	require.JSONEq(t, stored, string(entry.Value))
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	pairs := map[string]string{"team": "pricing", "country": "", "": "x"}
	metadata := store.NewMetadata(pairs)
	require.Equal(t, store.Metadata{"", "x", "country", "", "team", "pricing"}, metadata, "in order")
	require.Equal(t, pairs, metadata.Map())
	encoded, err := json.Marshal(metadata)
	require.NoError(t, err)
	require.JSONEq(t, `{"team":"pricing","country":"","":"x"}`, string(encoded), "as it was stored ever since")
	var decoded store.Metadata
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	require.Equal(t, metadata, decoded)
	require.Error(t, json.Unmarshal([]byte(`["team"]`), &decoded))
	require.Nil(t, store.NewMetadata(nil))
	require.Equal(t, map[string]string{}, store.Metadata(nil).Map())
}

// What is shared is equal, and nobody else's.
func TestSharedProfile(t *testing.T) {
	t.Parallel()
	account := fullAccount()
	shared := account.Shared()
	require.Equal(t, account.Profile, *shared)
	shared.MarketplaceIDs[0] = "other"
	require.Equal(t, fullAccount().MarketplaceIDs, account.MarketplaceIDs)
}

func TestAccountKeepsEverything(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	require.Equal(t, fullAccount().RefreshToken.Reveal(), put(t, s, fullAccount()).RefreshToken.Reveal())
	want := fullAccount()
	want.Fingerprint = put(t, s, fullAccount()).Fingerprint
	require.Equal(t, want, put(t, s, want))

	missing, err := s.Account(t.Context(), "nobody")
	require.NoError(t, err)
	require.Nil(t, missing)
}

func TestConfigKeepsEverything(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	config := &store.Config{
		Generation: "g", ClientID: "id", Secret: store.ClientSecret{Value: credential.New("one"), SetAt: now, ExpiresAt: now.Add(time.Hour), Proven: true},
		Previous: store.ClientSecret{Value: credential.New("two"), SetAt: now, ExpiresAt: now.Add(time.Hour)}, PreviousUntil: now.Add(time.Minute), ApplicationID: "app", RedirectURI: "https://x", Region: "eu", Sandbox: true,
		TokenMinTTL: time.Minute, GenerateLease: true, RequestTimeout: time.Second, MaxConcurrentExchanges: 3, LWAEndpoint: "https://l", SPAPIEndpoint: "https://s",
	}
	require.NoError(t, s.UpdateConfig(t.Context(), func(stored *store.Config) (*store.Config, error) {
		require.Nil(t, stored)
		return config, nil
	}, func(*store.Config) {}))
	read, err := s.Config(t.Context())
	require.NoError(t, err)
	require.Equal(t, config, read)
	require.NotEmpty(t, read.Revision)
	require.Equal(t, "two", read.UsablePrevious(now).Reveal())
	require.True(t, read.UsablePrevious(now.Add(time.Minute)).IsZero())
}

func TestEntriesCarryAVersion(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	s := store.New(storage)
	put(t, s, fullAccount())
	require.NoError(t, s.SetStatus(t.Context(), "acme", store.Status{CredentialID: "c", State: store.Active}))
	require.NoError(t, s.UpdateConfig(t.Context(), func(*store.Config) (*store.Config, error) { return &store.Config{}, nil }, func(*store.Config) {}))
	keys, err := logical.CollectKeys(t.Context(), storage)
	require.NoError(t, err)
	require.Len(t, keys, 4)
	for _, key := range keys {
		entry, err := storage.Get(t.Context(), key)
		require.NoError(t, err)
		require.Contains(t, string(entry.Value), `"version":1`, key)
		newer := strings.Replace(string(entry.Value), `"version":1`, `"version":2`, 1)
		require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(newer)}))
	}
	_, err = s.Config(t.Context())
	requireNewer(t, err)
	_, err = s.Account(t.Context(), "acme")
	requireNewer(t, err)
	_, err = s.Status(t.Context(), fullAccount())
	requireNewer(t, err)
	err = s.UpdateAccount(t.Context(), "other", func(*store.Account) (*store.Account, error) {
		return &store.Account{Name: "other", RefreshToken: credential.New("x")}, nil
	}, func(*store.Account) {})
	requireNewer(t, err)
}

func requireNewer(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.Storage, fault.KindOf(err))
	require.ErrorContains(t, err, "newer version")
}

func TestEntryThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "{", `{"version":"x"}`, `{"version":1,"refresh_token":{"secret":"Atzr|x"}}`, "\x00"} {
		storage := &logical.InmemStorage{}
		require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "account/acme", Value: []byte(value)}))
		_, err := store.New(storage).Account(t.Context(), "acme")
		require.Equal(t, fault.Storage, fault.KindOf(err), "%q", value)
		require.NotContains(t, err.Error(), "Atzr")
		require.NoError(t, errors.Unwrap(err), "the cause would hold the value")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	one := put(t, s, fullAccount()).Fingerprint
	require.Regexp(t, "^[0-9a-f]{12}$", one)
	same := fullAccount()
	same.Name = "twin"
	require.Equal(t, one, put(t, s, same).Fingerprint, "the same token has the same fingerprint in a mount")
	other := fullAccount()
	other.RefreshToken = credential.New("Atzr|other")
	require.NotEqual(t, one, put(t, s, other).Fingerprint)
	require.NotEqual(t, one, put(t, store.New(&logical.InmemStorage{}), fullAccount()).Fingerprint, "it is keyed")
}

func TestStatusBelongsToACredential(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	account := put(t, s, fullAccount())
	status := func(account *store.Account) store.Status {
		read, err := s.Status(t.Context(), account)
		require.NoError(t, err)
		return read
	}
	require.Equal(t, store.Active, status(account).State, "it was verified when it was written")
	bad := store.Status{CredentialID: "c", State: store.ReauthorizationRequired, LastError: "invalid_grant"}
	require.NoError(t, s.SetStatus(t.Context(), "acme", bad))
	require.Equal(t, bad, status(account))

	account.CredentialID, account.VerifiedAt = "another", time.Time{}
	account = put(t, s, account)
	require.Equal(t, store.Unverified, status(account).State)
	require.NoError(t, s.SetStatus(t.Context(), "acme", store.Status{CredentialID: "another", State: store.Active}))
	require.NoError(t, s.SetStatus(t.Context(), "acme", bad), "late news about the old credential")
	require.Equal(t, store.Active, status(account).State)

	require.NoError(t, s.DeleteAccount(t.Context(), "acme", func() {}))
	require.NoError(t, s.SetStatus(t.Context(), "acme", bad))
	names, err := s.StatusNames(t.Context())
	require.NoError(t, err)
	require.Empty(t, names, "a status does not outlive its account")
}

func TestUpdateThatChangesNothing(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	s := store.New(storage)
	require.NoError(t, s.UpdateAccount(t.Context(), "acme", func(*store.Account) (*store.Account, error) { return nil, nil }, func(*store.Account) { t.Error("committed") }))
	refused := errors.New("refused")
	require.ErrorIs(t, s.UpdateAccount(t.Context(), "acme", func(*store.Account) (*store.Account, error) { return nil, refused }, nil), refused)
	require.ErrorIs(t, s.UpdateConfig(t.Context(), func(*store.Config) (*store.Config, error) { return nil, refused }, nil), refused)
	keys, err := logical.CollectKeys(t.Context(), storage)
	require.NoError(t, err)
	require.Empty(t, keys)
}

// readOnly fails as storage does over gRPC on a node that may not write: with the
// text of the error only.
type readOnly struct{ logical.Storage }

func (readOnly) Put(context.Context, *logical.StorageEntry) error {
	return errors.New(logical.ErrReadOnly.Error())
}

func TestReadOnlyStorageIsRecognised(t *testing.T) {
	t.Parallel()
	s := store.New(readOnly{&logical.InmemStorage{}})
	err := s.UpdateAccount(t.Context(), "acme", func(*store.Account) (*store.Account, error) { return fullAccount(), nil }, func(*store.Account) {})
	require.ErrorIs(t, err, logical.ErrReadOnly, "so that Vault forwards the request")
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Account(ctx, "acme")
	require.Equal(t, fault.Storage, fault.KindOf(err))
	require.ErrorIs(t, err, context.Canceled)
}
