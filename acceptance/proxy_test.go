// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// proxySetup is the configuration of a `vault proxy`, with HOST:PORT in place of
// where it listens if it listens on TCP.
type proxySetup struct{ config, socket string }

const anyPort = "HOST:PORT"

// exampleProxy is the proxy of the examples, with a policy.
func (m *mount) exampleProxy(t *testing.T, policy string) proxySetup {
	t.Helper()
	auth, roleID, secretID := m.roleWith(t, m.writePolicy(t, "sdk", policy))
	dir := t.TempDir()
	for file, content := range map[string]string{"role-id": roleID, "secret-id": secretID} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	return proxySetup{config: strings.NewReplacer(
		"/etc/spapi", dir, "https://vault.example.com:8200", m.stage.Address(), "127.0.0.1:8100", anyPort,
		`method "approle" {`, `method "approle" {`+"\n"+`mount_path = "`+auth+`"`,
	).Replace(example(t, "sdks/proxy.hcl"))}
}

// sdkPolicy is the example's, of an application which works for acme and has
// notifications.
func sdkPolicy(t *testing.T) string {
	t.Helper()
	return example(t, "sdks/policy.hcl")
}

// onSocket is the same proxy on the socket that the example has commented out.
func onSocket(t *testing.T, setup proxySetup) proxySetup {
	t.Helper()
	before, listener, found := strings.Cut(setup.config, `listener "tcp"`)
	require.True(t, found)
	_, listener, found = strings.Cut(listener, `# listener "unix" {`)
	require.True(t, found)
	// The path of a socket must stay short, about 100 bytes.
	dir, err := os.MkdirTemp("", "lwa-") //nolint:usetesting // t.TempDir is too long
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "lwa.sock")
	listener = strings.NewReplacer("# ", "", "/run/spapi/lwa.sock", socket, "orders", strconv.Itoa(os.Getgid())).Replace(`listener "unix" {` + listener)
	return proxySetup{config: before + listener, socket: socket}
}

// startProxy starts a proxy, and returns the way through it: without a Vault token.
func (m *mount) startProxy(t *testing.T, setup proxySetup) (*vaulttest.Agent, door) {
	t.Helper()
	through := door{network: "unix", address: setup.socket, prefix: "/v1/" + m.path + "/"}
	const attempts = 5
	var proxy *vaulttest.Agent
	var err error
	for range attempts {
		if setup.socket == "" {
			through.network, through.address = "tcp", unusedAddress(t)
		}
		proxy, err = m.stage.StartProxy(t.Context(), strings.ReplaceAll(setup.config, anyPort, through.address))
		if err == nil {
			err = through.waitForLogin(t.Context(), proxy)
		}
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			break // else somebody was quicker
		}
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(proxy.Logs())
		}
	})
	return proxy, through
}

// proxyDoor is startProxy for a proxy that runs as long as the test.
func (m *mount) proxyDoor(t *testing.T, setup proxySetup) door {
	t.Helper()
	_, through := m.startProxy(t, setup)
	return through
}

// waitForLogin waits until a proxy listens, which it does not yet when it says that
// it has started, and has a Vault token.
func (d door) waitForLogin(ctx context.Context, proxy *vaulttest.Agent) error {
	self := door{network: d.network, address: d.address, prefix: "/v1/auth/token/"}
	return vaulttest.WaitFor(ctx, "the proxy to log in", func() (bool, error) {
		if proxy.Ended() {
			return false, errors.New(proxy.Logs())
		}
		answer, err := self.ask(ctx, rawRequest{method: http.MethodGet, path: "lookup-self", headers: []string{"X-Vault-Request: true"}})
		return err == nil && answer.status == http.StatusOK, nil
	})
}

// unusedAddress is where nobody listens now.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}
