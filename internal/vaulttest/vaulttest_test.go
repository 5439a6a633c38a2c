// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

func TestStartStop(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{Audit: true})

	require.NoError(t, server.Mount(ctx, "kv", "kv", nil))
	_, _, err := server.CLI(ctx, "kv", "put", "kv/one", "value=two")
	require.NoError(t, err)
	require.Equal(t, "two", readValue(t, server))
	require.FileExists(t, server.AuditFile())

	require.NoError(t, server.Stop(ctx))
	require.NoError(t, server.Stop(ctx), "stopping twice")
	require.NoError(t, server.Kill(), "killing a stopped server")
	require.Zero(t, server.PID())
	require.ErrorContains(t, server.Restart(ctx), "in memory")
}

func TestCloseRemovesItsDirectory(t *testing.T) {
	t.Parallel()
	server, err := vaulttest.Start(t.Context(), vaulttest.Options{})
	require.NoError(t, err)
	require.DirExists(t, server.Dir())
	require.NoError(t, server.Close(t.Context()))
	require.NoDirExists(t, server.Dir())
}

func TestRestartKeepsStorage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{Storage: vaulttest.StorageRaft})
	address := server.Address()
	require.NoError(t, server.Mount(ctx, "kv", "kv", nil))
	_, err := server.Client().Logical().WriteWithContext(ctx, "kv/one", map[string]any{"value": "two"})
	require.NoError(t, err)

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(ctx))
	require.Equal(t, "two", readValue(t, server), "after kill -9")
	require.NoError(t, server.Restart(ctx))
	require.Equal(t, "two", readValue(t, server), "after an orderly stop")
	require.Equal(t, address, server.Address())
}

func TestPlugin(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{Storage: vaulttest.StorageRaft})
	require.NoError(t, mountEcho(ctx, server, "hello"))
	require.Equal(t, "hello", greeting(t, server))
	first := onePlugin(t, server)

	require.NoError(t, registerEcho(ctx, server, "a,b=c"))
	require.NoError(t, server.ReloadPlugin(ctx, "echo"))
	require.Equal(t, "a,b=c", greeting(t, server), "the environment of the second registration")
	second := onePlugin(t, server)
	require.NotEqual(t, first, second)
	requireEnded(t, first)

	require.NoError(t, syscall.Kill(second, syscall.SIGKILL))
	require.NoError(t, vaulttest.WaitFor(ctx, "the plugin to be back", func() (bool, error) {
		secret, err := server.Client().Logical().ReadWithContext(ctx, "echo/greeting")
		return err == nil && secret != nil, nil
	}))
	third := onePlugin(t, server)

	require.NoError(t, server.Kill())
	requireEnded(t, third)
	require.NoError(t, server.Restart(ctx))
	require.Equal(t, "a,b=c", greeting(t, server), "after a kill and a restart")
	fourth := onePlugin(t, server)
	require.NoError(t, server.Stop(ctx))
	requireEnded(t, fourth)
}

func TestPolicyAndToken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{})
	require.NoError(t, server.Mount(ctx, "kv", "kv", nil))
	require.NoError(t, server.WritePolicy(ctx, "one", `path "kv/one" { capabilities = ["create", "read", "update"] }`))
	token, err := server.CreateToken(ctx, []string{"one"}, "5m")
	require.NoError(t, err)

	_, _, err = server.CLIWithToken(ctx, token, "kv", "put", "kv/one", "value=two")
	require.NoError(t, err)
	_, stderr, err := server.CLIWithToken(ctx, token, "kv", "get", "kv/other")
	require.Error(t, err)
	require.Contains(t, stderr, "permission denied")
	_, err = server.ClientWithToken(token).Logical().ReadWithContext(ctx, "kv/other")
	require.ErrorContains(t, err, "permission denied")
}

func TestAgentAndProxy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := vaulttest.New(t, vaulttest.Options{})
	require.NoError(t, server.Mount(ctx, "kv", "kv", nil))
	_, _, err := server.CLI(ctx, "kv", "put", "kv/one", "value=two")
	require.NoError(t, err)
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(server.RootToken()), 0o600))
	rendered := filepath.Join(t.TempDir(), "rendered")
	auth := fmt.Sprintf(`auto_auth { method "token_file" { config = { token_file_path = %q } } }`, tokenFile)

	agent, err := server.StartAgent(ctx, auth+fmt.Sprintf(`
template {
  contents    = "{{ with secret \"kv/one\" }}{{ .Data.value }}{{ end }}"
  destination = %q
}`, rendered))
	require.NoError(t, err)
	require.NoError(t, vaulttest.WaitFor(ctx, "the agent to render", func() (bool, error) {
		content, err := os.ReadFile(rendered)
		return err == nil && string(content) == "two", nil
	}))
	require.Contains(t, agent.Logs(), "rendered")
	require.False(t, agent.Ended())
	require.NoError(t, agent.Kill())
	require.True(t, agent.Ended())

	proxy, err := server.StartProxy(ctx, auth+`
api_proxy { use_auto_auth_token = true }
listener "tcp" {
  address     = "127.0.0.1:0"
  tls_disable = true
}`)
	require.NoError(t, err)
	require.NoError(t, proxy.Stop(ctx))
	require.NoError(t, proxy.Stop(ctx), "stopping twice")
	require.Contains(t, proxy.Logs(), "shutdown triggered")

	_, err = server.StartAgent(ctx, `nonsense`)
	require.ErrorContains(t, err, "has ended")
}

// A test run that is killed, or panics, leaves no Vault and no plugin.
func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	parent := exec.CommandContext(t.Context(), self)
	dir := t.TempDir() // Nobody else removes what the killed parent leaves.
	parent.Env = append(os.Environ(), roleVariable+"=parent", "VAULTTEST_DIR="+dir, "TMPDIR="+dir)
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())

	var vault, plugin int
	_, err = fmt.Fscan(stdout, &vault, &plugin)
	require.NoError(t, err)
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	requireEnded(t, plugin)
	requireEnded(t, vault)
}

func TestWaitFor(t *testing.T) {
	t.Parallel()
	calls := 0
	err := vaulttest.WaitFor(t.Context(), "three calls", func() (bool, error) {
		calls++
		return calls == 3, nil
	})
	require.NoError(t, err)

	failure := errors.New("broken")
	err = vaulttest.WaitFor(t.Context(), "never", func() (bool, error) { return false, failure })
	require.ErrorIs(t, err, failure)
	require.ErrorContains(t, err, "waiting for never")
}

func TestUnknownOptions(t *testing.T) {
	t.Parallel()
	_, err := vaulttest.Start(t.Context(), vaulttest.Options{Storage: "paper"})
	require.ErrorContains(t, err, `unknown storage "paper"`)
	_, err = vaulttest.Start(t.Context(), vaulttest.Options{VaultBinary: "/nonexistent/vault"})
	require.ErrorContains(t, err, "/nonexistent/vault")
}

func readValue(t *testing.T, server *vaulttest.Server) any {
	t.Helper()
	secret, err := server.Client().Logical().ReadWithContext(t.Context(), "kv/one")
	require.NoError(t, err)
	require.NotNil(t, secret)
	return secret.Data["value"]
}

func greeting(t *testing.T, server *vaulttest.Server) any {
	t.Helper()
	secret, err := server.Client().Logical().ReadWithContext(t.Context(), "echo/greeting")
	require.NoError(t, err)
	require.NotNil(t, secret)
	return secret.Data["greeting"]
}

func onePlugin(t *testing.T, server *vaulttest.Server) int {
	t.Helper()
	var pids []int
	require.NoError(t, vaulttest.WaitFor(t.Context(), "one plugin process", func() (bool, error) {
		var err error
		pids, err = server.PluginPIDs()
		return len(pids) == 1, err
	}))
	return pids[0]
}

func requireEnded(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, vaulttest.WaitFor(t.Context(), fmt.Sprintf("process %d to end", pid), func() (bool, error) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return true, nil
		}
		// Its parent, which need not be us, may take its time to collect it.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && strings.Contains(string(stat), ") Z "), nil
	}))
}
