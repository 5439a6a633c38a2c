// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	clientID     = "amzn1.application-oa2-client.00000000000000000000000000000001"
	clientSecret = "amzn1.oa2-cs.v1.first"
	formType     = "application/x-www-form-urlencoded"
)

// fixture is a server with one client and one account, and a client of its own.
type fixture struct {
	*amazontest.Server
	t       *testing.T
	http    *http.Client
	clock   *amazontest.Clock
	refresh string // the refresh token of "seller-one"
}

func start(t *testing.T) *fixture {
	t.Helper()
	c := amazontest.NewClock(time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC))
	s, err := amazontest.New(amazontest.Options{Now: c.Now})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.AddClient(clientID, clientSecret)
	return &fixture{
		Server: s, t: t, clock: c,
		http:    &http.Client{Transport: transport},
		refresh: s.Authorize(clientID, "seller-one"),
	}
}

// with completes an application's request with its credentials.
func with(pairs ...string) url.Values {
	form := url.Values{"client_id": {clientID}, "client_secret": {clientSecret}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func refreshForm(token string) url.Values {
	return with("grant_type", "refresh_token", "refresh_token", token)
}

func scopeForm(scope string) url.Values {
	return with("grant_type", "client_credentials", "scope", scope)
}

type result struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
	err    error
}

func (r result) text(name string) string {
	s, _ := r.body[name].(string)
	return s
}

func (f *fixture) do(ctx context.Context, contentType, body string) result {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.LWAEndpoint(), strings.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := f.http.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	out := result{status: res.StatusCode, header: res.Header}
	out.raw, out.err = io.ReadAll(res.Body)
	_ = json.Unmarshal(out.raw, &out.body)
	return out
}

func (f *fixture) post(form url.Values) result {
	f.t.Helper()
	r := f.do(f.t.Context(), formType, form.Encode())
	require.NoError(f.t, r.err)
	return r
}

func (f *fixture) ok(form url.Values) result {
	f.t.Helper()
	r := f.post(form)
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.raw)
	return r
}

func (f *fixture) refused(r result, status int, code, description string) {
	f.t.Helper()
	require.NoError(f.t, r.err)
	require.Equal(f.t, status, r.status, "%s", r.raw)
	require.Equal(f.t, code, r.text("error"))
	require.Equal(f.t, description, r.text("error_description"))
}

// call sends a request elsewhere than to the token endpoint.
func (f *fixture) call(method, url string, header http.Header, body string) result {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(f.t, err)
	maps.Copy(req.Header, header)
	res, err := f.http.Do(req)
	require.NoError(f.t, err)
	defer func() { _ = res.Body.Close() }()
	out := result{status: res.StatusCode, header: res.Header}
	out.raw, err = io.ReadAll(res.Body)
	require.NoError(f.t, err)
	_ = json.Unmarshal(out.raw, &out.body)
	return out
}

const (
	revokedText = "The request has an invalid grant parameter : refresh_token. " +
		"User may have revoked or didn't grant the permission."
	unsupportedText = "The authorization grant type is not supported by the authorization server"
	missingText     = "The request is missing a required parameter : "
)
