// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is one that a policy opens or not.
type request struct{ method, path, grant string }

func (r request) body() any {
	if r.grant == "" {
		return nil
	}
	return map[string]any{"grant_type": r.grant}
}

// tokenRequests are all ways to a token of the accounts acme and other, with the
// roles shipping and other, by a name for each.
func tokenRequests() map[string]request {
	requests := map[string]request{}
	for _, path := range []string{
		"token/acme", "token/other", "grantless/notifications", "grantless/client-credential-rotation",
		"restricted/shipping/acme", "restricted/shipping/other", "restricted/other/acme", "restricted/other/other",
	} {
		requests[path] = request{http.MethodGet, path, ""}
	}
	for _, path := range []string{"lwa/token/acme", "lwa/token/other"} {
		requests[path] = request{http.MethodPost, path, "refresh_token"}
	}
	for _, path := range []string{"lwa/grantless/notifications", "lwa/grantless/client-credential-rotation"} {
		requests[path] = request{http.MethodPost, path, "client_credentials"}
	}
	return requests
}

// Each example's policy opens what it says, and no other way to any token.
func TestPoliciesOpenWhatTheyNameOnly(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	m.amazon.AllowScopes(m.clientID, "sellingpartnerapi::notifications", "sellingpartnerapi::client_credential:rotation")
	m.addAccount(t, "other")
	m.ok(t, http.MethodPost, "roles/other", map[string]any{
		"restricted_resources": `[{"method": "GET", "path": "/orders/v0/orders/{orderId}/buyerInfo"}]`, "allowed_accounts": "*",
	})
	everything := tokenRequests()
	for name, r := range everything {
		require.Equal(t, http.StatusOK, m.call(t, r.method, r.path, r.body()).Status, "%s can be had", name)
	}
	for policy, opened := range map[string][]string{
		example(t, "policies/app.hcl"):                                       {"token/acme"},
		example(t, "policies/app-restricted.hcl"):                            {"restricted/shipping/acme"},
		example(t, "sdks/policy.hcl"):                                        {"lwa/token/acme", "lwa/grantless/notifications"},
		`path "spapi/lwa/token/acme" { capabilities = ["update"] }`:          {"lwa/token/acme"},
		`path "spapi/grantless/notifications" { capabilities = ["read"] }`:   {"grantless/notifications"},
		`path "spapi/restricted/shipping/*" { capabilities = ["read"] }`:     {"restricted/shipping/acme", "restricted/shipping/other"},
		`path "spapi/restricted/+/acme" { capabilities = ["read"] }`:         {"restricted/shipping/acme", "restricted/other/acme"},
		`path "spapi/lwa/grantless/+" { capabilities = ["update"] }`:         {"lwa/grantless/notifications", "lwa/grantless/client-credential-rotation"},
		`path "spapi/token/+" { capabilities = ["read", "update", "list"] }`: {"token/acme", "token/other"},
	} {
		reader := m.withPolicy(t, m.writePolicy(t, "reader", policy))
		for name, r := range everything {
			if slices.Contains(opened, name) {
				require.Equal(t, http.StatusOK, reader.call(t, r.method, r.path, r.body()).Status, "%s\n%s", name, policy)
				continue
			}
			reader.refused(t, http.StatusForbidden, r.method, r.path, r.body(), "permission denied")
		}
		reader.checkNoRoles(t)
	}
}

// checkNoRoles is about who only reads: what a role opens is for others to see and
// to say.
func (v vault) checkNoRoles(t *testing.T) {
	t.Helper()
	for _, r := range []request{
		{http.MethodGet, "roles/shipping", ""},
		{"LIST", "roles", ""},
		{http.MethodDelete, "roles/shipping", ""},
		{http.MethodGet, "accounts/acme", ""},
		{http.MethodGet, "config", ""},
	} {
		v.refused(t, http.StatusForbidden, r.method, r.path, nil, "permission denied")
	}
	for _, method := range []string{http.MethodPost, http.MethodPatch} {
		v.refused(t, http.StatusForbidden, method, "roles/shipping", map[string]any{"allowed_accounts": "*"}, "permission denied")
	}
}

// A role that does not allow an account gives no token of it, whatever the policy
// says; a policy that does not name it gives none, whatever the role says.
func TestRoleAndPolicyBothHaveToAllow(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	m.addAccount(t, "other")
	m.ok(t, http.MethodPatch, "roles/shipping", map[string]any{"allowed_accounts": "ac*"})
	reader := m.withPolicy(t, m.writePolicy(t, "reader", `path "spapi/restricted/+/+" { capabilities = ["read"] }`))
	reader.ok(t, http.MethodGet, "restricted/shipping/acme", nil)
	reader.refused(t, http.StatusForbidden, http.MethodGet, "restricted/shipping/other", nil, `role "shipping" does not allow account "other"`)

	m.ok(t, http.MethodPatch, "roles/shipping", map[string]any{"allowed_accounts": []string{"other"}})
	reader.ok(t, http.MethodGet, "restricted/shipping/other", nil)
	reader.refused(t, http.StatusForbidden, http.MethodGet, "restricted/shipping/acme", nil, "does not allow")
}

// The templated variant of the example, which is a comment there.
func TestTemplatedPolicyOpensOwnRestrictedTokensOnly(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	m.addAccount(t, "other")
	sys := m.sys()
	sys.ok(t, http.MethodPost, "sys/auth/"+m.path, map[string]any{"type": "userpass"})
	accessor := sys.ok(t, http.MethodGet, "sys/auth/"+m.path, nil).text("accessor")
	_, templated, found := strings.Cut(example(t, "policies/app-restricted.hcl"), "in app-templated.hcl:\n")
	require.True(t, found)
	m.writePolicy(t, "fleet", strings.ReplaceAll(templated, "# ", ""))
	m.addIdentity(t, accessor, "shipping-app", m.path+"-shipping", map[string]any{"spapi_account": "acme"})

	app := m.as(m.login(t, "shipping-app"))
	require.Equal(t, "acme", app.ok(t, http.MethodGet, "restricted/shipping/acme", nil).text("account"))
	for _, path := range []string{"restricted/shipping/other", "restricted/report/acme?path_parameters=reportDocumentId=1", "token/acme"} {
		app.refused(t, http.StatusForbidden, http.MethodGet, path, nil, "permission denied")
	}
}

// The roles of the examples are without doubts, and Amazon gives tokens for them.
func TestExampleRoles(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	page := example(t, "../docs/restricted.md")
	for role, parameter := range map[string]string{"shipping": "", "labels": "", "report": "reportDocumentId"} {
		file, err := filepath.Abs(filepath.Join("..", "examples", "roles", role+".json"))
		require.NoError(t, err)
		name := "example-" + role
		stdout, stderr, err := m.stage.CLI(t.Context(), "write", m.path+"/roles/"+name,
			"restricted_resources=@"+file, "path_parameters="+parameter, "allowed_accounts=acme")
		require.NoError(t, err)
		require.NotContains(t, stdout+stderr, "WARNING")
		read := derivedRead{lease: "restricted/" + name + "/acme", member: "restricted_data_token"}
		if parameter != "" {
			read.query = "?path_parameters=" + parameter + "%3Damzn1.spdoc.1.4.na.1234"
		}
		token, _ := m.derive(t, read)
		opened, _ := m.amazon.RestrictedOf(token)
		require.NotEmpty(t, opened.Resources)
		require.Contains(t, page, example(t, "roles/"+role+".json"), "the documentation shows it")
	}
	require.Contains(t, example(t, "../docs/agent.md"), example(t, "agent/restricted.json.ctmpl"))
}
