// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// callback is a redirect as Amazon makes it, without host.
const callback = "/callback?state=the-state&selling_partner_id=A1EXAMPLE&spapi_oauth_code=the-code"

// vaultStub answers with what complete and begin give, and keeps what it was asked.
type vaultStub struct {
	complete func(ctx context.Context, redirect consent.Redirect) (consent.Authorization, error)
	begin    func(fields map[string]any) (consent.Link, error)

	mu        sync.Mutex
	completed []consent.Redirect
	begun     []map[string]any
}

func (v *vaultStub) Begin(_ context.Context, fields map[string]any) (consent.Link, error) {
	v.mu.Lock()
	v.begun = append(v.begun, fields)
	v.mu.Unlock()
	return v.begin(fields)
}

func (v *vaultStub) Complete(ctx context.Context, redirect consent.Redirect) (consent.Authorization, error) {
	v.mu.Lock()
	v.completed = append(v.completed, redirect)
	v.mu.Unlock()
	return v.complete(ctx, redirect)
}

func (v *vaultStub) completions() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.completed)
}

func authorized() consent.Authorization {
	return consent.Authorization{
		Account: "acme", Region: "eu", SellingPartnerID: "A1EXAMPLE",
		AuthorizedAt: "2026-11-21T12:00:00Z", ExpiresAt: "2027-11-21T12:00:00Z",
	}
}

func succeeding() *vaultStub {
	return &vaultStub{complete: func(context.Context, consent.Redirect) (consent.Authorization, error) { return authorized(), nil }}
}

func failing(status int, text string) *vaultStub {
	return &vaultStub{complete: func(context.Context, consent.Redirect) (consent.Authorization, error) {
		return consent.Authorization{}, &mount.Error{Status: status, Messages: []string{text}}
	}}
}

// stage is a Receiver that is served, and a browser that follows nothing by itself.
type stage struct {
	receiver *consent.Receiver
	address  string
	browser  *http.Client
	stop     context.CancelFunc // as Ctrl-C
	end      func() (consent.Authorization, error)

	mu      sync.Mutex
	notices []string
}

func serve(t *testing.T, settings consent.Settings) *stage {
	t.Helper()
	s := &stage{browser: newBrowser(t)}
	settings.Path = "/callback"
	settings.Notice = func(text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notices = append(s.notices, text)
	}
	receiver, err := consent.NewReceiver(settings)
	require.NoError(t, err)
	s.receiver = receiver
	if settings.LoginPath == "" {
		receiver.Expect(credential.New("the-state"), time.Now().Add(time.Hour))
	}
	s.serve(t)
	return s
}

func (s *stage) serve(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = "https://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	ended, pair := make(chan struct{}), certificate(t)
	var done consent.Authorization
	var failed error
	go func() {
		defer close(ended)
		done, failed = consent.Serve(ctx, listener, pair, s.receiver)
	}()
	s.end = func() (consent.Authorization, error) {
		<-ended
		return done, failed
	}
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

func (s *stage) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.notices, "\n")
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// another is another browser at the same stage.
func (s *stage) another(t *testing.T) *stage {
	t.Helper()
	return &stage{receiver: s.receiver, address: s.address, browser: newBrowser(t)}
}

// response is an answer with its body read.
type response struct {
	*http.Response
	page string
}

func (s *stage) send(t *testing.T, method, path string) response {
	t.Helper()
	answer, err := s.try(t.Context(), method, path)
	require.NoError(t, err)
	return answer
}

func (s *stage) get(t *testing.T, path string) response {
	t.Helper()
	return s.send(t, http.MethodGet, path)
}

func (s *stage) try(ctx context.Context, method, path string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.address+path, nil)
	if err != nil {
		return response{}, err
	}
	resp, err := s.browser.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	return response{resp, string(body)}, err
}

// follow goes where a redirect leads, which must be on this server.
func (s *stage) follow(t *testing.T, from response) response {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, from.StatusCode, from.page)
	return s.get(t, from.Header.Get("Location"))
}

// divert opens a path with a query. Its page has to be at an address without one.
func (s *stage) divert(t *testing.T, path string) response {
	t.Helper()
	away := s.get(t, path)
	require.Equal(t, http.StatusSeeOther, away.StatusCode, path)
	require.Regexp(t, `^/callback/answer/[A-Z2-7]{20,}$`, away.Header.Get("Location"), "no query, and nobody can guess it")
	require.Empty(t, away.page, path)
	return s.follow(t, away)
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
