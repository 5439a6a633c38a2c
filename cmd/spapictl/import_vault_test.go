// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// markerOfTest is in every credential of these tests, and in nothing else.
const markerOfTest = "CREDENTIALMARKER"

const (
	importID1 = "amzn1.application-oa2-client.one"
	importID2 = "amzn1.application-oa2-client.two"
)

// importVault stands in for Vault with a mount of the engine at "spapi". It
// keeps what is written, and refuses what the engine would refuse.
type importVault struct {
	t *testing.T
	// write, if not nil, answers writes of accounts. Status 0 stores the account.
	write func(name string) (status int, answer map[string]any)

	missing bool   // there is no such mount
	warning string // in the answer to a config

	mu       sync.Mutex
	config   map[string]any
	accounts map[string]map[string]any
	writes   []string // paths, in order
	busy     int
	most     int // writes at once
}

func newImportVault(t *testing.T) *importVault {
	t.Helper()
	v := &importVault{t: t, accounts: map[string]map[string]any{}}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", tokenOfTest)
	return v
}

func (v *importVault) configured() *importVault {
	v.config = map[string]any{"client_id": importID1, "region": "na"}
	return v
}

func (v *importVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	assert.Equal(v.t, tokenOfTest, r.Header.Get("X-Vault-Token"))
	var body map[string]any
	if r.Method == http.MethodPut {
		assert.NoError(v.t, json.NewDecoder(r.Body).Decode(&body))
	}
	status, answer := v.answer(r, body)
	w.WriteHeader(status)
	if answer != nil {
		assert.NoError(v.t, json.NewEncoder(w).Encode(answer))
	}
}

func (v *importVault) answer(r *http.Request, body map[string]any) (int, map[string]any) {
	name, isAccount := strings.CutPrefix(r.URL.Path, "/v1/spapi/accounts/")
	list := r.URL.Path == "/v1/spapi/accounts" && r.URL.Query().Get("list") == "true"
	switch {
	case v.missing:
		return http.StatusNotFound, map[string]any{"errors": []string{"no handler for route \"spapi/\". route entry not found."}}
	case r.Method == http.MethodPut && isAccount && name != "":
		return v.writeAccount(name, body)
	case r.Method == http.MethodPut && r.URL.Path == "/v1/spapi/config":
		v.mu.Lock()
		defer v.mu.Unlock()
		v.writes = append(v.writes, "config")
		v.config = body
		if v.warning != "" {
			return http.StatusOK, map[string]any{"warnings": []string{v.warning}}
		}
		return http.StatusNoContent, nil
	case r.Method == http.MethodGet && r.URL.Path == "/v1/spapi/config":
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.config == nil {
			return http.StatusNotFound, map[string]any{"errors": []string{"the mount has no config yet"}}
		}
		return http.StatusOK, map[string]any{"data": map[string]any{"client_id": v.config["client_id"], "region": v.config["region"]}}
	case r.Method == http.MethodGet && list:
		return v.list(r.URL.Query().Get("after"), r.URL.Query().Get("limit"))
	}
	assert.Fail(v.t, "unexpected: "+r.Method+" "+r.URL.Path)
	return http.StatusNotImplemented, nil
}

func (v *importVault) writeAccount(name string, body map[string]any) (int, map[string]any) {
	v.mu.Lock()
	v.writes = append(v.writes, "accounts/"+name)
	v.busy++
	v.most = max(v.most, v.busy)
	v.mu.Unlock()
	status, answer := 0, map[string]any(nil)
	if v.write != nil {
		status, answer = v.write(name)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.busy--
	if status == 0 || status == http.StatusOK {
		v.accounts[name] = body
	}
	if status == 0 {
		return http.StatusNoContent, nil
	}
	return status, answer
}

func (v *importVault) list(after, limit string) (int, map[string]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(v.accounts)), func(name string) bool { return name <= after })
	if n, err := strconv.Atoi(limit); assert.NoError(v.t, err) && n < len(names) {
		names = names[:n]
	}
	if len(names) == 0 {
		return http.StatusNotFound, map[string]any{"errors": []string{}}
	}
	return http.StatusOK, map[string]any{"data": map[string]any{"keys": names}}
}

func (v *importVault) written() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.writes)
}

func answers(status int, text string) func(string) (int, map[string]any) {
	return func(string) (int, map[string]any) { return status, map[string]any{"errors": []string{text}} }
}

// importRun is a run of the command.
type importRun struct {
	t              *testing.T
	stdin          io.Reader
	stdout, stderr output
	broken         error // of stdout
	graceless      bool  // nothing in flight is waited for after an interruption
	mu             sync.Mutex
	waited         []time.Duration
}

func newImporting(t *testing.T) *importRun {
	t.Helper()
	return &importRun{t: t, stdin: strings.NewReader("")}
}

// run runs the command, and checks that it prints no credential.
func (i *importRun) run(ctx context.Context, args ...string) int {
	i.t.Helper()
	a := &app{in: i.stdin, out: &i.stdout, errOut: &i.stderr, now: time.Now, pause: i.pause}
	if i.broken != nil {
		a.out = brokenWriter{i.broken}
	}
	code := a.execute(ctx, append([]string{"import"}, args...))
	require.NotContains(i.t, i.stdout.String()+i.stderr.String(), markerOfTest)
	require.NotContains(i.t, i.stdout.String()+i.stderr.String(), tokenOfTest)
	return code
}

// brokenWriter takes nothing.
type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// pause does not wait between attempts; what is in flight after an interruption
// has all the time it needs.
func (i *importRun) pause(ctx context.Context, d time.Duration) error {
	if d > 10*time.Second {
		if i.graceless {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waited = append(i.waited, d)
	return ctx.Err()
}

// file writes a file that others cannot read.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func tokenOf(name string) string { return "Atzr|" + markerOfTest + name }

// sellers is a CSV with that many accounts, seller-0001 and so on.
func sellers(n int) string {
	var text strings.Builder
	text.WriteString("account,refresh_token,region\n")
	for i := range n {
		name := fmt.Sprintf("seller-%04d", i+1)
		fmt.Fprintf(&text, "%s,%s,eu\n", name, tokenOf(name))
	}
	return text.String()
}
