// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

// calls counts what reaches storage.
type calls struct {
	*logical.InmemStorage
	lists, gets int
}

func (c *calls) List(ctx context.Context, prefix string) ([]string, error) {
	c.lists++
	return c.InmemStorage.List(ctx, prefix)
}

func (c *calls) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	c.gets++
	return c.InmemStorage.Get(ctx, key)
}

func fullAuthorization(expiresAt time.Time) store.Authorization {
	return store.Authorization{
		Account: "acme", ClientID: "client", ExpiresAt: expiresAt, SellingPartnerID: "A1", RedirectURI: "https://x", Region: "eu", Kind: "vendor",
		MarketplaceIDs: []string{"M1"}, Metadata: store.NewMetadata(map[string]string{"team": "orders"}), Reauthorize: true, Force: true,
	}
}

func TestAuthorizationIsClaimedOnce(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	s := store.New(storage)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := fullAuthorization(now.Add(time.Minute))
	state, err := s.AddAuthorization(t.Context(), want, now)
	require.NoError(t, err)
	other, err := s.AddAuthorization(t.Context(), want, now)
	require.NoError(t, err)
	require.False(t, state.Equal(other))
	keys, err := logical.CollectKeys(t.Context(), storage)
	require.NoError(t, err)
	for _, key := range keys {
		entry, err := storage.Get(t.Context(), key)
		require.NoError(t, err)
		require.NotContains(t, key+string(entry.Value), state.Reveal())
		require.Contains(t, string(entry.Value), `"version":1`)
	}

	claimed, err := s.ClaimAuthorization(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, &want, claimed)
	for range 2 {
		s = store.New(storage) // another node, or the same after a restart
		_, err = s.ClaimAuthorization(t.Context(), state)
		require.Equal(t, fault.InvalidState, fault.KindOf(err))
		require.ErrorContains(t, err, "used before")
	}
	require.NoError(t, s.ReturnAuthorization(t.Context(), state, claimed))
	claimed, err = s.ClaimAuthorization(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, &want, claimed)
	require.NoError(t, s.RemoveAuthorization(t.Context(), state))
	claimed, err = s.ClaimAuthorization(t.Context(), state)
	require.NoError(t, err)
	require.Nil(t, claimed)
}

// A claim that cannot be stored is none.
func TestClaimThatStorageRefuses(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	s := store.New(storage)
	state, err := s.AddAuthorization(t.Context(), fullAuthorization(time.Now().Add(time.Minute)), time.Now())
	require.NoError(t, err)
	storage.Underlying().FailPut(true)
	_, err = s.ClaimAuthorization(t.Context(), state)
	require.Equal(t, fault.Storage, fault.KindOf(err))
	storage.Underlying().FailPut(false)
	claimed, err := s.ClaimAuthorization(t.Context(), state)
	require.NoError(t, err)
	require.NotNil(t, claimed)
}

// What is no state reaches no entry.
func FuzzState(f *testing.F) {
	storage := &calls{InmemStorage: &logical.InmemStorage{}}
	s := store.New(storage)
	state, err := s.AddAuthorization(context.Background(), fullAuthorization(time.Unix(1<<33, 0)), time.Now())
	require.NoError(f, err)
	for _, seed := range []string{"", "x", "../config", state.Reveal()[:53] + "B", state.Reveal() + "=", " " + state.Reveal(), state.Reveal()[:53] + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claimed, err := s.ClaimAuthorization(t.Context(), credential.New(text))
		if text != state.Reveal() {
			require.NoError(t, err)
			require.Nil(t, claimed)
		}
	})
}

// Tidying reads no entry, and where nothing waits it does not even list.
func TestTidyingIsCheap(t *testing.T) {
	t.Parallel()
	storage := &calls{InmemStorage: &logical.InmemStorage{}}
	s := store.New(storage)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, s.TidyAuthorizations(t.Context(), now))
	require.Equal(t, 1, storage.lists, "another node may have left some")
	require.NoError(t, s.TidyAuthorizations(t.Context(), now))
	require.Equal(t, 1, storage.lists)

	_, err := s.AddAuthorization(t.Context(), fullAuthorization(now.Add(time.Minute)), now)
	require.NoError(t, err)
	waiting := func() int {
		keys, err := logical.CollectKeys(t.Context(), storage.InmemStorage)
		require.NoError(t, err)
		return len(keys)
	}
	require.NoError(t, s.TidyAuthorizations(t.Context(), now.Add(time.Hour)))
	require.Equal(t, 1, waiting(), "whoever comes too late is told so")
	require.NoError(t, s.TidyAuthorizations(t.Context(), now.Add(time.Hour+time.Minute)))
	require.Zero(t, waiting())
	lists := storage.lists
	require.NoError(t, s.TidyAuthorizations(t.Context(), now.Add(2*time.Hour)))
	require.Equal(t, lists, storage.lists)
	require.Zero(t, storage.gets)

	s.AuthorizationsMayExist("account/acme")
	require.NoError(t, s.TidyAuthorizations(t.Context(), now))
	require.Equal(t, lists, storage.lists)
	s.AuthorizationsMayExist("authorization/1-x")
	require.NoError(t, s.TidyAuthorizations(t.Context(), now))
	require.Equal(t, lists+1, storage.lists)
}
