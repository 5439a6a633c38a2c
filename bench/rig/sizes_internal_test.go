// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSimilar(t *testing.T) {
	t.Parallel()
	require.NoError(t, similar(1000, 1000))
	require.NoError(t, similar(1010, 1000))
	require.Error(t, similar(1011, 1000))
	require.Error(t, similar(989, 1000))
}

// stored is a Vault that answers what it was told, and keeps what is written
// into KV.
type stored struct {
	answers map[string]string // by path

	mu      sync.Mutex
	written map[string]string // by path
}

func (s *stored) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path := strings.TrimPrefix(req.URL.Path, "/v1/")
	if strings.HasPrefix(path, KV+"/") {
		body, _ := io.ReadAll(req.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.written[path] = string(body)
	}
	_, _ = io.WriteString(w, s.answers[path])
}

func TestComparable(t *testing.T) {
	t.Parallel()
	const answer = `{"lease_id":"x","data":{"access_token":"Atza|x","kind":"seller"}}`
	for name, c := range map[string]struct {
		kind              Kind
		engine, reference string
		refused           string
		written           map[string]string
	}{
		"equal": {Leased, answer, strings.Replace(answer, "seller", "vendor", 1), "", map[string]string{
			"store/token/acme": `{"access_token":"Atza|x","kind":"seller"}`,
		}},
		"restricted": {Restricted, answer, answer, "", map[string]string{
			"store/restricted/shipping/acme": `{"access_token":"Atza|x","kind":"seller"}`,
		}},
		"raw":            {LWA, `{"access_token":"Atza|x"}`, `{"access_token":"Atza|y"}`, "", map[string]string{}},
		"longer":         {Leased, strings.Replace(answer, "x", strings.Repeat("x", 100), 1), answer, "more than 1 % apart", map[string]string{}},
		"another field":  {Leased, strings.Replace(answer, "kind", "sort", 1), answer, "data.sort", map[string]string{}},
		"other envelope": {Leased, strings.Replace(answer, "lease_id", "lease_no", 1), answer, "lease_no", map[string]string{}},
		"no JSON":        {LWA, "Atza", answer, "invalid character", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stored{answers: map[string]string{
				Engine + "/" + c.kind.Path("acme"): c.engine, Reference + "/" + c.kind.Path("acme"): c.reference,
			}, written: map[string]string{}}
			err := against(t, s.ServeHTTP).Comparable(t.Context(), c.kind, "acme")
			if c.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.refused)
			}
			require.Equal(t, c.written, s.written)
		})
	}
}

// Vault's listener and the engine have their own idea of what a form is; here it
// is net/http's.
func TestRequestsOfEachKind(t *testing.T) {
	t.Parallel()
	r := against(t, func(w http.ResponseWriter, req *http.Request) {
		_ = req.ParseForm()
		_ = json.NewEncoder(w).Encode([]string{
			req.Method + " " + req.URL.Path, req.PostForm.Get("grant_type"), req.PostForm.Get("scope"), req.PostForm.Get("refresh_token"),
		})
	})
	refreshToken := "Atzr|" + strings.Repeat("x", 371)
	for name, c := range map[string]struct {
		request []byte
		want    []string
	}{
		"leased":     {r.Token(Leased, Engine, "acme"), []string{"GET /v1/spapi/token/acme", "", "", ""}},
		"unleased":   {r.Token(Unleased, Reference, "acme"), []string{"GET /v1/plain/token/acme", "", "", ""}},
		"restricted": {r.Token(Restricted, Engine, "acme"), []string{"GET /v1/spapi/restricted/shipping/acme", "", "", ""}},
		"lwa":        {r.Token(LWA, Engine, "acme"), []string{"POST /v1/spapi/lwa/token/acme", "refresh_token", "", refreshToken}},
		"grantless":  {r.ClientCredentials("spapi/lwa/grantless/x", "a::b"), []string{"POST /v1/spapi/lwa/grantless/x", "client_credentials", "a::b", ""}},
	} {
		raw, err := r.once(t.Context(), c.request)
		require.NoError(t, err, name)
		var got []string
		require.NoError(t, json.Unmarshal(raw, &got), name)
		require.Equal(t, c.want, got, name)
	}
}

func TestFailuresHoldNoToken(t *testing.T) {
	t.Parallel()
	r := against(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := r.once(t.Context(), r.Refresh("spapi/lwa/token/acme"))
	require.EqualError(t, err, "POST /v1/spapi/lwa/token/acme HTTP/1.1: status 403: ", "neither Vault's, nor what is submitted")
}
