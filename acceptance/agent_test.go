// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// agentLifetime is what Amazon gives tokens in these tests. Vault Agent reads a
// lease again after at most 95 % of it; the rest is what a slow machine has.
const agentLifetime = 24 * time.Second

func TestAgentRendersLeasedTokens(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.amazon.SetTokenLifetime(agentLifetime)
	m.addAccount(t, "acme")
	m.checkAgent(t, m.exampleAgent(t, "leased.hcl"), 2)
	require.Positive(t, m.leases(t, "acme"))
}

func TestAgentRendersUnleasedTokens(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "generate_lease", false)
	m.amazon.SetTokenLifetime(agentLifetime)
	m.addAccount(t, "acme")
	m.checkAgent(t, m.exampleAgent(t, "unleased.hcl"), 3)
	require.Zero(t, m.leases(t, "acme"))
}

// The Vault token of this agent may read token/acme, and beside that what Vault's
// default policy gives: an agent has to look up its own token.
func TestAgentNeedsTheAppPolicyOnly(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t, "generate_lease", false)
	m.amazon.SetTokenLifetime(agentLifetime)
	m.addAccount(t, "acme")
	token, err := m.stage.CreateToken(t.Context(), []string{m.appPolicy(t, "acme")}, "10m",
		func(req *api.TokenCreateRequest) { req.NoDefaultPolicy = false })
	require.NoError(t, err)
	m.as(token).refused(t, http.StatusForbidden, http.MethodGet, "accounts/acme", nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
	m.checkAgent(t, agentSetup{rendered: filepath.Join(dir, "token.json"), config: fmt.Sprintf(`
auto_auth {
  method "token_file" { config = { token_file_path = %q } }
}
template {
  contents    = "{{ with secret \"%s/token/acme\" }}{{ .Data | toJSON }}{{ end }}"
  destination = %q
}`, file, m.path, filepath.Join(dir, "token.json"))}, 2)
}

// agentSetup is an agent's configuration and the file that it renders.
type agentSetup struct{ config, rendered string }

// exampleAgent is an agent as the examples have it, for the account acme.
func (m *mount) exampleAgent(t *testing.T, name string) agentSetup {
	t.Helper()
	auth, roleID, secretID := m.appRole(t, "acme")
	dir := t.TempDir()
	for file, content := range map[string]string{
		"role-id": roleID, "secret-id": secretID,
		"token.json.ctmpl": strings.ReplaceAll(example(t, "agent/token.json.ctmpl"), "spapi/token/", m.path+"/token/"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	return agentSetup{rendered: filepath.Join(dir, "token.json"), config: strings.NewReplacer(
		"/etc/spapi", dir, "/run/spapi", dir, "https://vault.example.com:8200", m.stage.Address(),
		`method "approle" {`, `method "approle" {`+"\n"+`mount_path = "`+auth+`"`,
	).Replace(example(t, "agent/"+name))}
}

// example returns a file of the examples that users copy.
func example(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "examples", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(content)
}

// appRole makes a role that may read the tokens of an account.
func (m *mount) appRole(t *testing.T, account string) (auth, roleID, secretID string) {
	t.Helper()
	return m.roleWith(t, m.appPolicy(t, account))
}

// roleWith makes an AppRole that has a policy.
func (m *mount) roleWith(t *testing.T, policy string) (auth, roleID, secretID string) {
	t.Helper()
	sys, auth := m.sys(), "auth/"+m.path
	sys.ok(t, http.MethodPost, "sys/"+auth, map[string]any{"type": "approle"})
	sys.ok(t, http.MethodPost, auth+"/role/app", map[string]any{"token_policies": policy, "token_period": "24h"})
	roleID = sys.ok(t, http.MethodGet, auth+"/role/app/role-id", nil).text("role_id")
	secretID = sys.ok(t, http.MethodPost, auth+"/role/app/secret-id", nil).text("secret_id")
	return auth, roleID, secretID
}

// checkAgent runs an agent until it has rendered a number of different tokens,
// each of which was valid when it was rendered and when it was replaced.
func (m *mount) checkAgent(t *testing.T, setup agentSetup, tokens int) {
	t.Helper()
	agent, err := m.stage.StartAgent(t.Context(), setup.config)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(agent.Logs())
		}
	})
	var current string
	for range tokens {
		previous := current
		current = nextRendered(t, setup.rendered, previous)
		_, live := m.amazon.AccountOf(current)
		require.True(t, live, "valid when rendered")
		if previous != "" {
			_, live = m.amazon.AccountOf(previous)
			require.True(t, live, "valid until it was replaced")
		}
	}
	require.False(t, agent.Ended())
	require.NoError(t, agent.Stop(t.Context()))
	require.NotContains(t, agent.Logs(), "[ERROR]")
	require.NotContains(t, agent.Logs(), "panic")
}

// nextRendered waits until the file holds another token than the previous one.
func nextRendered(t *testing.T, path, previous string) string {
	t.Helper()
	return fmt.Sprint(nextRendering(t, path, "access_token", previous)["access_token"])
}

// nextRendering is what an agent renders next, with another token in this member.
func nextRendering(t *testing.T, path, member, previous string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*agentLifetime)
	defer cancel()
	var rendered map[string]any
	require.NoError(t, vaulttest.WaitFor(ctx, "the agent to render", func() (bool, error) {
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) || len(content) == 0 {
			return false, nil
		}
		rendered = nil
		if err := errors.Join(err, json.Unmarshal(content, &rendered)); err != nil {
			return false, err
		}
		return rendered[member] != previous, nil
	}))
	require.NotEmpty(t, rendered[member])
	return rendered
}
