// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// everyRequest is one good request for every operation of every path.
func everyRequest(m *mount) []logical.Request {
	return []logical.Request{
		{Operation: logical.ReadOperation, Path: "config"},
		{Operation: logical.UpdateOperation, Path: "config", Data: m.configData()},
		{Operation: logical.PatchOperation, Path: "config", Data: map[string]any{"sandbox": true}},
		{Operation: logical.ListOperation, Path: "accounts/"},
		{Operation: logical.ReadOperation, Path: "accounts/acme"},
		{Operation: logical.UpdateOperation, Path: "accounts/acme", Data: m.accountData("acme")},
		{Operation: logical.UpdateOperation, Path: "accounts/new", Data: m.accountData("new")},
		{Operation: logical.PatchOperation, Path: "accounts/acme", Data: map[string]any{"kind": "seller"}},
		{Operation: logical.UpdateOperation, Path: "authorize/url", Data: map[string]any{"account": "consented", "marketplace": "DE"}},
		{Operation: logical.UpdateOperation, Path: "authorize/callback", Data: m.callbackData("consented")},
		{Operation: logical.UpdateOperation, Path: "migrate/migrated", Data: m.migrationData()},
		{Operation: logical.ReadOperation, Path: "token/acme"},
		{Operation: logical.ReadOperation, Path: "grantless/notifications"},
		{Operation: logical.ListOperation, Path: "roles/"},
		{Operation: logical.ReadOperation, Path: "roles/shipping"},
		{Operation: logical.UpdateOperation, Path: "roles/shipping", Data: roleData()},
		{Operation: logical.UpdateOperation, Path: "roles/new", Data: roleData()},
		{Operation: logical.PatchOperation, Path: "roles/shipping", Data: map[string]any{"description": "x"}},
		{Operation: logical.ReadOperation, Path: "restricted/shipping/acme"},
		{Operation: logical.UpdateOperation, Path: "lwa/token/acme", Data: map[string]any{"grant_type": "refresh_token"}},
		{Operation: logical.UpdateOperation, Path: "lwa/grantless/notifications", Data: map[string]any{"grant_type": "client_credentials"}},
		{Operation: logical.ReadOperation, Path: "info"},
		{Operation: logical.DeleteOperation, Path: "roles/shipping"},
		{Operation: logical.DeleteOperation, Path: "accounts/acme"},
		{Operation: logical.DeleteOperation, Path: "config"},
	}
}

func TestEveryOperationIsCovered(t *testing.T) {
	t.Parallel()
	m := configured(t)
	requests := everyRequest(m)
	for _, path := range m.backend.Paths {
		for operation, handler := range path.Operations {
			if handler.Properties().Unpublished || operation == logical.CreateOperation {
				continue // a create is sent as an update, as Vault does
			}
			covered := slices.ContainsFunc(requests, func(req logical.Request) bool {
				return req.Operation == operation && m.backend.Route(req.Path) == path
			})
			require.True(t, covered, "%s %s", operation, path.Pattern)
			require.NotEmpty(t, handler.Properties().Responses, "%s %s", operation, path.Pattern)
			require.NotEmpty(t, handler.Properties().Summary, "%s %s", operation, path.Pattern)
		}
		require.NotEmpty(t, path.HelpSynopsis, path.Pattern)
		require.NotEmpty(t, path.HelpDescription, path.Pattern)
		for name, field := range path.Fields {
			require.NotEmpty(t, field.Description, "%s of %s", name, path.Pattern)
		}
	}
}

func TestEveryAnswerIsDeclared(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for _, req := range everyRequest(m) {
		m.ok(req.Operation, req.Path, req.Data) // validates
	}
}

func TestUnknownFieldsAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	m := configured(t)
	requests := everyRequest(m)
	before := m.stored()
	for _, req := range requests {
		if strings.HasPrefix(req.Path, lwaPrefix) {
			continue // ignores what it does not know
		}
		data := map[string]any{"refresh_tokn": "x"}
		maps.Copy(data, req.Data)
		text := m.badRequest(req.Operation, req.Path, data)
		require.Contains(t, text, `"refresh_tokn"`, "%s %s", req.Operation, req.Path)
	}
	require.Equal(t, before, m.stored())
}

func TestStorageThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*mount, bool){
		"get":    func(m *mount, on bool) { m.storage.Underlying().FailGet(on) },
		"put":    func(m *mount, on bool) { m.storage.Underlying().FailPut(on) },
		"list":   func(m *mount, on bool) { m.storage.Underlying().FailList(on) },
		"delete": func(m *mount, on bool) { m.storage.Underlying().FailDelete(on) },
	} {
		failed := 0
		for n := range everyRequest(configured(t)) {
			m := configured(t)
			req := everyRequest(m)[n]
			if strings.HasSuffix(req.Path, "token/acme") || strings.Contains(req.Path, "grantless/") {
				m.start() // a cached token needs no storage
			}
			before := m.stored()
			fail(m, true)
			resp, err := m.do(req.Operation, req.Path, req.Data)
			fail(m, false)
			if resp != nil && resp.Data[logical.HTTPStatusCode] == http.StatusInternalServerError { // lwa/'s shape
				err = errors.New(resp.Data[logical.HTTPRawBody].(string))
				require.ErrorContains(t, err, "storage failed")
			}
			if err == nil {
				continue // the request does not use what fails
			}
			failed++
			require.Equal(t, before, m.stored(), "%s %s after a failing %s", req.Operation, req.Path, name)
			if coded, ok := err.(logical.HTTPCodedError); ok { //nolint:errorlint // see refused
				require.Equal(t, http.StatusInternalServerError, coded.Code())
				require.Contains(t, err.Error(), "storage failed")
			}
			m.ok(req.Operation, req.Path, req.Data) // and all is well again
		}
		require.NotZero(t, failed, name)
	}
}

func TestNothingIsTouchedBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.storage.Underlying().FailGet(true)
	m.storage.Underlying().FailPut(true)
	m.storage.Underlying().FailList(true)
	m.start()
	require.NoError(t, m.backend.periodic(t.Context(), &logical.Request{Storage: m.storage}))
	require.Empty(t, m.amazon.Requests())
}

// Vault makes backends without storage to ask for their metadata.
func TestMetadataMode(t *testing.T) {
	t.Parallel()
	made, err := Factory(Options{Version: "v1.2.3"})(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: logical.TestSystemView()})
	require.NoError(t, err)
	require.Equal(t, logical.TypeLogical, made.Type())
	require.Equal(t, "v1.2.3", made.(logical.PluginVersioner).PluginVersion().Version)
	require.Contains(t, made.SpecialPaths().SealWrapStorage, "config")
	made.Cleanup(context.Background())
	_, err = Factory(Options{})(t.Context(), nil)
	require.Error(t, err)
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state     consts.ReplicationState
		forwarded func(req logical.Request) bool
	}{
		"performance standby": {consts.ReplicationPerformanceStandby, func(req logical.Request) bool {
			return req.Operation != logical.ReadOperation && req.Operation != logical.ListOperation || slices.Contains([]string{"token", "grantless", "restricted"}, strings.Split(req.Path, "/")[0])
		}},
		"performance secondary": {consts.ReplicationPerformanceSecondary, func(req logical.Request) bool {
			return req.Operation != logical.ReadOperation && req.Operation != logical.ListOperation && !strings.HasPrefix(req.Path, "lwa/")
		}},
	} {
		m := configured(t)
		requests := everyRequest(m)
		m.replication = c.state
		m.start()
		for _, req := range requests {
			_, err := m.do(req.Operation, req.Path, req.Data)
			if c.forwarded(req) {
				require.ErrorIs(t, err, logical.ErrReadOnly, "%s: %s %s", name, req.Operation, req.Path)
			} else {
				require.NoError(t, err, "%s: %s %s", name, req.Operation, req.Path)
			}
		}
	}
}

// A write that storage refuses as read-only is Vault's to forward.
func TestReadOnlyStorage(t *testing.T) {
	t.Parallel()
	m := configured(t)
	err := m.backend.vaultError(&logical.Request{}, storageError(logical.ErrReadOnly))
	require.Equal(t, logical.ErrReadOnly, err, "bare, as gRPC needs it")
}

func TestSealWrapNamesRealKeys(t *testing.T) {
	t.Parallel()
	m := configured(t)
	refreshToken := m.amazon.Authorize(testClientID, "acme")
	m.ok(logical.UpdateOperation, "accounts/acme", map[string]any{"refresh_token": refreshToken})
	m.amazon.RevokeAuthorization("acme")
	m.clock.Advance(time.Hour)
	m.badRequest(logical.ReadOperation, "token/acme", nil)
	m.stores("status/acme")
	state := m.begin(map[string]any{"account": "new", "marketplace": "US"}).state
	wrapped := m.backend.SpecialPaths().SealWrapStorage
	used := map[string]bool{}
	for key, value := range m.stored() {
		isWrapped := false
		for _, pattern := range wrapped {
			if key == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(key, pattern) {
				isWrapped, used[pattern] = true, true
			}
		}
		if !isWrapped {
			require.NotContains(t, value, refreshToken, key)
			require.NotContains(t, value, testClientSecret, key)
			require.Regexp(t, "^(status|authorization|role)/", key, "what else is not sealed?")
			require.NotContains(t, value, state, key)
		}
	}
	require.Len(t, used, len(wrapped), "a pattern that matches no key seals nothing")
}

func TestInvalidateComparesStorageKeys(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.read("token/acme")
	m.storage.Underlying().FailGet(true)
	m.backend.InvalidateKey(t.Context(), "accounts/acme") // the path, not the key
	m.read("token/acme")
	m.backend.InvalidateKey(t.Context(), "account/acme")
	m.refused(http.StatusInternalServerError, logical.ReadOperation, "token/acme", nil)
	m.storage.Underlying().FailGet(false)
	m.read("token/acme")
	require.Equal(t, 1, m.amazon.Exchanges("acme"))
}

func TestPathHelp(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	for path, want := range map[string]string{"": "Selling Partner", "config": "client_secret", "accounts/acme": "refresh_token", "accounts/": "key_info", "token/acme": "x-amz-access-token", "authorize/url": "reauthorize=true", "authorize/callback": "spent", "migrate/acme": "2024-03-27", "grantless/notifications": "client-credential-rotation", "roles/": "roles", "roles/x": "dataElements", "restricted/x/acme": "path_parameters=", "lwa/token/acme": "grant_type=refresh_token", "lwa/grantless/notifications": "client_credentials", "info": "SPAPI_ALLOWED_ENDPOINTS"} {
		resp, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.HelpOperation, Path: path, Storage: m.storage})
		require.NoError(t, err)
		require.Contains(t, resp.Data["help"], want, path)
		require.NotContains(t, resp.Data["help"], "  \n", path)
	}
}

func TestSensitiveFieldsAreMarked(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	check := func(where string, fields map[string]*framework.FieldSchema) {
		for name, field := range fields {
			if slices.Contains([]string{"client_secret", "refresh_token", "access_token", "restricted_data_token", "state", "spapi_oauth_code", "mws_auth_token", "amazon_state"}, name) {
				require.True(t, field.DisplayAttrs != nil && field.DisplayAttrs.Sensitive, "%s of %s", name, where)
			}
		}
	}
	for _, path := range m.backend.Paths {
		check(path.Pattern, path.Fields)
		for _, handler := range path.Operations {
			for _, responses := range handler.Properties().Responses {
				for _, response := range responses {
					check(path.Pattern, response.Fields)
					require.NotContains(t, response.Fields, "client_secret")
					if !strings.HasPrefix(path.Pattern, lwaTokenPrefix) { // which echoes
						require.NotContains(t, response.Fields, "refresh_token")
					}
				}
			}
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	m := configured(t)
	info := m.read("info")
	require.Equal(t, "v1.2.3", info["version"])
	require.Equal(t, "abc", info["commit"])
	require.Equal(t, 1, info["accounts"])
	require.Contains(t, info["endpoints"], "https://api.amazon.com/auth/o2/token")
	require.Equal(t, []string{m.amazon.URL()}, info["allowed_endpoints"])
}
