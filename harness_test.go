// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	testClientID      = "amzn1.application-oa2-client.test"
	testClientSecret  = "amzn1.oa2-cs.v1.test"
	testApplicationID = "amzn1.sp.solution.test"
	testRedirectURI   = "https://app.example/callback"
)

// mount is one mount of the engine with a simulated Amazon behind it.
type mount struct {
	t           *testing.T
	backend     *backend
	storage     *logical.InmemStorage
	amazon      *amazontest.Server
	clock       *amazontest.Clock
	replication consts.ReplicationState
	system      *countingSystem
}

// countingSystem counts the framework's calls to Vault.
type countingSystem struct {
	*logical.StaticSystemView
	calls atomic.Int64
}

func (s *countingSystem) ReplicationState() consts.ReplicationState {
	s.calls.Add(1)
	return s.StaticSystemView.ReplicationState()
}

func newMount(t *testing.T) *mount {
	t.Helper()
	m := &mount{t: t, storage: &logical.InmemStorage{}, clock: amazontest.NewClock(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC))}
	var err error
	m.amazon, err = amazontest.New(amazontest.Options{Now: m.clock.Now})
	require.NoError(t, err)
	t.Cleanup(m.amazon.Close)
	m.amazon.AddClient(testClientID, testClientSecret)
	m.amazon.AddApplication(amazontest.Application{
		ID: testApplicationID, ClientID: testClientID, RedirectURIs: []string{testRedirectURI}, LoginURI: "https://app.example/login",
	})
	m.start()
	return m
}

// start makes the backend anew, as a restart of the plugin does.
func (m *mount) start() {
	m.t.Helper()
	allowed := m.amazon.URL()
	conf := logical.TestBackendConfig()
	conf.StorageView = m.storage
	conf.Logger = hclog.NewNullLogger()
	m.system = &countingSystem{StaticSystemView: &logical.StaticSystemView{ReplicationStateVal: m.replication, PluginEnvironment: &logical.PluginEnvironment{VaultVersion: "1.21.1"}}}
	conf.System = m.system
	made, err := Factory(Options{Version: "v1.2.3", Commit: "abc", AllowedEndpoints: &allowed, Now: m.clock.Now, RetryWait: time.Microsecond})(m.t.Context(), conf)
	require.NoError(m.t, err)
	require.NoError(m.t, made.Initialize(m.t.Context(), &logical.InitializationRequest{Storage: m.storage}))
	m.backend = made.(*backend)
	m.t.Cleanup(func() { made.Cleanup(context.Background()) })
}

// configured is a mount with a config, the role shipping and the account acme,
// whose token is cached.
func configured(t *testing.T) *mount {
	t.Helper()
	m := newMount(t)
	m.ok(logical.UpdateOperation, "config", m.configData())
	m.ok(logical.UpdateOperation, "accounts/acme", m.accountData("acme"))
	m.ok(logical.UpdateOperation, "roles/shipping", roleData())
	return m
}

// roleData is a role that every account may be used with.
func roleData() map[string]any {
	return map[string]any{
		"restricted_resources": []any{map[string]any{"method": "GET", "path": "/orders/v0/orders/{orderId}/address"}},
		"allowed_accounts":     "*",
	}
}

func (m *mount) configData() map[string]any {
	return map[string]any{
		"client_id": testClientID, "client_secret": testClientSecret, "application_id": testApplicationID,
		"lwa_endpoint": m.amazon.LWAEndpoint(),
	}
}

func (m *mount) accountData(name string) map[string]any {
	return map[string]any{"refresh_token": m.amazon.Authorize(testClientID, name)}
}

// do sends a request as Vault does, with the existence check that turns a write
// into a create.
func (m *mount) do(operation logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	req := &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage, MountPoint: "spapi/"}
	if operation == logical.UpdateOperation {
		found, exists, err := m.backend.HandleExistenceCheck(m.t.Context(), req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) { // which the request itself will answer
			return nil, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	resp, err := m.backend.HandleRequest(m.t.Context(), req)
	if err == nil && resp != nil && !resp.IsError() {
		m.validate(req, resp)
	}
	return resp, err
}

// validate holds every answer of every test against what the path declares.
func (m *mount) validate(req *logical.Request, resp *logical.Response) {
	m.t.Helper()
	path := m.backend.Route(req.Path)
	if raw, ok := resp.Data[logical.HTTPRawBody].(string); ok {
		var body map[string]any
		require.NoError(m.t, json.Unmarshal([]byte(raw), &body))
		if status := resp.Data[logical.HTTPStatusCode]; status != http.StatusOK {
			require.NotEmpty(m.t, body["error"])
			require.NotEmpty(m.t, body["error_description"])
			require.Len(m.t, body, 2)
			return
		}
		resp = &logical.Response{Data: body}
	}
	require.NotNil(m.t, path, req.Path)
	schema.ValidateResponse(m.t, schema.GetResponseSchema(m.t, path, req.Operation), resp, true)
}

// ok sends a request that must succeed.
func (m *mount) ok(operation logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.do(operation, path, data)
	require.NoError(m.t, err)
	require.False(m.t, resp.IsError(), "%v", resp)
	return resp
}

// read returns the data of an answer.
func (m *mount) read(path string) map[string]any {
	m.t.Helper()
	resp := m.ok(logical.ReadOperation, path, nil)
	require.NotNil(m.t, resp)
	return resp.Data
}

// refused sends a request that must fail with a status, and returns its text.
func (m *mount) refused(status int, operation logical.Operation, path string, data map[string]any) string {
	m.t.Helper()
	resp, err := m.do(operation, path, data)
	require.Nil(m.t, resp)
	require.Error(m.t, err)
	coded, ok := err.(logical.HTTPCodedError) //nolint:errorlint // a wrapped one would lose its status on the way to Vault
	require.True(m.t, ok, "%T %v", err, err)
	require.Equal(m.t, status, coded.Code(), "%v", err)
	return err.Error()
}

func (m *mount) badRequest(operation logical.Operation, path string, data map[string]any) string {
	m.t.Helper()
	return m.refused(http.StatusBadRequest, operation, path, data)
}

// stores waits until there is an entry at key: a status is stored after the
// reader has its answer.
func (m *mount) stores(key string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		entry, err := m.storage.Get(m.t.Context(), key)
		return err == nil && entry != nil
	}, 30*time.Second, time.Millisecond)
}

// stored is a copy of everything in storage.
func (m *mount) stored() map[string]string {
	m.t.Helper()
	entries := map[string]string{}
	require.NoError(m.t, logical.ScanView(m.t.Context(), m.storage, func(key string) {
		entry, err := m.storage.Get(m.t.Context(), key)
		require.NoError(m.t, err)
		entries[key] = string(entry.Value)
	}))
	return entries
}
