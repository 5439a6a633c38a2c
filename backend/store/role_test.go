// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

func fullRole() *store.Role {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &store.Role{
		Name:            "shipping",
		Resources:       []store.RestrictedResource{{Method: "GET", Path: "/orders/v0/orders", DataElements: []string{"buyerInfo"}}, {Method: "GET", Path: "/x"}},
		AllowedAccounts: []string{"acme-*"}, PathParameters: []string{"x"}, TargetApplication: "amzn1.sp.solution.x", Description: "d", CreatedAt: now, UpdatedAt: now,
	}
}

// The form of an entry is a contract with what is stored already.
func TestStoredRole(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	stored := `{"version":1,"restricted_resources":[{"method":"GET","path":"/orders/v0/orders","dataElements":["buyerInfo"]},{"method":"GET","path":"/x"}],
		"allowed_accounts":["acme-*"],"path_parameters":["x"],"target_application":"amzn1.sp.solution.x","description":"d",
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"}`
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "role/shipping", Value: []byte(stored)}))
	s := store.New(storage)
	read, err := s.Role(t.Context(), "shipping")
	require.NoError(t, err)
	require.Equal(t, fullRole(), read)
	require.NoError(t, s.UpdateRole(t.Context(), "shipping", func(r *store.Role) (*store.Role, error) { return r, nil }, func() {}))
	entry, err := storage.Get(t.Context(), "role/shipping")
	require.NoError(t, err)
	require.JSONEq(t, stored, string(entry.Value))

	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "role/newer", Value: []byte(`{"version":2}`)}))
	_, err = s.Role(t.Context(), "newer")
	require.ErrorContains(t, err, "newer version")
}

func TestRolesInStorage(t *testing.T) {
	t.Parallel()
	s := store.New(&logical.InmemStorage{})
	committed := 0
	commit := func() { committed++ }
	role, err := s.Role(t.Context(), "shipping")
	require.NoError(t, err)
	require.Nil(t, role)
	for _, name := range []string{"shipping", "a"} {
		require.NoError(t, s.UpdateRole(t.Context(), name, func(stored *store.Role) (*store.Role, error) {
			require.Nil(t, stored)
			return fullRole(), nil
		}, commit))
	}
	names, err := s.RoleNames(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "shipping"}, names)
	refused := errors.New("no")
	require.ErrorIs(t, s.UpdateRole(t.Context(), "a", func(*store.Role) (*store.Role, error) { return nil, refused }, commit), refused)
	require.NoError(t, s.DeleteRole(t.Context(), "a", commit))
	require.Equal(t, 3, committed)
	names, err = s.RoleNames(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"shipping"}, names)
	name, ok := store.RoleOf("role/shipping")
	require.True(t, ok)
	require.Equal(t, "shipping", name)
	_, ok = store.RoleOf("account/shipping")
	require.False(t, ok)
}

func TestRolesOnFailingStorage(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	s := store.New(storage)
	write := func() error {
		return s.UpdateRole(t.Context(), "shipping", func(*store.Role) (*store.Role, error) { return fullRole(), nil }, func() { t.Error("committed") })
	}
	storage.Underlying().FailGet(true)
	require.Equal(t, fault.Storage, fault.KindOf(write()))
	storage.Underlying().FailGet(false)
	storage.Underlying().FailPut(true)
	require.Equal(t, fault.Storage, fault.KindOf(write()))
	storage.Underlying().FailDelete(true)
	require.Equal(t, fault.Storage, fault.KindOf(s.DeleteRole(t.Context(), "shipping", func() { t.Error("committed") })))
	storage.Underlying().FailList(true)
	_, err := s.RoleNames(t.Context())
	require.Equal(t, fault.Storage, fault.KindOf(err))
}
