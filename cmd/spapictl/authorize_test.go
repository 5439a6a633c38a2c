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

// A proxy's answer does not say what Vault did. What then finds the state used may
// have been stored before.
func TestAuthorizeUnknown(t *testing.T) {
	byProxy := func(status int) engineAnswer {
		return func(map[string]any) (int, any) { return status, "upstream timed out" }
	}
	const unknown = "so it is unknown whether the authorization was stored: see spapictl status\n"
	for name, c := range map[string]struct {
		answers  []engineAnswer
		requests int
	}{
		"timed out":        {[]engineAnswer{byProxy(504)}, 1},
		"bad gateway":      {[]engineAnswer{byProxy(502)}, 1},
		"unavailable":      {[]engineAnswer{byProxy(503), byProxy(503), byProxy(503), byProxy(503)}, 4},
		"unavailable once": {[]engineAnswer{byProxy(503), refuses(400, "the state was used before")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: inTurn(c.answers...)})
			run := newControl(redirectOfTest())
			require.Equal(t, 1, run.run(t, "authorize", "acme", "--marketplace=DE"))
			require.True(t, strings.HasSuffix(run.stderr.String(), unknown), run.stderr.String())
			require.Len(t, e.requests(), 1+c.requests)
		})
	}
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
	require.Regexp(t, `interrupted before an address was pasted \(the link stays valid in Vault until \d\d:\d\d:\d\d UTC\)\n$`, c.stderr.String())
}

func TestAuthorizeInterruptedBetweenAttempts(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: refuses(503, "Amazon could not be reached")})
	c := newControl(redirectOfTest())
	c.app.pause = func(context.Context, time.Duration) error { return context.Canceled }
	require.Equal(t, 1, c.run(t, "authorize", "acme", "--marketplace=DE"))
	require.Regexp(t, `spapictl: interrupted: Vault could not complete the authorization \(the link stays valid in Vault until .*\): Amazon could not be reached\n$`, c.stderr.String())
}

// Vault may have stored what it was asked when the command was interrupted.
func TestAuthorizeInterruptedWhileVaultIsAsked(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: func(map[string]any) (int, any) {
		interrupt()
		return 504, ""
	}})
	c := newControl(redirectOfTest())
	require.Equal(t, 1, c.app.execute(ctx, []string{"authorize", "acme", "--marketplace=DE"}))
	require.Contains(t, c.stderr.String(), "so it is unknown whether the authorization was stored: see spapictl status\n")
}

// full is a stream that takes so many bytes.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

// What could not be printed is an error.
func TestFullOutput(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: doneAnswer(), list: gives(accountsOfTest())})
	c := newControl(redirectOfTest())
	c.app.out = &full{}
	require.Equal(t, 1, c.run(t, "authorize", "acme", "--marketplace=DE"))
	require.Contains(t, c.stderr.String(), "spapictl: the link could not be printed: no space left on device\n")
	require.Len(t, e.requests(), 1, "nothing is asked")

	c = newControl(redirectOfTest())
	c.app.out = &full{left: len(linkOfTest) + 1}
	require.Equal(t, 1, c.run(t, "authorize", "acme", "--marketplace=DE"))
	require.Contains(t, c.stderr.String(), "spapictl: account acme is authorized, but that could not be printed: no space left on device\n")

	for _, format := range []string{"table", "json"} {
		c = newControl("")
		c.app.out = &full{left: 20}
		require.Equal(t, 1, c.run(t, "status", "--format="+format))
		require.Contains(t, c.stderr.String(), "no space left on device")
	}
}

// Lines that come one by one are one paste.
func TestReadPaste(t *testing.T) {
	c, chunks := newControl(""), make(chan []byte)
	c.app.quiet = func(pasted string) <-chan time.Time {
		ready := make(chan time.Time, 1)
		if strings.HasSuffix(pasted, "3\n") {
			ready <- time.Time{}
		}
		return ready
	}
	go func() {
		for _, chunk := range []string{"\n", "line 1\n", "line", " 2", "\r", "line 3\n"} {
			chunks <- []byte(chunk)
		}
	}()
	run := &authorization{app: c.app}
	require.Equal(t, "line 1\nline 2\nline 3\n", run.readPaste(t.Context(), chunks))
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
		{"authorize", codeOfTest + "/", "--marketplace=DE"},
		{"authorize", redirectOfTest(), "--marketplace=DE"},
		{"authorize", "Atzr|" + codeOfTest, "--marketplace=DE"},
		{"authorize", "acme", redirectOfTest(), "--marketplace=DE"},
		{"authorize", "acme", "--marketplace-ids=\"" + codeOfTest},
		{"authorize", "acme", "--draft=" + redirectOfTest()},
		{"authorize", "acme", "--" + codeOfTest},
		{"authorize", "acme", "-" + codeOfTest},
		{"authorize", "acme", "-Atzr|" + codeOfTest},
		{"authorize", "acme", "--=" + codeOfTest},
		{"authorize", "acme", "---" + codeOfTest},
		{"authorize", "acme", "--redirect-uri"},
		{"import", "--parallel=" + codeOfTest},
		{"--" + codeOfTest, "status"},
		{"help", codeOfTest},
		{"help", "status", codeOfTest},
		{"completion", "bash", codeOfTest},
		{redirectOfTest()},
		{codeOfTest},
		{"nonsense"},
		{"status", codeOfTest},
		{"status", redirectOfTest()},
		{"status", "--format=" + codeOfTest},
		{"status", "--expires-before=" + codeOfTest},
	} {
		c := newControl("")
		require.Equal(t, 2, c.run(t, args...), "%v", args)
		require.Contains(t, c.stderr.String(), "See: spapictl --help")
		require.Empty(t, c.stdout.String())
	}
}

func TestFlagErrors(t *testing.T) {
	for want, flag := range map[string]string{
		"--draft takes a value of type bool": "--draft=" + codeOfTest, "--redirect-uri needs a value": "--redirect-uri", "there is no such flag": "--" + codeOfTest,
	} {
		c := newControl("")
		require.Equal(t, 2, c.run(t, "authorize", "acme", flag))
		require.Equal(t, "spapictl: "+want+"\nSee: spapictl --help, spapictl COMMAND --help\n", c.stderr.String())
	}
}

// A mount path is no place for an address with a code.
func TestMountsThatAreNone(t *testing.T) {
	c := newControl("")
	require.Equal(t, 1, c.run(t, "status", "--mount="+strings.TrimSpace(redirectOfTest())))
	require.Contains(t, c.stderr.String(), "the mount path is not made of names")
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"-h"}, {"-help"}, {"authorize", "-help"}, {"status", "--help"}, {"help"}, {"help", "authorize"}, {"--version"}} {
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
	program := "#!/bin/sh\n{ printf '%s\\n' \"$@\"; read -r pid _ _ _ group session _ </proc/$$/stat; echo $pid $group $session; env; cat \"$1\"; } >" + called + ".part && mv " + called + ".part " + called + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(program), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("VAULT_TOKEN", tokenOfTest)
	t.Setenv("VAULT_WRAP_TTL", tokenOfTest)

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
	require.Contains(t, page, "DISPLAY=:0")
	require.NotContains(t, page, tokenOfTest, "the browser needs nothing of Vault's")
	ids := strings.Fields(page)[:3]
	require.Equal(t, []string{ids[0], ids[0], ids[0]}, ids, "Ctrl-C in this terminal is not meant for it")
	forget()
	require.NoDirExists(t, filepath.Dir(argument))
}
