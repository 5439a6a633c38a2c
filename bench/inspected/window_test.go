// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	spapi "vault-plugin-secrets-spapi"
)

// ask asks the window behind a socket.
func ask(t *testing.T, socket, method, path string) (int, map[string]any) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://window"+path, http.NoBody)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var answer map[string]any
	if resp.StatusCode == http.StatusOK {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	}
	return resp.StatusCode, answer
}

func TestWindow(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "w")
	w := &window{}
	require.NoError(t, w.open(socket))

	_, memory := ask(t, socket, http.MethodGet, "/memory")
	require.Positive(t, memory["heap_alloc"])
	require.Positive(t, memory["goroutines"])

	before := w.now()
	status, _ := ask(t, socket, http.MethodPost, "/clock?advance=30m")
	require.Equal(t, http.StatusOK, status)
	require.GreaterOrEqual(t, w.now().Sub(before), 30*time.Minute)
	status, _ = ask(t, socket, http.MethodPost, "/clock?advance=soon")
	require.Equal(t, http.StatusBadRequest, status)
}

func TestTheNewestProcessHasTheSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "w")
	older, newer := &window{}, &window{}
	older.storage.Store(1)
	newer.storage.Store(2)
	for _, w := range []*window{older, newer} {
		require.NoError(t, w.open(socket))
	}
	_, calls := ask(t, socket, http.MethodGet, "/calls")
	require.EqualValues(t, 2, calls["storage"])
	require.Error(t, older.open(""), "without the variable")
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	storage := &logical.InmemStorage{}
	conf := logical.TestBackendConfig()
	conf.StorageView, conf.Logger = storage, hclog.NewNullLogger()
	w := &window{}
	backend, err := w.watch(ctx, conf, spapi.Factory(spapi.Options{Version: "v1.2.3"}))
	require.NoError(t, err)
	defer backend.Cleanup(ctx)
	require.Zero(t, w.storage.Load(), "nothing is read when a backend is made")

	systemCalls := w.system.Load()
	_, err = backend.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "config", Storage: storage})
	require.Error(t, err, "there is no config")
	require.Positive(t, w.storage.Load())
	require.Greater(t, w.system.Load(), systemCalls, "the framework asks for the state of replication")

	storageCalls := w.storage.Load()
	backend, err = w.watch(ctx, conf, ofRequest)
	require.NoError(t, err)
	_, err = backend.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "x", Storage: storage})
	require.NoError(t, err)
	require.Equal(t, storageCalls+1, w.storage.Load(), "the storage of the request")
}

// ofRequest makes a backend that uses the storage of the request, once.
func ofRequest(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	backend := &framework.Backend{BackendType: logical.TypeLogical, Paths: []*framework.Path{{
		Pattern: "x",
		Operations: map[logical.Operation]framework.OperationHandler{logical.ReadOperation: &framework.PathOperation{
			Callback: func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
				_, err := req.Storage.Get(ctx, "x")
				return nil, err
			},
		}},
	}}}
	return backend, backend.Setup(ctx, conf)
}

func TestVersionIsTheEngines(t *testing.T) {
	t.Parallel()
	conf := logical.TestBackendConfig()
	conf.StorageView, conf.Logger = &logical.InmemStorage{}, hclog.NewNullLogger()
	backend, err := (&window{}).watch(t.Context(), conf, spapi.Factory(spapi.Options{Version: "v1.2.3"}))
	require.NoError(t, err)
	defer backend.Cleanup(context.Background())
	versioner, ok := backend.(logical.PluginVersioner)
	require.True(t, ok)
	require.Equal(t, "v1.2.3", versioner.PluginVersion().Version)
}
