// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ryanuber/go-glob"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// roles are those that were read, as readers of restricted data tokens need them.
type roles struct {
	known sync.Map // name -> *role
	mu    sync.Mutex
	epoch uint64 // counts changes, so that what was read before one is not kept after it
}

// role is a stored role. Immutable.
type role struct {
	*store.Role
	request sellingpartner.RestrictedRequest
	key     string // of the request; empty where readers fill in path parameters
}

func newRole(stored *store.Role) *role {
	r := &role{Role: stored, request: sellingpartner.RestrictedRequest{TargetApplication: stored.TargetApplication}}
	for _, resource := range stored.Resources {
		r.request.RestrictedResources = append(r.request.RestrictedResources, sellingpartner.RestrictedResource(resource))
	}
	if len(stored.PathParameters) == 0 {
		r.key = digest(r.request)
	}
	return r
}

// allows reports whether the role may be used for an account.
func (r *role) allows(account string) bool {
	return slices.ContainsFunc(r.AllowedAccounts, func(pattern string) bool { return glob.Glob(pattern, account) })
}

// requestWith is what Amazon is asked for, with the reader's path parameters, of
// which there must be none too few and none too many.
func (r *role) requestWith(parameters map[string]string) (sellingpartner.RestrictedRequest, error) {
	for _, name := range r.PathParameters {
		if parameters[name] == "" {
			return sellingpartner.RestrictedRequest{}, fault.BadField("path_parameters", "lacks %s, which role %q needs: path_parameters=%s=…", name, r.Name, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if !slices.Contains(r.PathParameters, name) {
			return sellingpartner.RestrictedRequest{}, fault.BadField("path_parameters", "has one that role %q does not know; it takes %s", r.Name, orNone(r.PathParameters))
		}
	}
	if len(r.PathParameters) == 0 {
		return r.request, nil
	}
	filled := r.request
	filled.RestrictedResources = slices.Clone(filled.RestrictedResources)
	for at, resource := range filled.RestrictedResources {
		filled.RestrictedResources[at].Path = fill(resource.Path, parameters)
	}
	return filled, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// fill puts values in the place of placeholders, each of which is a whole segment.
func fill(path string, values map[string]string) string {
	segments := strings.Split(path, "/")
	for at, segment := range segments {
		if value, ok := values[strings.Trim(segment, "{}")]; ok && strings.HasPrefix(segment, "{") {
			segments[at] = value
		}
	}
	return strings.Join(segments, "/")
}

// role reads a role, from memory where it is there.
func (i *Issuer) role(ctx context.Context, name string) (*role, error) {
	if known := i.roleInMemory(name); known != nil {
		return known, nil
	}
	i.roles.mu.Lock()
	epoch := i.roles.epoch
	i.roles.mu.Unlock()
	stored, err := i.store.Role(context.WithoutCancel(ctx), name) // a reader that gives up is no failure of storage
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, &fault.Error{Kind: fault.UnknownRole, Role: name, Message: fmt.Sprintf("role %q does not exist", name)}
	}
	read := newRole(stored)
	i.roles.mu.Lock()
	defer i.roles.mu.Unlock()
	if i.roles.epoch != epoch {
		return read, nil
	}
	kept, _ := i.roles.known.LoadOrStore(name, read)
	return kept.(*role), nil
}

func (i *Issuer) roleInMemory(name string) *role {
	if known, ok := i.roles.known.Load(name); ok {
		return known.(*role)
	}
	return nil
}

// forgetRole lets the next reader read a role from storage.
func (i *Issuer) forgetRole(name string) {
	i.roles.mu.Lock()
	defer i.roles.mu.Unlock()
	i.roles.epoch++
	i.roles.known.Delete(name)
}

// WriteRole stores a change of a role. apply sets the fields that the write names,
// on the stored role or on a new one. It refuses to create one if mustExist.
func (i *Issuer) WriteRole(ctx context.Context, name string, mustExist bool, apply func(*store.Role) error) (written *store.Role, err error) {
	err = i.store.UpdateRole(ctx, name, func(stored *store.Role) (*store.Role, error) {
		now := i.now().UTC()
		written = &store.Role{Name: name, CreatedAt: now}
		if stored != nil {
			*written = *stored
		} else if mustExist {
			return nil, &fault.Error{Kind: fault.NotFound, Role: name, Message: fmt.Sprintf("role %q does not exist", name)}
		}
		if err := apply(written); err != nil {
			return nil, err
		}
		written.UpdatedAt = now
		return written, nil
	}, func() { i.forgetRole(name) })
	if err != nil {
		i.forgetRole(name) // it may have been stored all the same
		return nil, err
	}
	return written, nil
}

// DeleteRole removes a role. Tokens that it gave go on working at Amazon until they
// expire; nobody is given them here any more.
func (i *Issuer) DeleteRole(ctx context.Context, name string) error {
	err := i.store.DeleteRole(ctx, name, func() { i.forgetRole(name) })
	if err != nil {
		i.forgetRole(name) // it may be gone all the same
	}
	return err
}
