// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// vault speaks to a server's HTTP API without a client library, so that tests
// see each answer as it is.
type vault struct {
	server *vaulttest.Server
	auth   string       // the root token if empty
	prefix string       // of all paths
	client *http.Client // http.DefaultClient if nil
	// record, if not nil, is given all answers as they came.
	record func(path string, raw []byte)
}

// answer is an answer of Vault's. Numbers in it are as they were written.
type answer struct {
	Status        int            `json:"-"`
	Raw           []byte         `json:"-"`
	LeaseID       string         `json:"lease_id"`
	LeaseDuration int64          `json:"lease_duration"`
	Renewable     bool           `json:"renewable"`
	Data          map[string]any `json:"data"`
	Warnings      []string       `json:"warnings"`
	Errors        []string       `json:"errors"`
	Auth          struct {
		ClientToken string `json:"client_token"`
		EntityID    string `json:"entity_id"`
	} `json:"auth"`
}

func (a *answer) text(field string) string { return fmt.Sprint(a.Data[field]) }
func (a *answer) accessToken() string      { return a.text("access_token") }
func (a *answer) warned(part string) bool {
	return strings.Contains(strings.Join(a.Warnings, "\n"), part)
}

func (a *answer) complained(part string) bool {
	return strings.Contains(strings.Join(a.Errors, "\n"), part)
}

// number is a field that must be written as a whole number.
func (a *answer) number(t *testing.T, field string) int64 {
	t.Helper()
	number, ok := a.Data[field].(json.Number)
	require.True(t, ok, "%s is %T", field, a.Data[field])
	whole, err := number.Int64()
	require.NoError(t, err, "%s is a whole number", field)
	return whole
}

// as is the same with another Vault token.
func (v vault) as(token string) vault {
	v.auth = token
	return v
}

// sys is the same for paths outside of the mount.
func (v vault) sys() vault {
	v.prefix = ""
	return v
}

// send makes a request; body is encoded as JSON unless it is raw already.
func (v vault) send(ctx context.Context, method, path string, body any) (*answer, error) {
	encoded, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, v.server.Address()+"/v1/"+v.prefix+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", v.auth)
	if v.auth == "" {
		req.Header.Set("X-Vault-Token", v.server.RootToken())
	}
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	client := v.client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	a := &answer{Status: resp.StatusCode}
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if v.record != nil {
		v.record(method+" "+path, a.Raw)
	}
	return a, a.decode()
}

func encode(body any) ([]byte, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return body, nil
	default:
		return json.Marshal(body)
	}
}

func (a *answer) decode() error {
	if len(a.Raw) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(a.Raw))
	decoder.UseNumber()
	if err := decoder.Decode(a); err != nil {
		return fmt.Errorf("decoding %.200q: %w", a.Raw, err)
	}
	return nil
}

// call makes a request that must be answered, whatever the answer.
func (v vault) call(t *testing.T, method, path string, body any) *answer {
	t.Helper()
	a, err := v.send(t.Context(), method, path, body)
	require.NoError(t, err)
	return a
}

// ok makes a request that must succeed.
func (v vault) ok(t *testing.T, method, path string, body any) *answer {
	t.Helper()
	a := v.call(t, method, path, body)
	require.Less(t, a.Status, 300, "%s %s: %s", method, path, a.Raw)
	return a
}

// refused makes a request that must fail with a status, and say all of parts.
func (v vault) refused(t *testing.T, status int, method, path string, body any, parts ...string) *answer {
	t.Helper()
	a := v.call(t, method, path, body)
	require.Equal(t, status, a.Status, "%s %s: %s", method, path, a.Raw)
	for _, part := range parts {
		require.True(t, a.complained(part), "%s %s: %s lacks %q", method, path, a.Raw, part)
	}
	return a
}

// result is what one of several readers got.
type result struct {
	*answer
	err error
}

// readAtOnce starts n readers of each path; wait waits for all of their answers.
func (v vault) readAtOnce(ctx context.Context, n int, paths ...string) (wait func() []result) {
	results := make([]result, n*len(paths))
	var readers sync.WaitGroup
	for i := range results {
		readers.Go(func() {
			results[i].answer, results[i].err = v.send(ctx, http.MethodGet, paths[i%len(paths)], nil)
		})
	}
	return func() []result {
		readers.Wait()
		return results
	}
}
