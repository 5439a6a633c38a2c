// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// canary is a mount whose credentials hold markers, and all that it ever said.
type canary struct {
	*mount
	credentials scanner
	tokens      scanner
	states      scanner
	// echoed are refresh tokens that stand in the answer to what submitted them,
	// and nowhere else.
	echoed scanner

	mu      sync.Mutex
	heard   []utterance
	markers map[string]string
}

// utterance is an answer or an output, and what it is there to hold.
type utterance struct {
	where    string
	raw      []byte
	handsOut bool // an access token
	begins   bool // an authorization, with its state
	echoes   bool // what was submitted to it
}

// marker returns the marker of that name.
func (c *canary) marker(name string) string {
	if c.markers[name] == "" {
		c.markers[name] = newMarker()
		c.credentials.add(name, c.markers[name])
	}
	return c.markers[name]
}

func (c *canary) hear(where string, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	handsOut := strings.Contains(where, "token/") || strings.Contains(where, "grantless/") || strings.Contains(where, "restricted/")
	c.heard = append(c.heard, utterance{where, raw, handsOut, strings.Contains(where, "authorize/url"), strings.Contains(where, "POST lwa/token/")})
}

// cli runs a command; whether it succeeds is none of this test's business.
func (c *canary) cli(t *testing.T, args ...string) {
	t.Helper()
	stdout, stderr, _ := c.stage.CLI(t.Context(), args...)
	require.NotEmpty(t, stdout+stderr, "%v", args)
	c.hear(strings.Join(args, " "), []byte(stdout+stderr))
}

// read reads a token and remembers it.
func (c *canary) read(t *testing.T, account string) *answer {
	t.Helper()
	a := c.call(t, http.MethodGet, "token/"+account, nil)
	if a.Status == http.StatusOK {
		c.tokens.add("access token of "+account, a.accessToken())
	}
	return a
}

// Credentials go in and never come out: not in an answer, not in a log at any
// level, not in clear on disk, whatever happens and whatever Amazon says.
func TestNoCredentialEverComesOut(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{Storage: vaulttest.StorageRaft, LogLevel: "trace", Audit: true})
	c := &canary{mount: s.newBareMount(t, "spapi"), markers: map[string]string{}}
	c.record = c.hear
	c.tokens.add("none", newMarker())

	c.useSecrets(t)
	c.useAccount(t)
	c.authorizeAccounts(t)
	c.migrateAccounts(t)
	c.useControl(t)
	c.useRestrictedTokens(t)
	c.useLWA(t)
	c.meetFaults(t)
	c.writeNonsense(t)
	c.askForHelp(t)
	c.runAgent(t)
	c.surviveKills(t)
	c.cleanUp(t)
	c.checkSilence(t)
}

// useSecrets writes two client secrets, and one that Amazon refuses.
func (c *canary) useSecrets(t *testing.T) {
	t.Helper()
	first, second := "amzn1.oa2-cs.v1."+c.marker("first secret"), c.marker("second secret")
	c.amazon.AddClient(c.clientID, first)
	c.clientSecret = first
	c.writeConfig(t, "request_timeout", "1s")
	c.amazon.RotateSecret(c.clientID, second)
	c.ok(t, http.MethodPost, "config", map[string]any{"client_secret": second + "\n"})
	require.Contains(t, c.ok(t, http.MethodGet, "config", nil).Data, "previous_client_secret_expires_at")
	form, _ := c.amazon.LastRequest()
	require.Equal(t, second, form.Get("client_secret"), "the markers are in use")

	refused := map[string]any{"client_secret": c.marker("refused secret")}
	c.refused(t, http.StatusBadRequest, http.MethodPost, "config", refused, "invalid_client")
	for _, kind := range []amazontest.FaultKind{amazontest.FaultEcho, amazontest.FaultEchoServerError} {
		c.amazon.SetFault(amazontest.Fault{Kind: kind})
		c.call(t, http.MethodPost, "config", map[string]any{"client_secret": c.marker("echoed secret")})
		c.amazon.ClearFaults()
		c.ok(t, http.MethodPost, "config", map[string]any{"client_secret": second})
	}
	c.cli(t, "read", "spapi/config")
	c.cli(t, "read", "-format=json", "spapi/config")
}

// useAccount writes an account, lets Amazon change its refresh token, and reads
// it in every way there is.
func (c *canary) useAccount(t *testing.T) {
	t.Helper()
	c.amazon.AddRefreshToken(c.clientID, "acme", "Atzr|"+c.marker("refresh token"))
	c.ok(t, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": "Atzr|" + c.marker("refresh token")})
	first := c.read(t, "acme")
	c.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: c.marker("changed refresh token")})
	c.revoke(t, first.LeaseID)
	require.Equal(t, http.StatusOK, c.read(t, "acme").Status)
	c.amazon.ClearFaults()
	lease := c.read(t, "acme")
	c.sys().ok(t, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": lease.LeaseID})
	c.cli(t, "lease", "lookup", lease.LeaseID)
	c.cli(t, "lease", "renew", lease.LeaseID)
	c.revoke(t, lease.LeaseID)
	require.Equal(t, http.StatusOK, c.read(t, "acme").Status)
	form, _ := c.amazon.LastRequest()
	require.Equal(t, c.marker("changed refresh token"), form.Get("refresh_token"), "the markers are in use")

	c.refused(t, http.StatusBadRequest, http.MethodPost, "accounts/acme", map[string]any{"refresh_token": c.marker("refused refresh token")}, "invalid_grant")
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(c.marker("refresh token of a file")), 0o600))
	c.cli(t, "write", "spapi/accounts/acme", "refresh_token=@"+file)
	c.cli(t, "write", "spapi/accounts/unverified", "verify=false", "refresh_token=@"+file)
	c.cli(t, "patch", "spapi/accounts/acme", "refresh_token=@"+file)
	c.cli(t, "read", "spapi/accounts/acme")
	c.cli(t, "list", "-detailed", "spapi/accounts")
	c.cli(t, "read", "spapi/token/acme")
	c.cli(t, "read", "-wrap-ttl=60s", "spapi/token/acme")
	c.cli(t, "read", "spapi/token/unverified")
}

// meetFaults lets Amazon misbehave in all ways, two of which echo what was sent.
func (c *canary) meetFaults(t *testing.T) {
	t.Helper()
	for _, kind := range amazontest.Faults() {
		account, refreshToken := string(kind), c.marker("refresh token of "+string(kind))
		c.amazon.AddRefreshToken(c.clientID, account, refreshToken)
		fault := amazontest.Fault{Kind: kind, Delay: time.Millisecond}
		if kind == amazontest.FaultChangedRefreshToken {
			fault.Changed = c.marker("refresh token changed by a fault")
		}
		c.ok(t, http.MethodPost, "accounts/"+account, map[string]any{"refresh_token": refreshToken, "verify": false})
		c.amazon.SetAccountFault(account, fault)
		c.read(t, account)
		c.ok(t, http.MethodGet, "accounts/"+account, nil)
		c.call(t, http.MethodPost, "accounts/"+account, map[string]any{"refresh_token": refreshToken})
		// Forgets that Amazon refused the client.
		c.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "1s"})
	}
	c.amazon.ClearFaults()
	c.ok(t, "LIST", "accounts", nil)
}

// writeNonsense puts a marker where it does not belong, in every field.
func (c *canary) writeNonsense(t *testing.T) {
	t.Helper()
	marker := c.marker("misplaced")
	values := []any{
		map[string]any{"x": marker},
		[]any{marker},
		[]any{[]any{marker}},
		marker, marker + "\x00", "\u200b" + marker + " ",
		"https://user:" + marker + "@api.amazon.com/auth/o2/token", "http://evil.example/?" + marker, strings.Repeat(marker, 1<<20/len(marker)),
	}
	for _, path := range []string{"config", "accounts/acme", "authorize/url", "authorize/callback", "migrate/acme", "roles/new"} {
		fields := []string{
			"state", "spapi_oauth_code", "mws_auth_token", "developer_id", "marketplace", "amazon_state", "amazon_callback_uri", "state_ttl", "reauthorize",
			"client_secret", "refresh_token", "region", "token_min_ttl", "generate_lease", "verify", "force", "enabled", "kind", "request_timeout",
			"max_concurrent_exchanges", "lwa_endpoint", "sp_api_endpoint", "redirect_uri", "selling_partner_id", "marketplace_ids", "authorized_at",
			"authorization_expires_at", "client_secret_expires_at", "sandbox", "unknown", "account",
			"restricted_resources", "allowed_accounts", "path_parameters", "target_application", "description",
		}
		for _, field := range fields {
			for i, value := range values {
				if path == "config" && field == "client_secret" && i >= 3 || path != "config" && field == "refresh_token" && i >= 3 {
					continue // a credential where it belongs
				}
				a := c.call(t, http.MethodPost, path, map[string]any{field: value})
				require.GreaterOrEqual(t, a.Status, 400, "%s of %s, value %d", field, path, i)
				if path == "config" || path == "accounts/acme" {
					c.call(t, http.MethodPatch, path, map[string]any{field: value})
				}
			}
		}
	}
	c.call(t, http.MethodPost, "config", []byte(`{"client_secret": "`+marker+`"`))
	c.call(t, http.MethodPost, "config", []byte(`{"client_secret": `+marker+`}`))
	c.call(t, http.MethodPost, "accounts/new", []byte(`["`+marker+`"]`))
	c.call(t, http.MethodPost, "accounts/new", []byte("refresh_token="+marker))
}

func (c *canary) askForHelp(t *testing.T) {
	t.Helper()
	for _, path := range []string{"", "config", "accounts", "accounts/acme", "token/acme", "info", "authorize/url", "authorize/callback", "migrate/acme", "grantless/notifications", "roles", "roles/x", "restricted/x/acme", "lwa/token/acme"} {
		c.cli(t, "path-help", "spapi/"+path)
		c.call(t, http.MethodGet, path+"?help=1", nil)
	}
	c.ok(t, http.MethodGet, "info", nil)
	c.sys().ok(t, http.MethodGet, "sys/internal/specs/openapi", nil)
	c.cli(t, "secrets", "list", "-detailed")
	c.cli(t, "plugin", "info", "secret", plugin)
}

func (c *canary) runAgent(t *testing.T) {
	t.Helper()
	setup := c.exampleAgent(t, "leased.hcl")
	c.read(t, "acme")
	agent, err := c.stage.StartAgent(t.Context(), setup.config)
	require.NoError(t, err)
	require.NotEmpty(t, nextRendered(t, setup.rendered, ""))
	require.NoError(t, agent.Stop(t.Context()))
}

// surviveKills kills the plugin, and then Vault.
func (c *canary) surviveKills(t *testing.T) {
	t.Helper()
	c.killPlugin(t)
	c.read(t, "acme")
	c.stage.reload(t)
	c.read(t, "acme")
	require.NoError(t, c.stage.Kill())
	require.NoError(t, c.stage.Restart(t.Context()))
	c.read(t, "acme")
}

func (c *canary) cleanUp(t *testing.T) {
	t.Helper()
	c.cli(t, "lease", "revoke", "-sync", "-prefix", "spapi")
	c.cli(t, "delete", "spapi/accounts/acme")
	c.cli(t, "delete", "spapi/config")
	c.cli(t, "read", "spapi/config")
	c.cli(t, "read", "spapi/token/acme")
	c.cli(t, "secrets", "disable", "spapi")
}

func (c *canary) checkSilence(t *testing.T) {
	t.Helper()
	for _, heard := range c.heard {
		require.Empty(t, c.credentials.find(heard.raw), "%s answered %.500q", heard.where, heard.raw)
		if !heard.handsOut {
			require.Empty(t, c.tokens.find(heard.raw), "%s answered %.500q", heard.where, heard.raw)
		}
		if !heard.begins {
			require.Empty(t, c.states.find(heard.raw), "%s answered %.500q", heard.where, heard.raw)
		}
		if !heard.echoes {
			require.Empty(t, c.echoed.find(heard.raw), "%s answered %.500q", heard.where, heard.raw)
		}
	}
	for _, s := range []scanner{c.credentials, c.tokens, c.states, c.echoed} {
		found, files, err := s.findUnder(c.stage.Dir(), "plugins")
		require.NoError(t, err)
		require.Empty(t, found)
		require.Greater(t, files, 4)
	}
	// What was searched is what was meant to be searched.
	require.FileExists(t, filepath.Join(c.stage.Dir(), "storage", "vault.db"))
	require.FileExists(t, filepath.Join(c.stage.Dir(), "storage", "raft", "raft.db"))
	for part, file := range map[string]string{
		"[TRACE]":       c.stage.LogFile(),
		"exchanged the": c.stage.LogFile(), // the plugin's own log, below info
		"accounts/acme": c.stage.AuditFile(),
		"(runner)":      filepath.Join(c.stage.Dir(), "agent-1.log"),
	} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Contains(content, []byte(part)), "%s holds %s", file, part)
	}
	require.Greater(t, len(c.heard), 300)
}
