// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	tokenAnswer      = `{"data":{"access_token":"Atza|x"}}`
	restrictedAnswer = `{"data":{"restricted_data_token":"Atz.sprdt|x"}}`
)

// against is a rig whose Vault is a handler.
func against(t *testing.T, handler http.HandlerFunc) *Rig {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Rig{Server: &vaulttest.Server{}, host: strings.TrimPrefix(server.URL, "http://")}
}

func TestDoReadsWholeAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20) // chunked
	r := against(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/v1/long":
			_, _ = io.WriteString(w, long)
		case "/v1/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/v1/echo":
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(w, req.Method+" "+string(body))
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	})
	conn, err := r.Dial(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for range 2 { // the connection is kept
		for _, c := range []struct {
			request []byte
			status  int
			body    string
		}{
			{r.Get("long"), 200, long},
			{r.Get("nothing"), 204, ""},
			{r.Request(http.MethodPost, "echo", map[string]any{"a": 1}), 200, `POST {"a":1}`},
			{r.Get("else"), 418, ""},
		} {
			status, body, err := conn.Do(c.request)
			require.NoError(t, err)
			require.Equal(t, c.status, status)
			require.Equal(t, c.body, string(body))
		}
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	came := make(chan struct{})
	r := against(t, func(_ http.ResponseWriter, req *http.Request) {
		close(came)
		<-req.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := r.Dial(ctx)
	require.NoError(t, err)
	defer conn.Close()
	go func() {
		<-came
		cancel()
	}()
	_, _, err = conn.Do(r.Get("hang"))
	require.Error(t, err)
}

func TestTokenRefusesAnythingElse(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"/v1/token":      func(w http.ResponseWriter) { _, _ = io.WriteString(w, tokenAnswer) },
		"/v1/restricted": func(w http.ResponseWriter) { _, _ = io.WriteString(w, restrictedAnswer) },
		"/v1/other":      func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"data":{}}`) },
		"/v1/refused": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, tokenAnswer)
		},
	}
	r := against(t, func(w http.ResponseWriter, req *http.Request) { answers[req.URL.Path](w) })
	conn, err := r.Dial(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Token(r.Get("token")))
	require.NoError(t, conn.Token(r.Get("restricted")))
	require.ErrorContains(t, conn.Token(r.Get("other")), "GET /v1/other HTTP/1.1: status 200")
	require.ErrorContains(t, conn.Token(r.Get("refused")), "status 403")
}

func TestClients(t *testing.T) {
	t.Parallel()
	var paths [10]atomic.Int64
	r := against(t, func(w http.ResponseWriter, req *http.Request) {
		paths[req.URL.Path[len(req.URL.Path)-1]-'0'].Add(1)
		_, _ = io.WriteString(w, tokenAnswer)
	})
	counts := func() []int64 {
		var all []int64
		for i := range paths {
			all = append(all, paths[i].Swap(0))
		}
		return all
	}
	requests := r.Tokens(Leased, Engine, Names(Leased, "x", 10))
	clients, err := r.Clients(t.Context(), 3)
	require.NoError(t, err)
	defer clients.Close()

	load, err := clients.Once(t.Context(), requests)
	require.NoError(t, err)
	require.Len(t, load.Latencies, 10)
	require.Equal(t, slices.Repeat([]int64{1}, 10), counts())

	load, err = clients.Burst(requests[4])
	require.NoError(t, err)
	require.Len(t, load.Latencies, 3)
	require.Equal(t, []int64{0, 0, 0, 0, 3, 0, 0, 0, 0, 0}, counts())

	load, err = clients.RunFor(t.Context(), 50*time.Millisecond, requests)
	require.NoError(t, err)
	var sum int64
	for _, n := range counts() {
		sum += n
	}
	require.EqualValues(t, len(load.Latencies), sum)
	require.GreaterOrEqual(t, load.Elapsed, 50*time.Millisecond)
	require.InDelta(t, float64(sum)/load.Elapsed.Seconds(), load.PerSecond(), 1e-6)
}

func TestSlowAnswersAreKept(t *testing.T) {
	t.Parallel()
	r := against(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tokenAnswer) })
	clients, err := r.Clients(t.Context(), 2)
	require.NoError(t, err)
	defer clients.Close()
	requests := slices.Repeat([][]byte{r.Get("x")}, 5)
	for keepFrom, want := range map[time.Duration]int{0: 0, 1: 5, time.Hour: 0} {
		clients.KeepFrom = keepFrom
		load, err := clients.Once(t.Context(), requests)
		require.NoError(t, err)
		require.Len(t, load.Slow, want)
		for _, answer := range load.Slow {
			require.JSONEq(t, tokenAnswer, string(answer))
		}
	}
}

func TestAFailureEndsTheLoad(t *testing.T) {
	t.Parallel()
	r := against(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	clients, err := r.Clients(t.Context(), 2)
	require.NoError(t, err)
	defer clients.Close()
	_, err = clients.RunFor(t.Context(), time.Hour, [][]byte{r.Get("x")})
	require.ErrorContains(t, err, "status 500")
	_, err = clients.Burst(r.Get("x"))
	require.ErrorContains(t, err, "status 500")
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	now, peak, err := parseStatus("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, now)
	require.EqualValues(t, 2<<20, peak)
	_, _, err = parseStatus("VmRSS:\t1 kB\n")
	require.Error(t, err)
	_, _, err = parseStatus("VmRSS:\tmany kB\n")
	require.Error(t, err)
}

func TestNamesTellTheirKindAndAreOneLength(t *testing.T) {
	t.Parallel()
	names := Names(Unleased, "cold", 1000)
	require.Equal(t, "unleased-cold-000000", names[0])
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), 1000)
	for _, name := range names {
		require.Len(t, name, len(names[0]))
	}
}

func TestRequestIsWhole(t *testing.T) {
	t.Parallel()
	r := against(t, func(w http.ResponseWriter, req *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(req.Body).Decode(&body)
		_ = json.NewEncoder(w).Encode(map[string]any{"method": req.Method, "path": req.URL.String(), "body": body})
	})
	answer, err := r.Call(t.Context(), http.MethodPost, "a/b?c=d", map[string]any{"e": "f"})
	require.NoError(t, err)
	require.JSONEq(t, `{"method":"POST","path":"/v1/a/b?c=d","body":{"e":"f"}}`, string(answer))
}
