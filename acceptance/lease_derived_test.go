// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// derivedRead is a read of a token that is not an access token of an account.
type derivedRead struct {
	lease  string // where its leases are
	query  string
	member string // of the answer that holds the token
}

func (r derivedRead) path() string { return r.lease + r.query }

func grantlessRead() derivedRead {
	return derivedRead{lease: "grantless/notifications", member: "access_token"}
}

func restrictedReads() []derivedRead {
	return []derivedRead{
		{lease: "restricted/shipping/acme", member: "restricted_data_token"},
		{lease: "restricted/report/acme", query: "?path_parameters=reportDocumentId=amzn1.spdoc.1", member: "restricted_data_token"},
	}
}

func derivedReads() []derivedRead { return append(restrictedReads(), grantlessRead()) }

// newDerivingMount is a mount whose SP-API is the simulated one, with the account
// acme and roles for orders and for reports.
func newDerivingMount(t *testing.T, config ...any) *mount {
	t.Helper()
	m := shared.newBareMount(t, strings.ToLower(t.Name()))
	m.writeConfig(t, append(config, "sp_api_endpoint", m.amazon.SPAPIEndpoint())...)
	m.addAccount(t, "acme")
	m.addRoles(t)
	return m
}

// addRoles writes a role for shipping, which Amazon resolves, and one for reports,
// whose documents the reader names.
func (m *mount) addRoles(t *testing.T) {
	t.Helper()
	m.ok(t, http.MethodPost, "roles/shipping", map[string]any{
		"restricted_resources": []map[string]any{{"method": "GET", "path": "/orders/v0/orders/{orderId}/address"}},
		"allowed_accounts":     "*",
	})
	m.ok(t, http.MethodPost, "roles/report", map[string]any{
		"restricted_resources": []map[string]any{{"method": "GET", "path": "/reports/2021-06-30/documents/{reportDocumentId}"}},
		"path_parameters":      "reportDocumentId",
		"allowed_accounts":     "*",
	})
}

// derive reads a token that must be given.
func (m *mount) derive(t *testing.T, r derivedRead) (token string, a *answer) {
	t.Helper()
	a = m.ok(t, http.MethodGet, r.path(), nil)
	token = a.text(r.member)
	if r.member == "access_token" {
		_, live := m.amazon.ScopesOf(token)
		require.True(t, live, "the token is valid at Amazon")
		return token, a
	}
	opened, live := m.amazon.RestrictedOf(token)
	require.True(t, live, "the token is valid at Amazon")
	require.Equal(t, "acme", opened.Account)
	return token, a
}

// leasesBelow counts the leases of a path.
func (m *mount) leasesBelow(t *testing.T, path string) int {
	t.Helper()
	keys, _ := m.sys().call(t, "LIST", "sys/leases/lookup/"+m.path+"/"+path+"/", nil).Data["keys"].([]any)
	return len(keys)
}

// What is asked with an account's token, or without any account, is leased as that
// token is: to the second, and not renewable.
func TestDerivedTokensAreLeased(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	for _, read := range derivedReads() {
		token, a := m.derive(t, read)
		require.Contains(t, a.LeaseID, m.path+"/"+read.lease+"/")
		require.False(t, a.Renewable)
		left := a.number(t, "expires_in")
		require.Equal(t, left, a.LeaseDuration)
		require.Positive(t, left)
		require.LessOrEqual(t, left, int64(3600))
		require.Equal(t, m.amazon.SPAPIEndpoint(), a.text("endpoint"))
		require.NotContains(t, a.Data, "ttl")
		require.NotContains(t, a.Data, "rotation_period")
		looked := m.sys().ok(t, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": a.LeaseID})
		require.LessOrEqual(t, looked.number(t, "ttl"), left)
		m.sys().refused(t, http.StatusBadRequest, http.MethodPut, "sys/leases/renew", map[string]any{"lease_id": a.LeaseID}, "lease is not renewable")

		calls := m.calls()
		again, b := m.derive(t, read)
		require.Equal(t, token, again)
		require.NotEqual(t, a.LeaseID, b.LeaseID)
		require.Equal(t, 2, m.leasesBelow(t, read.lease))
		require.Equal(t, calls, m.calls(), "the second read is served from memory")
	}
	_, a := m.derive(t, grantlessRead())
	require.Equal(t, amazontest.ScopeNotifications, a.text("scope"))
	require.NotContains(t, a.Data, "account")
}

// calls counts all requests that Amazon has got of the mount.
func (m *mount) calls() int { return m.amazon.Requests() + m.amazon.SellingPartnerRequests() }

func TestRevokedDerivedTokenIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	reads := derivedReads()
	before := make([]string, len(reads))
	leases := make([]string, len(reads))
	for i, read := range reads {
		token, a := m.derive(t, read)
		before[i], leases[i] = token, a.LeaseID
	}
	ofAccount := m.token(t, "acme")

	for i, read := range reads {
		m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultReset})
		m.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultReset})
		calls := m.calls()
		m.revoke(t, leases[i])
		m.sys().refused(t, http.StatusBadRequest, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": leases[i]}, "invalid lease")
		require.Equal(t, calls, m.calls(), "revoking calls nobody")
		m.amazon.ClearFaults()

		after, _ := m.derive(t, read)
		require.NotEqual(t, before[i], after, "%s: the next read is another token", read.lease)
		same, _ := m.derive(t, read)
		require.Equal(t, after, same)
		for j := i + 1; j < len(reads); j++ {
			other, _ := m.derive(t, reads[j])
			require.Equal(t, before[j], other, "%s has a lease of its own", reads[j].lease)
		}
	}
	require.Equal(t, ofAccount.accessToken(), m.token(t, "acme").accessToken(), "the account's own token stays")
	require.Equal(t, 1, m.amazon.Exchanges("acme"))
}

// A lease ends whether or not there still is what it was given for.
func TestRevokeNeedsNeitherRoleNorScope(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	var leases []string
	for _, read := range derivedReads() {
		_, a := m.derive(t, read)
		leases = append(leases, a.LeaseID)
	}
	m.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultReset})
	for _, path := range []string{"roles/shipping", "roles/report", "accounts/acme", "config"} {
		m.ok(t, http.MethodDelete, path, nil)
	}
	calls := m.calls()
	for _, lease := range leases {
		m.revoke(t, lease)
	}
	for _, read := range derivedReads() {
		require.Zero(t, m.leasesBelow(t, read.lease))
	}
	require.Equal(t, calls, m.calls(), "revoking calls nobody")
}

func TestUnleasedDerivedReads(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t, "generate_lease", false, "token_min_ttl", "10m")
	for _, read := range derivedReads() {
		_, a := m.derive(t, read)
		require.Empty(t, a.LeaseID)
		require.Zero(t, a.LeaseDuration)
		require.False(t, a.Renewable)
		require.Equal(t, int64(3600-600), a.number(t, "rotation_period"))
		require.InDelta(t, a.number(t, "expires_in")-600, a.number(t, "ttl"), 1)
		require.Zero(t, m.leasesBelow(t, read.lease))
	}
	m.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"generate_lease": true})
	for _, read := range restrictedReads() {
		_, a := m.derive(t, read)
		require.NotEmpty(t, a.LeaseID, "an account may differ from the config")
		require.NotContains(t, a.Data, "ttl")
	}
	_, a := m.derive(t, grantlessRead())
	require.Empty(t, a.LeaseID, "a scope is nobody's account")
}

// An answer in LWA's own shape has no room for a lease, and Vault keeps none.
func TestAnswersOfLWAAreNotLeased(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	for path, grant := range map[string]string{"lwa/token/acme": "refresh_token", "lwa/grantless/notifications": "client_credentials"} {
		for range 2 { // from Amazon, and from memory
			var members map[string]any
			require.NoError(t, json.Unmarshal(m.ok(t, http.MethodPost, path, map[string]any{"grant_type": grant}).Raw, &members))
			require.NotEmpty(t, members["access_token"])
			for _, member := range []string{"lease_id", "lease_duration", "renewable", "data", "ttl"} {
				require.NotContains(t, members, member)
			}
		}
	}
	m.sys().refused(t, http.StatusNotFound, "LIST", "sys/leases/lookup/"+m.path+"/", nil)
	m.derive(t, grantlessRead())
	m.sys().ok(t, http.MethodGet, "sys/leases/lookup/"+m.path+"/?list=true", nil)
}

// The example's template keeps a restricted data token in a file, over its renewal.
func TestAgentRendersRestrictedTokens(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	m.amazon.SetRestrictedLifetime(agentLifetime)
	setup := m.restrictedAgent(t)
	agent, err := m.stage.StartAgent(t.Context(), setup.config)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(agent.Logs())
		}
	})
	var current string
	for range 2 {
		previous := current
		current = nextRestricted(t, setup.rendered, previous)
		opened, live := m.amazon.RestrictedOf(current)
		require.True(t, live, "valid when rendered")
		require.Equal(t, "acme", opened.Account)
		if previous != "" {
			_, live = m.amazon.RestrictedOf(previous)
			require.True(t, live, "valid until it was replaced")
		}
	}
	require.NoError(t, agent.Stop(t.Context()))
	require.NotContains(t, agent.Logs(), "[ERROR]")
	require.Positive(t, m.leasesBelow(t, "restricted/shipping/acme"))
}

// restrictedAgent is the example's agent with the example's template and policy for
// restricted data tokens.
func (m *mount) restrictedAgent(t *testing.T) agentSetup {
	t.Helper()
	setup := m.exampleAgent(t, "leased.hcl")
	m.sys().ok(t, http.MethodPost, "auth/"+m.path+"/role/app", map[string]any{
		"token_policies": m.writePolicy(t, "restricted", example(t, "policies/app-restricted.hcl")),
	})
	template := filepath.Join(filepath.Dir(setup.rendered), "token.json.ctmpl")
	content := strings.ReplaceAll(example(t, "agent/restricted.json.ctmpl"), `"spapi/`, `"`+m.path+"/")
	require.NoError(t, os.WriteFile(template, []byte(content), 0o600))
	return setup
}

// nextRestricted is nextRendered for a restricted data token.
func nextRestricted(t *testing.T, path, previous string) string {
	t.Helper()
	rendered := nextRendering(t, path, "restricted_data_token", previous)
	require.NotEmpty(t, rendered["endpoint"])
	_, err := time.Parse(time.RFC3339, fmt.Sprint(rendered["expires_at"]))
	require.NoError(t, err)
	return fmt.Sprint(rendered["restricted_data_token"])
}
