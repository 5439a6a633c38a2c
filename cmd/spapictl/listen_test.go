// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.NoError(t, vaulttest.WaitFor(t.Context(), what, func() (bool, error) { return cond(), nil }))
}

func waitForOutput(t *testing.T, out *output, part string) {
	t.Helper()
	waitFor(t, part, func() bool { return strings.Contains(out.String(), part) })
}

// certificateFiles writes a certificate and its key, and gives the flags for them.
func certificateFiles(t *testing.T) (flags []string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name+".pem")
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return "--tls-" + name + "=" + file
	}
	return []string{write("cert", "CERTIFICATE", der), write("key", "PRIVATE KEY", private)}
}

// listening is a command that runs with --listen.
type listening struct {
	*control
	address   string
	jar       http.CookieJar // of the browser
	interrupt context.CancelFunc
	ended     chan int
}

func listen(t *testing.T, args ...string) *listening {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	l := &listening{control: newControl(""), jar: jar, ended: make(chan int, 1)}
	ctx, interrupt := context.WithCancel(t.Context())
	l.interrupt = interrupt
	args = append(append(args, "--listen=127.0.0.1:0"), certificateFiles(t)...)
	go func() { l.ended <- l.app.execute(ctx, args) }()
	ready := regexp.MustCompile(`(?m)^Listening on (\S+) for (\S+)$`)
	waitFor(t, "the listener", func() bool {
		match := ready.FindStringSubmatch(l.stderr.String())
		if match != nil {
			l.address = match[1]
		}
		return match != nil
	})
	return l
}

// end waits for the exit status.
func (l *listening) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-l.ended:
		l.requireNoSecrets(t)
		return code
	case <-t.Context().Done():
		require.FailNow(t, "it goes on")
		return -1
	}
}

// browse opens a path as a browser does, to which app.example is the listener. It
// returns the page and its address.
func (l *listening) browse(t *testing.T, path string) (page, address string, status int) {
	t.Helper()
	return l.send(t, http.MethodGet, "https://app.example"+path)
}

func (l *listening) send(t *testing.T, method, url string) (page, address string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.address)
		},
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Jar: l.jar}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body), resp.Request.URL.String(), resp.StatusCode
}

func TestListen(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: doneAnswer()})
	l := listen(t, "authorize", "acme", "--marketplace=DE")
	waitForOutput(t, &l.stdout, linkOfTest+"\n")
	_, address, status := l.browse(t, "/callback?state=another&spapi_oauth_code=x&selling_partner_id=A1")
	require.Equal(t, http.StatusBadRequest, status)
	require.Regexp(t, `^https://app\.example/callback/answer/\w+$`, address)

	page, address, status := l.browse(t, strings.TrimSpace(strings.TrimPrefix(redirectOfTest(), "https://app.example")))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "Authorization complete")
	require.Regexp(t, `^https://app\.example/callback/result/\w+$`, address)
	require.Zero(t, l.end(t), l.stderr.String())
	require.Contains(t, l.stdout.String(), "Account acme is authorized.")
	require.Len(t, e.requests(), 2)
}

func TestListenThatVaultRefuses(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: refuses(400, "the code was refused by Amazon")})
	l := listen(t, "authorize", "acme", "--marketplace=DE")
	page, _, _ := l.browse(t, strings.TrimSpace(strings.TrimPrefix(redirectOfTest(), "https://app.example")))
	require.Contains(t, page, "the code was refused by Amazon")
	require.Equal(t, 1, l.end(t))
	require.Contains(t, l.stderr.String(), "spapictl: the code was refused by Amazon\n")
}

func TestListenInterrupted(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	l := listen(t, "authorize", "acme", "--marketplace=DE")
	l.interrupt()
	require.Equal(t, 1, l.end(t))
	require.Contains(t, l.stderr.String(), "interrupted")
}

func TestListenUntilTheLinkExpires(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: gives(map[string]any{"url": linkOfTest, "state": stateOfTest, "expires_at": "2020-01-01T00:00:00Z"})})
	l := listen(t, "authorize", "acme", "--marketplace=DE")
	require.Equal(t, 1, l.end(t))
	require.Contains(t, l.stderr.String(), "before the link expired")
}

// What cannot work fails before Vault has made a state, and repeats no argument.
func TestListenThatCannot(t *testing.T) {
	e := newEngine(t, nil)
	pair := certificateFiles(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close() //nolint:errcheck // of the test
	listen := func(address string, flags ...string) []string {
		return slices.Concat(pair, flags, []string{"--listen=" + address})
	}
	for want, flags := range map[string][]string{
		"reading the file of --tls-cert: no such file":  listen("127.0.0.1:0", "--tls-cert=/none"+codeOfTest),
		"reading the file of --tls-key: no such file":   listen("127.0.0.1:0", "--tls-key=/none"+codeOfTest),
		"the certificate of --listen: tls: ":            listen("127.0.0.1:0", strings.Replace(pair[0], "--tls-cert", "--tls-key", 1)),
		"--listen: invalid port":                        listen("127.0.0.1:99999"),
		"--listen: missing port in address":             listen(codeOfTest),
		"--listen: bind: address already in use":        listen(taken.Addr().String()),
		"the redirect URI is no address that begins":    listen("127.0.0.1:0", "--redirect-uri=http://app.example/?"+codeOfTest),
		"spapictl: the redirect URI is no address that": listen("127.0.0.1:0", "--redirect-uri="+codeOfTest),
	} {
		c := newControl("")
		require.Equal(t, 1, c.run(t, append(flags, "authorize", "acme", "--marketplace=DE")...), want)
		require.Contains(t, c.stderr.String(), want)
	}
	require.Empty(t, e.requests())
}

// The redirect URI is the flag's, else the link's, which has the config's. A query of
// its own is not shown.
func TestListenRedirectURI(t *testing.T) {
	link := func(query string) map[string]engineAnswer {
		return map[string]engineAnswer{begin: gives(map[string]any{
			"url": "https://sellercentral.amazon.com/apps/authorize/consent?" + query + "state=" + stateOfTest, "state": stateOfTest, "expires_at": "2020-01-01T00:00:00Z",
		})}
	}
	for want, c := range map[string]struct {
		answers map[string]engineAnswer
		flag    string
	}{
		" for https://app.example/cb\n":    {link("redirect_uri=https%3A%2F%2Fapp.example%2Fcb&"), "--redirect-uri="},
		" for https://app.example/other\n": {link(""), "--redirect-uri=https://app.example/other?x=" + codeOfTest},
		" for /\n":                         {link(""), "--redirect-uri="},
	} {
		newEngine(t, c.answers)
		run := newControl("")
		require.Equal(t, 1, run.app.execute(t.Context(), append(certificateFiles(t), "authorize", "acme", "--marketplace=US", "--listen=127.0.0.1:0", c.flag)))
		require.Contains(t, run.stderr.String(), want)
		require.NotContains(t, run.stderr.String(), codeOfTest)
	}
}

// The invitation is on the host of the redirect URI, which has to be known.
func TestListenForTheAppstoreNeedsTheHost(t *testing.T) {
	const config = "GET spapi/config"
	appstore := append(certificateFiles(t), "authorize", "acme", "--appstore", "--selling-partner-id=A1", "--listen=127.0.0.1:0")
	for want, answer := range map[string]engineAnswer{
		"--appstore needs to know the redirect URI":               refuses(404, ""),
		"give --redirect-uri, or write redirect_uri to the confi": gives(map[string]any{"redirect_uri": ""}),
		"as --redirect-uri was not given: Vault denied it":        refuses(403, "permission denied"),
		"the redirect URI is no address":                          gives(map[string]any{"redirect_uri": "app.example"}),
	} {
		newEngine(t, map[string]engineAnswer{config: answer})
		c := newControl("")
		require.Equal(t, 1, c.run(t, appstore...))
		require.Contains(t, c.stderr.String(), want)
		require.Empty(t, c.stdout.String())
	}
	newEngine(t, map[string]engineAnswer{config: gives(map[string]any{"redirect_uri": "https://app.example:444/a b/cb?x=y"})})
	l := listen(t, "authorize", "acme", "--appstore", "--selling-partner-id=A1")
	waitForOutput(t, &l.stdout, "\n")
	require.Regexp(t, `^https://app\.example:444/a%20b/cb/begin/[A-Z2-7]{20,}\n$`, l.stdout.String())
	l.interrupt()
	require.Equal(t, 1, l.end(t))
}

func TestListenForTheAppstore(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{begin: gives(map[string]any{
		// In the place of Amazon: the confirmation leads straight back.
		"url":   "https://app.example/callback?spapi_oauth_code=" + codeOfTest + "&selling_partner_id=A1EXAMPLE&state=" + stateOfTest,
		"state": stateOfTest, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}), complete: doneAnswer()})
	l := listen(t, "authorize", "acme", "--appstore", "--selling-partner-id=A1EXAMPLE", "--redirect-uri=https://app.example/callback", "--reauthorize")
	require.Contains(t, l.stderr.String(), "Listening on "+l.address+" for https://app.example/callback\n")
	waitForOutput(t, &l.stdout, "\n")
	invitation := strings.TrimSpace(l.stdout.String())
	require.Regexp(t, `^https://app\.example/callback/begin/\w+$`, invitation)

	const login = "/login?amazon_callback_uri=https://amazon.com/apps/authorize/confirm/x&amazon_state=amazons-state&selling_partner_id="
	_, address, status := l.browse(t, login+"A1EXAMPLE")
	require.Equal(t, http.StatusForbidden, status, "without the invitation")
	require.Regexp(t, `^https://app\.example/callback/answer/\w+$`, address)
	require.Empty(t, e.requests())

	page, _, _ := l.send(t, http.MethodPost, invitation)
	require.Contains(t, page, "Now begin in Amazon&#39;s Appstore")
	page, _, status = l.browse(t, login+"A2OTHER")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, page, "This selling account is not expected")

	page, _, _ = l.browse(t, login+"A1EXAMPLE")
	require.Contains(t, page, "Authorization complete")
	require.Zero(t, l.end(t), l.stderr.String())
	require.Equal(t, 1, strings.Count(l.stdout.String(), "://"), "there is no link to print")
	require.NotContains(t, l.stderr.String(), "amazons-state")
	require.Equal(t, map[string]any{
		"account": "acme", "selling_partner_id": "A1EXAMPLE", "redirect_uri": "https://app.example/callback", "reauthorize": true,
		"amazon_callback_uri": "https://amazon.com/apps/authorize/confirm/x", "amazon_state": "amazons-state",
	}, e.requests()[0].body)
}
