// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Secrets of the tests. No output may hold one; only the link holds the state.
const (
	stateOfTest = "the-state-of-this-test"
	codeOfTest  = "the-code-of-this-test"
	tokenOfTest = "the-vault-token-of-this-test"
)

const linkOfTest = "https://sellercentral-europe.amazon.com/apps/authorize/consent?application_id=amzn1.sp.solution.x&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&state=" + stateOfTest

// engine stands in for a mount of the engine at "spapi" in Vault. It refuses what
// no test expects.
type engine struct {
	t       *testing.T
	answers map[string]engineAnswer

	mu    sync.Mutex
	asked []engineRequest
}

type engineAnswer func(body map[string]any) (status int, answer any)

// engineRequest is a request; body is nil where there was none.
type engineRequest struct {
	call string // method and path, with query
	body map[string]any
}

// newEngine starts an engine and points the environment to it.
func newEngine(t *testing.T, answers map[string]engineAnswer) *engine {
	t.Helper()
	e := &engine{t: t, answers: answers}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", tokenOfTest)
	return e
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	assert.Equal(e.t, tokenOfTest, r.Header.Get("X-Vault-Token"))
	raw, err := io.ReadAll(r.Body)
	assert.NoError(e.t, err)
	request := engineRequest{call: r.Method + " " + strings.TrimPrefix(r.RequestURI, "/v1/")}
	if len(raw) > 0 {
		assert.NoError(e.t, json.Unmarshal(raw, &request.body))
	}
	e.mu.Lock()
	e.asked = append(e.asked, request)
	answer, ok := e.answers[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v1/")]
	if !ok {
		answer, ok = e.answers[request.call]
	}
	e.mu.Unlock()
	if !assert.True(e.t, ok, "unexpected: %s", request.call) {
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	status, body := answer(request.body)
	w.WriteHeader(status)
	assert.NoError(e.t, json.NewEncoder(w).Encode(body))
}

func (e *engine) requests() []engineRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]engineRequest(nil), e.asked...)
}

func gives(data map[string]any) engineAnswer {
	return func(map[string]any) (int, any) { return http.StatusOK, map[string]any{"data": data} }
}

func refuses(status int, text string) engineAnswer {
	return func(map[string]any) (int, any) { return status, map[string]any{"errors": []string{text}} }
}

// inTurn gives one answer after the other.
func inTurn(answers ...engineAnswer) engineAnswer {
	next := 0
	return func(body map[string]any) (int, any) {
		answer := answers[next]
		next++
		return answer(body)
	}
}

func linkAnswer() engineAnswer {
	return gives(map[string]any{
		"url": linkOfTest, "state": stateOfTest, "expires_at": time.Now().Add(15 * time.Minute).UTC().Format(time.RFC3339),
	})
}

func doneAnswer() engineAnswer {
	return gives(map[string]any{
		"account": "acme", "region": "eu", "selling_partner_id": "A1EXAMPLE",
		"authorized_at": "2026-11-21T12:00:00Z", "authorization_expires_at": "2027-11-21T12:00:00Z",
	})
}

// output of a command, which may be read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// control is a run of spapictl. Its clock stands, and it does not wait.
type control struct {
	app            *app
	stdout, stderr output
	waited         []time.Duration
}

func newControl(stdin string) *control {
	c := &control{}
	c.app = &app{
		quiet: quiet,
		in:    strings.NewReader(stdin), out: &c.stdout, errOut: &c.stderr,
		now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
		pause: func(ctx context.Context, d time.Duration) error {
			c.waited = append(c.waited, d)
			return ctx.Err()
		},
	}
	return c
}

// run runs a command to its end, and looks for secrets in what it wrote.
func (c *control) run(t *testing.T, args ...string) int {
	t.Helper()
	code := c.app.execute(t.Context(), args)
	c.requireNoSecrets(t)
	return code
}

func (c *control) requireNoSecrets(t *testing.T) {
	t.Helper()
	written := strings.ReplaceAll(c.stdout.String(), linkOfTest, "[link]") + c.stderr.String()
	for _, secret := range []string{stateOfTest, codeOfTest, tokenOfTest} {
		require.NotContains(t, written, secret)
	}
}

func redirectedTo(query string) string {
	return fmt.Sprintf("https://app.example/callback?%s\n", query)
}

func redirectOfTest() string {
	return redirectedTo("state=" + stateOfTest + "&selling_partner_id=A1EXAMPLE&spapi_oauth_code=" + codeOfTest)
}
