// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package browsertest drives a real browser, a headless Chromium, through pages
// of tests.
//
// Names that a test maps lead to servers of the test, and all others nowhere:
// nothing that a page does reaches the network. The browser ends with its test,
// and its files go with it.
package browsertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// What a loaded machine may take. No test waits for one of these to pass, except
// to fail.
const (
	startLimit  = 3 * time.Minute
	stepLimit   = 2 * time.Minute
	reportLimit = 20 * time.Second
)

// Options say how a browser is started.
type Options struct {
	// Resolve maps names of hosts to the addresses (host:port) of the servers
	// that play them, whatever the port in a URL. 127.0.0.1 is always itself.
	// Certificates are not checked.
	Resolve map[string]string
}

// Browser is a running browser with one page. Its methods fail the test when
// what they do fails, so only the test's own goroutine may call them.
type Browser struct {
	tb  testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it
}

// Binary returns the path of a Chromium or Chrome: $SPAPI_TEST_CHROMIUM, else
// what scripts/get-chromium.sh finds or installs.
func Binary(ctx context.Context) (string, error) {
	return vaulttest.FromScript(ctx, "SPAPI_TEST_CHROMIUM", "get-chromium.sh")
}

// Start starts a browser with a new profile. It is killed when the test ends.
func Start(tb testing.TB, opts Options) *Browser {
	tb.Helper()
	binary, err := Binary(tb.Context())
	if err != nil {
		tb.Fatalf("looking for a browser: %v", err)
	}
	home := newHome(tb)
	living, kill := context.WithCancelCause(tb.Context())
	// The profile is a directory of chromedp's, which it removes.
	allocator, _ := chromedp.NewExecAllocator(living, flags(binary, home, opts)...)
	// The log of chromedp would hold addresses, and what fails is told anyway.
	ctx, end := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	tb.Cleanup(func() {
		kill(nil)
		end()
		chromedp.FromContext(ctx).Allocator.Wait()
	})
	// The browser lives as long as the context of its first action, so that
	// this one cannot have a deadline.
	watchdog := time.AfterFunc(startLimit, func() { kill(errors.New("it took too long")) })
	defer watchdog.Stop()
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("starting the browser %s: %v", binary, errors.Join(err, context.Cause(living)))
	}
	return &Browser{tb: tb, ctx: ctx}
}

// newHome makes a directory for what the browser writes beside its profile. It
// is removed at the end, after the browser. The path of a test's own
// directory may be too long for the socket that the browser makes in it.
func newHome(tb testing.TB) string {
	tb.Helper()
	home, err := os.MkdirTemp("", "browser-") //nolint:usetesting // the path has to be short
	if err != nil {
		tb.Fatalf("making a directory for the browser: %v", err)
	}
	tb.Cleanup(func() {
		// The browser's handlers of crashes end when they find it gone.
		err := vaulttest.WaitFor(context.Background(), "the end of the browser", func() (bool, error) {
			running, err := runningWith(home)
			return !running, err
		})
		if err := errors.Join(err, os.RemoveAll(home)); err != nil {
			tb.Errorf("cleaning up after the browser: %v", err)
		}
	})
	return home
}

// runningWith reports whether a process was started with a text among its
// arguments. Without /proc it knows none.
func runningWith(text string) (bool, error) {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return false, err
	}
	for _, process := range processes {
		// That of a process which has ended cannot be read, or is empty.
		if arguments, err := os.ReadFile(process); err == nil && bytes.Contains(arguments, []byte(text)) {
			return true, nil
		}
	}
	return false, nil
}

// flags are those of chromedp and ours. The browser gets next to nothing of our
// environment: it may hold credentials.
func flags(binary, home string, opts Options) []chromedp.ExecAllocatorOption {
	return append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(binary),
		chromedp.NoInheritEnv,
		chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home, "LANG=C.UTF-8"),
		chromedp.DisableGPU,
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // As root it does not start with one.
		chromedp.Flag("disable-dev-shm-usage", true),   // Containers have little of it.
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.IgnoreCertErrors,
		chromedp.Flag("host-resolver-rules", resolverRules(opts.Resolve)),
	)
}

// resolverRules are Chromium's, of which the first that fits counts.
func resolverRules(resolve map[string]string) string {
	var rules []string
	for host, address := range resolve {
		rules = append(rules, fmt.Sprintf("MAP %s %s", host, address))
	}
	slices.Sort(rules)
	return strings.Join(append(rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"), ", ")
}
