// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The policy of an application opens the tokens of its account and nothing else.
func TestAppPolicyOpensOneAccountOnly(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.addAccount(t, "globex")
	app := m.withPolicy(t, m.appPolicy(t, "acme"))

	require.NotEmpty(t, app.ok(t, http.MethodGet, "token/acme", nil).accessToken())
	for _, request := range []struct{ method, path string }{
		{http.MethodGet, "token/globex"},
		{http.MethodGet, "token/acme2"},
		{http.MethodGet, "accounts/acme"},
		{http.MethodPost, "accounts/acme"},
		{http.MethodPatch, "accounts/acme"},
		{http.MethodDelete, "accounts/acme"},
		{"LIST", "accounts/"},
		{http.MethodGet, "accounts/?list=true"},
		{http.MethodGet, "config"},
		{http.MethodPost, "config"},
		{http.MethodDelete, "config"},
		{http.MethodGet, "info"},
	} {
		var body any
		if request.method == http.MethodPost || request.method == http.MethodPatch {
			body = map[string]any{"region": "eu"}
		}
		app.refused(t, http.StatusForbidden, request.method, request.path, body, "permission denied")
	}
	require.Equal(t, "na", m.ok(t, http.MethodGet, "accounts/acme", nil).text("region"))
}

// appPolicy writes the example's policy of an application, for one account.
func (m *mount) appPolicy(t *testing.T, account string) string {
	t.Helper()
	policy := strings.ReplaceAll(example(t, "policies/app.hcl"), "acme", account)
	return m.writePolicy(t, "app-"+account, policy)
}

// writePolicy writes a policy for this mount that was written for spapi/.
func (m *mount) writePolicy(t *testing.T, name, policy string) string {
	t.Helper()
	name = m.path + "-" + name
	require.NoError(t, m.stage.WritePolicy(t.Context(), name, strings.ReplaceAll(policy, `"spapi/`, `"`+m.path+`/`)))
	return name
}

// withPolicy is the mount as a Vault token sees it that has this policy alone.
func (m *mount) withPolicy(t *testing.T, name string) vault {
	t.Helper()
	token, err := m.stage.CreateToken(t.Context(), []string{name}, "10m")
	require.NoError(t, err)
	return m.as(token)
}

func TestExamplePoliciesOfPeople(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	refreshToken := m.addAccount(t, "acme")
	m.addRoles(t)
	auditor := m.withPolicy(t, m.writePolicy(t, "auditor", example(t, "policies/auditor.hcl")))
	operator := m.withPolicy(t, m.writePolicy(t, "operator", example(t, "policies/operator.hcl")))

	for _, person := range []vault{auditor, operator} {
		person.ok(t, "LIST", "accounts", nil)
		person.ok(t, http.MethodGet, "accounts/acme", nil)
		person.ok(t, "LIST", "roles", nil)
		person.ok(t, http.MethodGet, "roles/shipping", nil)
		for _, token := range []string{"token/acme", "restricted/shipping/acme", "grantless/notifications"} {
			person.refused(t, http.StatusForbidden, http.MethodGet, token, nil, "permission denied")
		}
		for _, token := range []string{"lwa/token/acme", "lwa/grantless/notifications"} {
			person.refused(t, http.StatusForbidden, http.MethodPost, token, map[string]any{"grant_type": "refresh_token"}, "permission denied")
		}
	}
	auditor.refused(t, http.StatusForbidden, http.MethodGet, "config", nil, "permission denied")
	auditor.refused(t, http.StatusForbidden, http.MethodPost, "accounts/acme", map[string]any{"enabled": false}, "permission denied")
	auditor.refused(t, http.StatusForbidden, http.MethodPost, "roles/shipping", map[string]any{"allowed_accounts": "*"}, "permission denied")
	auditor.refused(t, http.StatusForbidden, http.MethodDelete, "roles/shipping", nil, "permission denied")

	operator.ok(t, http.MethodGet, "config", nil)
	operator.ok(t, http.MethodGet, "info", nil)
	operator.ok(t, http.MethodPatch, "config", map[string]any{"request_timeout": "5s"})
	operator.ok(t, http.MethodPost, "accounts/globex", map[string]any{"refresh_token": refreshToken})
	operator.ok(t, http.MethodDelete, "accounts/globex", nil)
	operator.ok(t, http.MethodPatch, "roles/shipping", map[string]any{"allowed_accounts": "acme"})
	operator.ok(t, http.MethodPost, "roles/shipping-2", map[string]any{"restricted_resources": `[{"method": "GET", "path": "/orders/v0/orders"}]`})
	operator.ok(t, http.MethodDelete, "roles/shipping-2", nil)
	for field, value := range map[string]any{"lwa_endpoint": m.amazon.LWAEndpoint(), "sp_api_endpoint": m.amazon.URL(), "force": true} {
		operator.refused(t, http.StatusForbidden, http.MethodPost, "config", map[string]any{field: value}, "permission denied")
		operator.refused(t, http.StatusForbidden, http.MethodPatch, "config", map[string]any{field: value}, "permission denied")
	}
}

// One policy for a whole fleet: each identity gets the account that its entity's
// metadata, its entity's name or its login name says.
func TestTemplatedPolicyOpensOwnAccountOnly(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	accounts := []string{"by-metadata", "by-entity-name", "by-login", "foreign"}
	for _, account := range accounts {
		m.addAccount(t, account)
	}
	sys := m.sys()
	sys.ok(t, http.MethodPost, "sys/auth/"+m.path, map[string]any{"type": "userpass"})
	accessor := sys.ok(t, http.MethodGet, "sys/auth/"+m.path, nil).text("accessor")
	// The example has the other two commented out: an application keeps one.
	policy := strings.NewReplacer("# path", "path", "#   capabilities", "  capabilities", "# }", "}", "auth_userpass_12345678", accessor).
		Replace(example(t, "policies/app-templated.hcl"))
	require.Equal(t, 3, strings.Count(policy, "\npath "))
	m.writePolicy(t, "fleet", policy)

	m.addIdentity(t, accessor, "ci-runner", "entity-1", map[string]any{"spapi_account": "by-metadata"})
	m.addIdentity(t, accessor, "ci-runner-2", "by-entity-name", nil)
	m.addIdentity(t, accessor, "by-login", "entity-3", nil)
	for login, own := range map[string]string{"ci-runner": "by-metadata", "ci-runner-2": "by-entity-name", "by-login": "by-login"} {
		app := m.as(m.login(t, login))
		for _, account := range accounts {
			if account == own {
				require.Equal(t, own, app.ok(t, http.MethodGet, "token/"+account, nil).text("account"))
				continue
			}
			app.refused(t, http.StatusForbidden, http.MethodGet, "token/"+account, nil, "permission denied")
		}
	}
}

// addIdentity makes a user of the auth method at the mount's own path, and the
// entity behind it.
func (m *mount) addIdentity(t *testing.T, accessor, login, entity string, metadata map[string]any) {
	t.Helper()
	sys := m.sys()
	sys.ok(t, http.MethodPost, "auth/"+m.path+"/users/"+login, map[string]any{"password": "pass-" + login, "token_policies": m.path + "-fleet"})
	id := sys.ok(t, http.MethodPost, "identity/entity", map[string]any{"name": entity, "metadata": metadata}).text("id")
	sys.ok(t, http.MethodPost, "identity/entity-alias", map[string]any{"name": login, "canonical_id": id, "mount_accessor": accessor})
}

func (m *mount) login(t *testing.T, login string) string {
	t.Helper()
	a := m.sys().ok(t, http.MethodPost, "auth/"+m.path+"/login/"+login, map[string]any{"password": "pass-" + login})
	require.NotEmpty(t, a.Auth.EntityID)
	return a.Auth.ClientToken
}
