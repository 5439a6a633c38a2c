// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role says what a restricted data token may open, and for which accounts. It
// holds no credential.
type Role struct {
	Name              string               `json:"-"`
	Resources         []RestrictedResource `json:"restricted_resources"`
	AllowedAccounts   []string             `json:"allowed_accounts,omitempty"` // globs
	PathParameters    []string             `json:"path_parameters,omitempty"`  // placeholders that the reader fills in
	TargetApplication string               `json:"target_application,omitempty"`
	Description       string               `json:"description,omitempty"`
	CreatedAt         time.Time            `json:"created_at"`
	UpdatedAt         time.Time            `json:"updated_at"`
}

// RestrictedResource is an operation that a role opens.
type RestrictedResource struct {
	Method       string   `json:"method"`
	Path         string   `json:"path"`
	DataElements []string `json:"dataElements,omitempty"`
}

type roleEntry struct {
	versioned
	Role
}

const prefixRole = "role/"

// RoleOf returns the role whose entry stands at a storage key.
func RoleOf(key string) (role string, ok bool) { return strings.CutPrefix(key, prefixRole) }

// Role reads a role; nil if there is none.
func (s *Store) Role(ctx context.Context, name string) (*Role, error) {
	var entry roleEntry
	found, err := s.read(ctx, prefixRole+name, roleTitle(name), &entry)
	if err != nil || !found {
		return nil, err
	}
	entry.Name = name
	return &entry.Role, nil
}

// RoleNames lists all roles in order.
func (s *Store) RoleNames(ctx context.Context) ([]string, error) {
	names, err := s.list(ctx, prefixRole, "roles")
	slices.Sort(names)
	return names, err
}

// UpdateRole replaces a role by what change makes of the stored one (nil if there
// is none), then runs committed. Writers of roles take turns.
func (s *Store) UpdateRole(ctx context.Context, name string, change func(stored *Role) (*Role, error), committed func()) error {
	s.roleLock.Lock()
	defer s.roleLock.Unlock()
	stored, err := s.Role(ctx, name)
	if err != nil {
		return err
	}
	role, err := change(stored)
	if err != nil {
		return err
	}
	if err := s.write(ctx, prefixRole+name, roleTitle(name), roleEntry{currentVersion(), *role}); err != nil {
		return err
	}
	committed()
	return nil
}

// DeleteRole removes a role, then runs committed.
func (s *Store) DeleteRole(ctx context.Context, name string, committed func()) error {
	s.roleLock.Lock()
	defer s.roleLock.Unlock()
	if err := s.remove(ctx, prefixRole+name, roleTitle(name)); err != nil {
		return err
	}
	committed()
	return nil
}

func roleTitle(name string) string { return fmt.Sprintf("role %q", name) }
