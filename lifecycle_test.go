// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// A mount that was disabled asks Amazon nothing more, and its readers do not
// wait for what was under way.
func TestCleanup(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.start() // nothing cached
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultHang})
	failed := make(chan error, 1)
	go func() {
		_, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "token/acme", Storage: m.storage})
		failed <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, m.amazon.WaitInFlight(ctx, 1))
	m.backend.Cleanup(ctx)
	require.Error(t, <-failed)
	requests := m.amazon.Requests()
	require.Contains(t, m.refused(http.StatusServiceUnavailable, logical.ReadOperation, "token/acme", nil), "shutting down")
	require.Equal(t, requests, m.amazon.Requests())
}

// Once a minute Vault lets the engine tidy up: a refresh token that Amazon
// changed and storage did not take is stored without waiting for a reader.
func TestPeriodic(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.start()
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|changed", Times: 1})
	m.storage.Underlying().FailPut(true)
	m.refused(http.StatusInternalServerError, logical.ReadOperation, "token/acme", nil)
	m.storage.Underlying().FailPut(false)
	_, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.RollbackOperation, Storage: m.storage})
	require.NoError(t, ignoreUnsupported(err))
	require.Eventually(t, func() bool {
		account, err := m.backend.store.Account(t.Context(), "acme")
		return err == nil && account.RefreshToken.Reveal() == "Atzr|changed"
	}, 30*time.Second, time.Millisecond)
}

// The framework runs the periodic function within a rollback, and then says that
// there is no write-ahead log to roll back.
func ignoreUnsupported(err error) error {
	if err == logical.ErrUnsupportedOperation { //nolint:errorlint // the framework returns it bare
		return nil
	}
	return err
}

// An entry of the allow-list that is no URL opens nothing, is reported, and keeps
// neither the others nor the mount from working. It may hold a password.
func TestUnusableAllowedEndpoints(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	allowed := "https://user:hunter2@proxy.example,http://127.0.0.1:1"
	conf := &logical.BackendConfig{
		StorageView: &logical.InmemStorage{}, System: logical.TestSystemView(),
		Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace}),
	}
	made, err := Factory(Options{AllowedEndpoints: &allowed})(t.Context(), conf)
	require.NoError(t, err)
	t.Cleanup(func() { made.Cleanup(context.Background()) })
	info, err := made.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "info", Storage: conf.StorageView})
	require.NoError(t, err)
	require.Equal(t, []string{"http://127.0.0.1:1"}, info.Data["allowed_endpoints"])
	require.Contains(t, log.String(), "[ERROR]")
	require.Contains(t, log.String(), "SPAPI_ALLOWED_ENDPOINTS: entry 1")
	require.NotContains(t, log.String(), "hunter2")
}
