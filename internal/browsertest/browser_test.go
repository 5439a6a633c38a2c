// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package browsertest_test

import (
	"bytes"
	"fmt"
	"html"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/browsertest"
)

// shop is a server for two hosts: at amazon.com a form, whose answer leads to
// app.example and there to a page without a query.
func shop(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET amazon.com/consent", func(w http.ResponseWriter, _ *http.Request) {
		page(w, `<form method="post"><label><input type="radio" name="seller" value="A1">First</label>`+
			`<label><input type="radio" name="seller" value="A2" id="second">Second</label><button id="confirm">Confirm</button></form>`)
	})
	mux.HandleFunc("POST amazon.com/consent", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://app.example/callback?code=tell-nobody&seller="+r.PostFormValue("seller"), http.StatusFound)
	})
	mux.HandleFunc("app.example/callback", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/result/"+r.FormValue("seller"), http.StatusSeeOther)
	})
	mux.HandleFunc("app.example/result/{seller}", func(w http.ResponseWriter, r *http.Request) {
		page(w, `<p id="seller">`+html.EscapeString(r.PathValue("seller"))+`</p><p hidden>not to be seen</p>`)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	return server
}

func page(w io.Writer, body string) {
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>shop</title><h1>Welcome</h1>%s`, body)
}

// visit starts a browser in which both hosts are the server.
func visit(tb testing.TB, server *httptest.Server) *browsertest.Browser {
	tb.Helper()
	address := server.Listener.Addr().String()
	return browsertest.Start(tb, browsertest.Options{Resolve: map[string]string{"amazon.com": address, "app.example": address}})
}

func TestAVisitorFillsInAForm(t *testing.T) {
	t.Parallel()
	b := visit(t, shop(t))
	b.Open("https://amazon.com/consent?state=x")
	b.WaitVisible("#confirm")
	require.Equal(t, "https://amazon.com/consent?state=x", b.URL())
	b.Click("#second")
	b.Follow("#confirm")

	require.Equal(t, "https://app.example/result/A2", b.URL())
	require.Equal(t, "A2", b.Text("#seller"))
	require.NotContains(t, b.Text("body"), "not to be seen")
	require.Contains(t, b.Source(), "not to be seen")
	require.Equal(t, []string{"about:blank", "https://amazon.com/consent?state=x", "https://app.example/result/A2"}, b.History())

	picture := filepath.Join(t.TempDir(), "page.png")
	b.Screenshot(picture)
	raw, err := os.ReadFile(picture)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
}

func TestEachBrowserHasItsOwnCookies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "visited", Value: "yes"})
		page(w, fmt.Sprintf(`<p>%d cookies</p>`, len(r.Cookies())))
	}))
	t.Cleanup(server.Close)
	for range 2 {
		b := browsertest.Start(t, browsertest.Options{})
		b.Open(server.URL)
		require.Equal(t, "0 cookies", b.Text("p"))
		b.Open(server.URL)
		require.Equal(t, "1 cookies", b.Text("p"))
	}
}

func TestOtherHostsAreOutOfReach(t *testing.T) {
	t.Parallel()
	server := shop(t)
	for _, address := range []string{"https://www.amazon.com/?code=tell-nobody", "http://192.0.2.1/"} {
		complaint := failureOf(t, func(w *witness) { visit(w, server).Open(address) })
		require.Contains(t, complaint, "ERR_NAME_NOT_RESOLVED", address)
		require.NotContains(t, complaint, "tell-nobody")
	}
}

func TestAFailureTellsThePageWithoutItsQuery(t *testing.T) {
	t.Parallel()
	server := shop(t)
	complaint := failureOf(t, func(w *witness) {
		b := visit(w, server)
		b.Open("https://amazon.com/consent?state=tell-nobody#or-this")
		b.Click("###")
	})
	require.Contains(t, complaint, "clicking on ###")
	require.Contains(t, complaint, "page https://amazon.com/consent\n")
	require.Contains(t, complaint, "Welcome")
	require.NotContains(t, complaint, "tell-nobody")
	require.NotContains(t, complaint, "or-this")
}

// witness is a test that may fail: it keeps what that said.
type witness struct {
	testing.TB
	complaint string
}

func (w *witness) Fatalf(format string, args ...any) {
	w.complaint = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf is what a test says that has to fail.
func failureOf(t *testing.T, test func(*witness)) string {
	t.Helper()
	w := &witness{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(w)
	}()
	<-done
	require.NotEmpty(t, w.complaint, "the test fails")
	return w.complaint
}

func TestNothingIsLeftBehind(t *testing.T) {
	// Here, because both we and chromedp put the browser's files there.
	files, err := os.MkdirTemp("", "") //nolint:usetesting // the path has to be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(files)) })
	t.Setenv("TMPDIR", files)
	var running string
	t.Run("visit", func(t *testing.T) {
		visit(t, shop(t)).Open("https://amazon.com/consent")
		running = processesOf(t, files)
	})
	require.Contains(t, running, "--host-resolver-rules", "the browser is seen while it runs")
	require.Empty(t, processesOf(t, files))
	left, err := os.ReadDir(files)
	require.NoError(t, err)
	require.Empty(t, left)
}

// processesOf lists the processes that were started with a directory.
func processesOf(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-ww", "-o", "pid=,args=").Output()
	require.NoError(t, err)
	var found strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) {
			found.WriteString(line)
		}
	}
	return found.String()
}
