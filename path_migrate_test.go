// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const testMWSToken = "amzn.mws.00000000-1111-2222-3333-444444444444"

// migrationData is a good migration, which Amazon offers again for it.
func (m *mount) migrationData() map[string]any {
	m.ok(logical.PatchOperation, "config", map[string]any{"sp_api_endpoint": m.amazon.SPAPIEndpoint()})
	m.amazon.OfferMigration(testClientID, testPartner, "1234-5678", testMWSToken)
	return map[string]any{"selling_partner_id": testPartner, "developer_id": "1234-5678", "mws_auth_token": testMWSToken}
}

func TestMigration(t *testing.T) {
	t.Parallel()
	m := configured(t)
	answer := m.ok(logical.UpdateOperation, "migrate/shop", m.migrationData()).Data
	now := m.clock.Now()
	require.Equal(t, map[string]any{
		"account": "shop", "region": "na", "selling_partner_id": testPartner,
		"authorized_at": rfc3339(now), "authorization_expires_at": rfc3339(now.Add(365 * 24 * time.Hour)),
	}, answer)
	owner, live := m.amazon.AccountOf(m.read("token/shop")["access_token"].(string))
	require.True(t, live)
	require.Equal(t, testPartner, owner)
	for key, value := range m.stored() {
		require.NotContains(t, value, testMWSToken, key)
	}
	m.ok(logical.UpdateOperation, "migrate/shop", m.migrationData()) // again, for the same partner
	m.ok(logical.PatchOperation, "accounts/shop", map[string]any{"region": "na"})
	require.Equal(t, "eu", m.ok(logical.UpdateOperation, "migrate/other", withField(m.migrationData(), "region", "eu")).Data["region"])
}

func withField(data map[string]any, field string, value any) map[string]any {
	data = maps.Clone(data)
	if data[field] = value; value == nil {
		delete(data, field)
	}
	return data
}

// What Amazon answers now is not known; all that it may be is told plainly.
func TestMigrationIsGone(t *testing.T) {
	t.Parallel()
	m := configured(t)
	data := map[string]any{"selling_partner_id": testPartner, "developer_id": "1234-5678", "mws_auth_token": testMWSToken}
	m.ok(logical.PatchOperation, "config", map[string]any{"sp_api_endpoint": m.amazon.SPAPIEndpoint()})
	before := m.stored()
	gone := func() {
		t.Helper()
		text := m.badRequest(logical.UpdateOperation, "migrate/shop", data)
		require.Contains(t, text, "Amazon removed the migration of MWS authorizations on 2024-03-27")
		require.Contains(t, text, "vault write spapi/authorize/url account=shop")
		require.NotContains(t, text, testMWSToken)
		require.Equal(t, before, m.stored())
	}
	gone() // by the scope
	for status, code := range map[int]string{http.StatusForbidden: "MissingAuthenticationToken", http.StatusNotFound: "NotFound", http.StatusGone: ""} {
		m.amazon.RemoveMigrationAPI(status, code)
		gone()
	}
}

func TestMigrationThatIsRefused(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"selling_partner_id": "A2OTHER"})
	good := m.migrationData()
	before := m.stored()
	for name, c := range map[string]struct {
		path  string
		field string
		value any
		says  string
	}{
		"no partner":       {"shop", "selling_partner_id", nil, `"selling_partner_id": is required`},
		"bad partner":      {"shop", "selling_partner_id", "A?b=c", `"selling_partner_id"`},
		"no developer":     {"shop", "developer_id", nil, `"developer_id": is required`},
		"bad developer":    {"shop", "developer_id", "a b", `"developer_id"`},
		"long developer":   {"shop", "developer_id", strings.Repeat("1", 65), `"developer_id"`},
		"no token":         {"shop", "mws_auth_token", nil, `"mws_auth_token": is required`},
		"unknown token":    {"shop", "mws_auth_token", "amzn.mws.other", "InvalidInput: Invalid input."},
		"bad region":       {"shop", "region", "us", `"region"`},
		"another partner":  {"acme", "region", "na", `"selling_partner_id"`},
		"dots in a name":   {"a..b", "region", "na", "two dots"},
		"unexpected field": {"shop", "marketplace", "US", `"marketplace"`},
	} {
		text := m.badRequest(logical.UpdateOperation, "migrate/"+c.path, withField(good, c.field, c.value))
		require.Contains(t, text, c.says, name)
		require.NotContains(t, text, testMWSToken, name)
		require.Equal(t, before, m.stored(), name)
	}
	require.Zero(t, m.amazon.CodeExchanges())
}

// An endpoint that the registration does not allow any more gets no MWS token,
// although it stands in the config.
func TestMigrationToAForbiddenEndpoint(t *testing.T) {
	t.Parallel()
	m := configured(t)
	data := m.migrationData()
	elsewhere, err := amazontest.New(amazontest.Options{})
	require.NoError(t, err)
	t.Cleanup(elsewhere.Close)
	entry, err := m.storage.Get(t.Context(), "config")
	require.NoError(t, err)
	entry.Value = []byte(strings.Replace(string(entry.Value), `"sp_api_endpoint":"`+m.amazon.URL(), `"sp_api_endpoint":"`+elsewhere.URL(), 1))
	require.Contains(t, string(entry.Value), elsewhere.URL())
	require.NoError(t, m.storage.Put(t.Context(), entry))
	m.start()
	require.Contains(t, m.badRequest(logical.UpdateOperation, "migrate/shop", data), "sp_api_endpoint must be one of")
	require.Zero(t, elsewhere.SellingPartnerRequests())
	require.NotContains(t, m.stored(), "account/shop")
}
