// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	begin    = "PUT spapi/authorize/url"
	complete = "PUT spapi/authorize/callback"
)

func TestAuthorize(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: doneAnswer()})
	c := newControl(redirectOfTest())
	require.Zero(t, c.run(t, "authorize", "acme", "--marketplace", "DE"), c.stderr.String())
	require.Equal(t, []engineRequest{
		{begin, map[string]any{"account": "acme", "marketplace": "DE"}},
		{complete, map[string]any{"state": stateOfTest, "spapi_oauth_code": codeOfTest, "selling_partner_id": "A1EXAMPLE"}},
	}, e.requests())
	require.Equal(t, linkOfTest+`
Account acme is authorized.
  region                    eu
  selling partner           A1EXAMPLE
  authorized at             2026-11-21T12:00:00Z
  authorization expires at  2027-11-21T12:00:00Z
`, c.stdout.String())
}

// A policy may forbid that a field is there at all, so only what was asked for is.
func TestAuthorizeFields(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{"PUT team/sp/authorize/url": refuses(400, "enough")})
	c := newControl("")
	require.Equal(t, 1, c.run(t, "authorize", "-mount=team/sp", "acme", "-marketplace", "JP", "--kind", "vendor", "--draft",
		"--region=fe", "--redirect-uri", "https://app.example/cb", "--marketplace-ids", "A,B", "--metadata", "team=a,b", "--metadata", "note=x=y",
		"--selling-partner-id", "A1EXAMPLE", "--reauthorize", "--force", "--state-ttl", "30m"))
	require.Equal(t, map[string]any{
		"account": "acme", "marketplace": "JP", "kind": "vendor", "draft": true, "region": "fe", "redirect_uri": "https://app.example/cb",
		"marketplace_ids": []any{"A", "B"}, "metadata": map[string]any{"team": "a,b", "note": "x=y"},
		"selling_partner_id": "A1EXAMPLE", "reauthorize": true, "force": true, "state_ttl": "30m",
	}, e.requests()[0].body)
	require.Equal(t, "spapictl: enough\n", c.stderr.String())
}

// Vault is not asked about an address that is none of ours.
func TestAuthorizeAddressesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ pasted, want string }{
		"nothing":       {"", "nothing was pasted"},
		"the link":      {linkOfTest + "\n", "that is the way to Amazon"},
		"foreign state": {redirectedTo("state=another&selling_partner_id=A1&spapi_oauth_code=" + codeOfTest), "the address belongs to another link"},
		"foreign error": {redirectedTo("state=another&error=access_denied"), "the address belongs to another link"},
		"no code":       {redirectedTo("selling_partner_id=A1&state=" + stateOfTest), `no parameter "spapi_oauth_code"`},
		"an error":      {redirectedTo("error=access_denied&state=" + stateOfTest), "Amazon did not authorize the application: access_denied"},
		"too long":      {strings.Repeat(codeOfTest, 10_000), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
			run := newControl(c.pasted)
			require.Equal(t, 1, run.run(t, "authorize", "acme", "--marketplace=DE"))
			require.Contains(t, run.stderr.String(), c.want)
			require.Len(t, e.requests(), 1)
		})
	}
}

func TestAuthorizeRepeats(t *testing.T) {
	away := refuses(503, "Amazon could not be reached")
	newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: inTurn(away, refuses(429, "slow down"), doneAnswer())})
	c := newControl(redirectOfTest())
	require.Zero(t, c.run(t, "authorize", "acme", "--marketplace=DE"))
	require.Len(t, c.waited, 2)
	require.Contains(t, c.stderr.String(), "spapictl: Amazon could not be reached\nTrying again in 2s, 1 of 3\n")

	e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: away})
	c = newControl(redirectOfTest())
	require.Equal(t, 1, c.run(t, "authorize", "acme", "--marketplace=DE"))
	require.Len(t, e.requests(), 1+4)
}

func TestAuthorizeDoesNotRepeat(t *testing.T) {
	for _, status := range []int{400, 403, 500, 502} {
		e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: refuses(status, "the state "+stateOfTest+" is spent")})
		c := newControl(redirectOfTest())
		require.Equal(t, 1, c.run(t, "authorize", "acme", "--marketplace=DE"))
		require.Contains(t, c.stderr.String(), "the state [redacted] is spent")
		require.Len(t, e.requests(), 2)
	}
}

func TestAuthorizeInterrupted(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	c := newControl("")
	in, keep := io.Pipe() // nobody types
	defer keep.Close()    //nolint:errcheck // of a pipe
	c.app.in = in
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- c.app.execute(ctx, []string{"authorize", "acme", "--marketplace=DE"}) }()
	waitForOutput(t, &c.stderr, "paste the address")
	interrupt()
	require.Equal(t, 1, <-ended)
	require.Contains(t, c.stderr.String(), "interrupted before an address was pasted")
}

func TestAuthorizeUsage(t *testing.T) {
	newEngine(t, nil)
	for _, args := range [][]string{
		{"authorize"},
		{"authorize", "acme"},
		{"authorize", "acme", "beta", "--marketplace=DE"},
		{"authorize", "acme", "--marketplace=DE", "--listen=127.0.0.1:0"},
		{"authorize", "acme", "--marketplace=DE", "--listen=127.0.0.1:0", "--tls-cert=x"},
		{"authorize", "acme", "--marketplace=DE", "--tls-cert=x", "--tls-key=x"},
		{"authorize", "acme", "--marketplace=DE", "--metadata=x"},
		{"authorize", "acme", "--appstore"},
		{"authorize", "acme", "--appstore", "--listen=127.0.0.1:0", "--tls-cert=x", "--tls-key=x", "--selling-partner-id=A1", "--marketplace=DE"},
		{"authorize", "acme", "--appstore", "--listen=127.0.0.1:0", "--tls-cert=x", "--tls-key=x"},
		{"authorize", "acme", "--appstore", "--listen=127.0.0.1:0", "--tls-cert=x", "--tls-key=x", "--selling-partner-id=A1", "--login-path=x"},
		{"authorize", "acme", "--marketplace=DE", "--nonsense=" + codeOfTest},
		{"authorize", "acme", "--marketplace=DE", "--draft=" + stateOfTest[:3]},
		{redirectOfTest()},
		{"nonsense"},
		{"status", "x"},
		{"status", "--format=xml"},
		{"status", "--expires-before=soon"},
	} {
		c := newControl("")
		require.Equal(t, 2, c.run(t, args...), "%v", args)
		require.Contains(t, c.stderr.String(), "See: spapictl --help")
		require.Empty(t, c.stdout.String())
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"-h"}, {"-help"}, {"authorize", "-help"}, {"status", "--help"}, {"--version"}} {
		c := newControl("")
		require.Zero(t, c.run(t, args...), "%v", args)
		require.NotEmpty(t, c.stdout.String())
	}
}

// Nothing but dashes changes, and nothing after "--".
func TestOneDash(t *testing.T) {
	require.Equal(t, []string{"--mount=x", "-h", "-", "--a-b", "-1", "--", "-mount=x"},
		twoDashes([]string{"-mount=x", "-h", "-", "-a-b", "-1", "--", "-mount=x"}))
}

func TestPause(t *testing.T) {
	require.NoError(t, pause(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, pause(ctx, time.Hour), context.Canceled)
}

func TestReport(t *testing.T) {
	c := newControl("")
	c.app.started = true
	require.Equal(t, 3, c.app.report(exitError(3)))
	require.Empty(t, c.stderr.String())
	require.Equal(t, 1, c.app.report(errors.New("why")))
	require.Equal(t, "spapictl: why\n", c.stderr.String())
}

// The link goes to the browser in a file that only its user can read, since
// everybody can read the arguments of a process.
func TestForwardToLink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "consent.html")
	require.NoError(t, writeForward(file, linkOfTest+"&x=\"><script>"))
	stat, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stat.Mode().Perm())
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	link := strings.ReplaceAll(linkOfTest, "&", "&amp;")
	require.Contains(t, string(page), `content="0; url=`+link)
	require.Contains(t, string(page), `href="`+link)
	require.NotContains(t, string(page), "<script>")
	require.Error(t, writeForward(file, linkOfTest), "is not written over")
}

func TestOpenInBrowser(t *testing.T) {
	dir := t.TempDir()
	called := filepath.Join(dir, "called")
	program := "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + called + ".part && cat \"$1\" >>" + called + ".part && mv " + called + ".part " + called + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(program), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("WAYLAND_DISPLAY", "")

	t.Setenv("DISPLAY", "")
	openInBrowser(linkOfTest)() // without a screen: nothing
	t.Setenv("DISPLAY", ":0")
	forget := openInBrowser(linkOfTest)
	var text string
	waitFor(t, "the browser", func() bool {
		raw, err := os.ReadFile(called)
		text = string(raw)
		return err == nil
	})
	argument, page, _ := strings.Cut(text, "\n")
	require.FileExists(t, argument)
	require.Contains(t, page, stateOfTest)
	forget()
	require.NoDirExists(t, filepath.Dir(argument))
}
