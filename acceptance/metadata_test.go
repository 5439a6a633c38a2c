// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const developmentVersion = "v0.0.0-dev"

func TestPluginVersion(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	binary, err := vaulttest.PluginBinary(ctx)
	require.NoError(t, err)
	require.NoError(t, shared.RegisterPlugin(ctx, "versioned", binary, developmentVersion, nil))
	stdout, _, err := shared.CLI(ctx, "plugin", "info", "-version="+developmentVersion, "secret", "versioned")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^version\s+`+developmentVersion+`$`, stdout)
	require.Regexp(t, `(?m)^builtin\s+false$`, stdout)

	m := shared.newMount(t)
	mounts := m.sys().ok(t, http.MethodGet, "sys/mounts", nil)
	about, ok := mounts.Data[m.path+"/"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, developmentVersion, about["running_plugin_version"])
	require.Equal(t, plugin, about["type"])
	require.Equal(t, developmentVersion, m.ok(t, http.MethodGet, "info", nil).text("version"))
}

func TestOpenAPIListsAllOperations(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(m.sys().ok(t, http.MethodGet, "sys/internal/specs/openapi", nil).Raw, &document))
	operations := map[string][]string{}
	for path, item := range document.Paths {
		path, ours := strings.CutPrefix(path, "/"+m.path+"/")
		for _, operation := range []string{"delete", "get", "patch", "post"} {
			if _, listed := item[operation]; ours && listed {
				operations[path] = append(operations[path], operation)
			}
		}
	}
	require.Equal(t, map[string][]string{
		"config":                      {"delete", "get", "patch", "post"},
		"accounts/":                   {"get"},
		"accounts/{account}":          {"delete", "get", "patch", "post"},
		"authorize/url":               {"post"},
		"authorize/callback":          {"post"},
		"migrate/{account}":           {"post"},
		"token/{account}":             {"get"},
		"grantless/{scope}":           {"get"},
		"roles/":                      {"get"},
		"roles/{role}":                {"delete", "get", "patch", "post"},
		"restricted/{role}/{account}": {"get"},
		"lwa/token/{account}":         {"post"},
		"lwa/grantless/{scope}":       {"post"},
		"info":                        {"get"},
	}, operations)
}

func TestPathHelp(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	for path, mentions := range map[string][]string{
		"":                         {"Selling Partner", "config", "accounts", "authorize", "migrate", "token", "grantless", "roles", "restricted", "lwa"},
		"config":                   {"client_id", "client_secret", "lwa_endpoint", "180 days", "never returned"},
		"accounts":                 {"key_info", "after", "limit", "expires_before"},
		"accounts/acme":            {"refresh_token", "fingerprint", "enabled", "verify"},
		"authorize/url":            {"marketplace", "reauthorize", "force", "amazon_callback_uri"},
		"migrate/acme":             {"mws_auth_token", "2024-03-27"},
		"token/acme":               {"min_ttl", "x-amz-access-token", "rotation_period"},
		"grantless/notifications":  {"min_ttl", "client-credential-rotation", "migration", "role in Seller Central"},
		"roles":                    {"List the roles"},
		"roles/shipping":           {"restricted_resources", "dataElements", "allowed_accounts", "path_parameters", "target_application"},
		"restricted/shipping/acme": {"x-amz-access-token", "path_parameters=reportDocumentId", "min_ttl", "429"},
		"lwa/token/acme":           {"grant_type", "Vault Proxy", "55 minutes", "no lease"},
		"lwa/grantless/migration":  {"client_credentials", "scope"},
		"info":                     {"SPAPI_ALLOWED_ENDPOINTS", "allowed_endpoints"},
	} {
		stdout, _, err := m.stage.CLI(t.Context(), "path-help", m.path+"/"+path)
		require.NoError(t, err)
		for _, mention := range mentions {
			require.Contains(t, stdout, mention, "path-help of %q", path)
		}
	}
}
