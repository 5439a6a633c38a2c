// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/license"
	"github.com/hashicorp/vault/sdk/logical"
)

// watch makes a backend whose calls to Vault are counted.
func (w *window) watch(ctx context.Context, conf *logical.BackendConfig, engine logical.Factory) (logical.Backend, error) {
	if conf == nil {
		return engine(ctx, conf)
	}
	counted := *conf
	counted.StorageView = countedStorage{conf.StorageView, &w.storage}
	counted.System = countedSystem{conf.System, &w.system}
	made, err := engine(ctx, &counted)
	if err != nil {
		return nil, err
	}
	return countedBackend{made, &w.storage}, nil
}

// countedBackend counts what a backend does with the storage of a request, which
// is not the one of its configuration.
type countedBackend struct {
	logical.Backend
	calls *atomic.Int64
}

func (b countedBackend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	req.Storage = countedStorage{req.Storage, b.calls}
	return b.Backend.HandleRequest(ctx, req)
}

func (b countedBackend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (found, exists bool, err error) {
	req.Storage = countedStorage{req.Storage, b.calls}
	return b.Backend.HandleExistenceCheck(ctx, req)
}

// PluginVersion tells the version of the backend within, as Vault asks for it.
func (b countedBackend) PluginVersion() logical.PluginVersion {
	if versioner, ok := b.Backend.(logical.PluginVersioner); ok {
		return versioner.PluginVersion()
	}
	return logical.EmptyPluginVersion
}

type countedStorage struct {
	logical.Storage
	calls *atomic.Int64
}

func (s countedStorage) List(ctx context.Context, prefix string) ([]string, error) {
	s.calls.Add(1)
	return s.Storage.List(ctx, prefix)
}

func (s countedStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	s.calls.Add(1)
	return s.Storage.Get(ctx, key)
}

func (s countedStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.calls.Add(1)
	return s.Storage.Put(ctx, entry)
}

func (s countedStorage) Delete(ctx context.Context, key string) error {
	s.calls.Add(1)
	return s.Storage.Delete(ctx, key)
}

// countedSystem counts the questions that an engine may ask on a read. What it
// passes through uncounted (plugin catalog, wrapping, rotation) is for engines
// that are built into Vault.
type countedSystem struct {
	logical.SystemView
	calls *atomic.Int64
}

func (s countedSystem) DefaultLeaseTTL() time.Duration {
	s.calls.Add(1)
	return s.SystemView.DefaultLeaseTTL()
}

func (s countedSystem) MaxLeaseTTL() time.Duration {
	s.calls.Add(1)
	return s.SystemView.MaxLeaseTTL()
}

func (s countedSystem) Tainted() bool {
	s.calls.Add(1)
	return s.SystemView.Tainted()
}

func (s countedSystem) CachingDisabled() bool {
	s.calls.Add(1)
	return s.SystemView.CachingDisabled()
}

func (s countedSystem) LocalMount() bool {
	s.calls.Add(1)
	return s.SystemView.LocalMount()
}

func (s countedSystem) ReplicationState() consts.ReplicationState {
	s.calls.Add(1)
	return s.SystemView.ReplicationState()
}

func (s countedSystem) HasFeature(feature license.Features) bool {
	s.calls.Add(1)
	return s.SystemView.HasFeature(feature)
}

func (s countedSystem) EntityInfo(id string) (*logical.Entity, error) {
	s.calls.Add(1)
	return s.SystemView.EntityInfo(id)
}

func (s countedSystem) GroupsForEntity(id string) ([]*logical.Group, error) {
	s.calls.Add(1)
	return s.SystemView.GroupsForEntity(id)
}

func (s countedSystem) PluginEnv(ctx context.Context) (*logical.PluginEnvironment, error) {
	s.calls.Add(1)
	return s.SystemView.PluginEnv(ctx)
}

func (s countedSystem) VaultVersion(ctx context.Context) (string, error) {
	s.calls.Add(1)
	return s.SystemView.VaultVersion(ctx)
}

func (s countedSystem) ClusterID(ctx context.Context) (string, error) {
	s.calls.Add(1)
	return s.SystemView.ClusterID(ctx)
}
