// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// redirected is the failure of a client that was sent to another node.
const redirected = "307"

// oldVersion and newVersion are two builds of the plugin.
const oldVersion, newVersion = "v0.1.0", "v0.2.0"

// fleet is the servers of one Vault, be it one or a cluster, and the Amazon of
// its one mount.
type fleet struct {
	registrar
	nodes   []*vaulttest.Server
	amazon  *amazontest.Server
	version string // of the plugin that is mounted
}

// registrar is a server, or a cluster, that plugins can be registered with.
type registrar interface {
	RegisterPlugin(ctx context.Context, name, binary, version string, env []string) error
}

// newFleet registers builds of the plugin, the first of which is to be mounted.
// The version of the build for all tests is "".
func newFleet(t *testing.T, r registrar, nodes []*vaulttest.Server, versions ...string) *fleet {
	t.Helper()
	amazon, err := amazontest.New(amazontest.Options{})
	require.NoError(t, err)
	f := &fleet{registrar: r, nodes: nodes, amazon: amazon, version: versions[0]}
	t.Cleanup(func() {
		for _, node := range nodes {
			require.NoError(t, (&stage{Server: node}).healthy())
		}
		amazon.Close()
	})
	races := (&stage{Server: nodes[0]}).raceLog() // one place for all nodes
	for _, version := range versions {
		binary, err := build(t.Context(), version)
		require.NoError(t, err)
		env := []string{"GORACE=log_path=" + races, "SPAPI_ALLOWED_ENDPOINTS=" + amazon.URL()}
		require.NoError(t, r.RegisterPlugin(t.Context(), plugin, binary, version, env))
	}
	return f
}

func build(ctx context.Context, version string) (string, error) {
	if version == "" {
		return vaulttest.PluginBinary(ctx)
	}
	return vaulttest.PluginBinaryOf(ctx, version)
}

// mount mounts the plugin and writes the config and the accounts that
// pressure reads.
func (f *fleet) mount(t *testing.T) *mount {
	t.Helper()
	const path = "spapi"
	m := (&mount{
		vault: vault{prefix: path + "/"}, amazon: f.amazon, path: path,
		clientID: "amzn1.application-oa2-client." + path, clientSecret: "amzn1.oa2-cs.v1." + path,
	}).through(f.nodes[0])
	if len(f.nodes) > 1 {
		m.client = &http.Client{Transport: patience{}}
	}
	m.amazon.AddClient(m.clientID, m.clientSecret)
	require.NoError(t, f.nodes[0].Mount(t.Context(), path, plugin, map[string]any{"plugin_version": f.version}))
	m.writeConfig(t)
	m.addReadAccounts(t)
	return m
}

// leaderless are the answers of Vault itself while nobody leads, or a standby has
// not found the leader yet. The last two are to those who are in flight when a
// leader loses its leadership: it can write neither a lease nor an entry.
func leaderless() []string {
	return []string{
		redirected, // to the leader that the standby knew last
		`500 {"errors":\["local node not active but active cluster node not found"\]}`,
		`500 {"errors":\["active context canceled after getting state lock"\]}`,
		`503 {"errors":\["no active Vault instance found"\]}`,
		`503 {"errors":\["Vault is sealed"\]}`, // of a node that just stepped down or started
		`500 {"errors":\["1 error occurred:\\n\\t\* internal error\\n\\n"\]}`,
		`500 .*Nothing was half done.*`,
	}
}

// patience is a client of a cluster that repeats a request until there is a
// leader to answer it: a slow machine can lose its leader at any time.
type patience struct{}

func (patience) RoundTrip(req *http.Request) (*http.Response, error) {
	known := matcher(leaderless())
	var answer *http.Response
	err := vaulttest.WaitFor(req.Context(), "an answer of a leader", func() (bool, error) {
		body, err := req.GetBody()
		if err != nil {
			return false, err
		}
		again := req.Clone(req.Context())
		again.Body = body
		resp, err := http.DefaultTransport.RoundTrip(again)
		if err != nil {
			return false, err
		}
		raw, err := io.ReadAll(resp.Body)
		err = errors.Join(err, resp.Body.Close())
		answer = resp
		answer.Body = io.NopCloser(bytes.NewReader(raw))
		return !known.MatchString(failureOf(resp.StatusCode, raw)), err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// failureOf is the text of an answer, "" of a good one.
func failureOf(status int, raw []byte) string {
	switch {
	case status == http.StatusTemporaryRedirect:
		return redirected
	case status >= http.StatusMultipleChoices:
		return fmt.Sprintf("%d %s", status, bytes.TrimSpace(raw))
	default:
		return ""
	}
}

func matcher(patterns []string) *regexp.Regexp {
	return regexp.MustCompile("^(" + strings.Join(patterns, "|") + ")$")
}

// through is the same mount, asked through another server.
func (m *mount) through(node *vaulttest.Server) *mount {
	other := *m
	other.server, other.stage = node, &stage{Server: node}
	return &other
}

// starts counts how often a plugin process has begun to serve the mount. (It
// says so because the simulated Amazon has to be allowed.)
func (f *fleet) starts(t *testing.T) int {
	t.Helper()
	return f.logged(t, "credentials may be sent to other endpoints")
}

// elections counts how often a server has become the active one.
func (f *fleet) elections(t *testing.T) int {
	t.Helper()
	return f.logged(t, "acquired lock, enabling active operation")
}

func (f *fleet) logged(t *testing.T, text string) int {
	t.Helper()
	count := 0
	for _, node := range f.nodes {
		log, err := os.ReadFile(node.LogFile())
		require.NoError(t, err)
		count += strings.Count(string(log), text)
	}
	return count
}

// unanswered is the text of a request that got no answer.
func (f *fleet) unanswered(node *vaulttest.Server, err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the URL
	}
	return fmt.Sprintf("no answer from node %d: %s", slices.Index(f.nodes, node), err)
}

// noAnswer matches the texts of unanswered for a server that was killed.
func (f *fleet) noAnswer(node *vaulttest.Server) string {
	return fmt.Sprintf("no answer from node %d: .*(connection refused|connection reset by peer|broken pipe|EOF|server closed idle connection)",
		slices.Index(f.nodes, node))
}
