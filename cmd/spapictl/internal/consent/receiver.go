// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// Settings of a Receiver.
type Settings struct {
	Vault Vault
	Path  string // of the redirect URI
	// Appstore workflow: the path of the log-in URI, the selling partner who is
	// meant, and the fields of authorize/url.
	LoginPath string
	Partner   string
	Fields    map[string]any
	// Notice is told what happens, by one caller at a time. It gets no secret.
	Notice func(text string)
	// Done is told of the authorization as soon as Vault has stored it.
	Done func(Authorization)
}

// Receiver is the handler that Amazon's redirect ends at. It completes one
// authorization.
type Receiver struct {
	Settings
	pages      pages
	diverted   diverted
	invitation *invitation   // nil without the Appstore workflow
	attempts   *Attempts     // of the exchange that runs, if any
	result     string        // path of the page that says what came of it
	ended      chan struct{} // closed when the outcome is there
	followed   chan struct{} // has an element after owed changed
	noticing   sync.Mutex
	logins     sync.Mutex    // Vault is asked for one link at a time
	patience   time.Duration // after Ctrl-C

	stranger, secondBrowser sync.Once // notices of what anybody can do as often as they like

	mu       sync.Mutex
	states   []expected
	phase    phase
	redirect Redirect      // of the exchange that runs, or may be repeated
	exchange chan struct{} // closed when the exchange has ended
	done     Authorization
	err      error // of the last exchange
	owed     int   // browsers that are led to the result and have not fetched it
}

// expected is a state with which a browser may come back.
type expected struct {
	state     credential.Secret
	expiresAt time.Time
}

type phase int

const (
	waiting    phase = iota // for a redirect
	exchanging              // Vault was asked
	repeatable              // Vault gave the state back
	over
)

// NewReceiver makes a Receiver. It expects no state yet.
func NewReceiver(settings Settings) (*Receiver, error) {
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	if settings.Path == "" {
		settings.Path = "/"
	}
	if !path.IsAbs(settings.Path) || (settings.LoginPath != "" && !path.IsAbs(settings.LoginPath)) {
		return nil, errors.New("a path begins with a slash")
	}
	if settings.LoginPath == settings.Path {
		return nil, errors.New("the log-in path and the path of the redirect URI are the same")
	}
	r := &Receiver{
		Settings: settings, pages: pages, diverted: diverted{parent: path.Join(settings.Path, "answer")},
		attempts: &Attempts{Vault: settings.Vault}, patience: interruptLimit,
		// Nobody but the browser that was sent there can know it.
		result: path.Join(settings.Path, "result", rand.Text()),
		ended:  make(chan struct{}), followed: make(chan struct{}, 1),
	}
	if settings.LoginPath != "" {
		r.invitation = newInvitation(settings.Path)
	}
	return r, nil
}

// Expect makes the Receiver take a redirect with this state.
func (r *Receiver) Expect(state credential.Secret, expiresAt time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, expected{state, expiresAt})
}

// ServeHTTP implements http.Handler. It routes by itself: http.ServeMux would
// answer an unclean path with a redirect that repeats the query.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	defer r.tellPanic()
	guard(w.Header())
	methods := r.methods(req.URL.Path)
	if len(methods) == 0 {
		r.answer(w, req, notFoundPage())
		return
	}
	serve, ok := methods[req.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		r.answer(w, req, wrongMethodPage())
		return
	}
	serve(w, req)
}

// tellPanic reports a defect, which net/http would write to a log that is not kept.
// Of what was passed to panic only an error of Go's own is shown: any other may hold
// what the browser sent.
func (r *Receiver) tellPanic() {
	cause := recover()
	if cause == nil {
		return
	}
	if cause != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
		text := fmt.Sprintf("%T", cause)
		if err, ok := cause.(runtime.Error); ok {
			text = err.Error()
		}
		r.notice("a defect of spapictl: " + text + "\n" + string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// methods are those of a path; nil if there is none. A request may have an empty
// path, which no setting must match that is empty as well.
func (r *Receiver) methods(path string) map[string]http.HandlerFunc {
	switch {
	case path == "":
		return nil
	case path == r.Path:
		return map[string]http.HandlerFunc{http.MethodGet: r.invited(r.serveRedirect)}
	case path == r.result:
		return map[string]http.HandlerFunc{http.MethodGet: r.serveResult, http.MethodPost: r.serveRepeat}
	case path == r.LoginPath:
		return map[string]http.HandlerFunc{http.MethodGet: r.invited(r.serveLogin)}
	case path == r.InvitationPath():
		return map[string]http.HandlerFunc{http.MethodGet: r.serveInvitation, http.MethodPost: r.serveTaking}
	case path == "/favicon.ico":
		return map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}}
	}
	if content, ok := r.diverted.find(path); ok {
		return map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, req *http.Request) {
			r.answer(w, req, content)
		}}
	}
	return nil
}

// serveRedirect is where Amazon sends the browser. The answer leads on to an
// address without the code, so that it stays neither in sight nor in history.
func (r *Receiver) serveRedirect(w http.ResponseWriter, req *http.Request) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		r.answer(w, req, unexpectedPage())
		return
	}
	redirect, err := FromQuery(query)
	if !r.expects(redirect.State) {
		r.answer(w, req, unexpectedPage())
		return
	}
	if err != nil {
		r.notice("a redirect without an authorization: " + err.Error() + "; still waiting")
		r.answer(w, req, incompletePage(err))
		return
	}
	r.lead(w, req, redirect)
}

// serveRepeat sends the redirect that is kept to Vault once more.
func (r *Receiver) serveRepeat(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	redirect, phase := r.redirect, r.phase
	r.mu.Unlock()
	if phase == waiting {
		r.answer(w, req, notFoundPage())
		return
	}
	r.lead(w, req, redirect)
}

// lead has the redirect completed, and leads the browser to the result. A browser
// that leaves meanwhile stops nothing.
func (r *Receiver) lead(w http.ResponseWriter, req *http.Request, redirect Redirect) {
	r.owe(1)
	select {
	case <-r.complete(req.Context(), redirect):
	case <-req.Context().Done():
		r.owe(-1)
		return
	}
	seeOther(w, r.result)
}

// owe counts the browsers that are to fetch a result page.
func (r *Receiver) owe(more int) {
	r.mu.Lock()
	r.owed = max(0, r.owed+more)
	r.mu.Unlock()
	select {
	case r.followed <- struct{}{}:
	default:
	}
}

// undelivered reports whether a browser has not fetched a result yet.
func (r *Receiver) undelivered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owed > 0
}

func (r *Receiver) serveResult(w http.ResponseWriter, req *http.Request) {
	if req.URL.RawQuery != "" { // which is none of ours
		seeOther(w, r.result)
		return
	}
	r.mu.Lock()
	content := notFoundPage()
	switch {
	case r.phase == over && r.err == nil:
		content = completePage(r.done)
	case r.phase == over && Unknown(r.err):
		content = unknownPage()
	case r.phase == over:
		content = failedPage(r.err)
	case r.phase != waiting: // what runs was begun from a page such as this
		content = repeatablePage(r.err, r.result)
	}
	r.mu.Unlock()

	r.answer(w, req, content)
	r.owe(-1)
}

// expects compares with all states, each in constant time.
func (r *Receiver) expects(state credential.Secret) bool {
	if state.IsZero() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for _, known := range r.states {
		found = known.state.Equal(state) || found
	}
	return found
}

// complete has Vault exchange the code, once at a time: browsers that come with
// the same redirect wait for one outcome. The channel is closed when it is there.
func (r *Receiver) complete(ctx context.Context, redirect Redirect) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == exchanging || r.phase == over {
		return r.exchange
	}
	r.phase, r.redirect, r.exchange = exchanging, redirect, make(chan struct{})
	ended := r.exchange
	// The browser may leave; Vault's client bounds the time.
	go func() {
		defer close(ended)
		r.settle(r.attempts.Complete(context.WithoutCancel(ctx), redirect))
	}()
	return ended
}

func (r *Receiver) settle(done Authorization, err error) {
	r.mu.Lock()
	if Repeatable(err) {
		r.phase, r.err = repeatable, err
		r.mu.Unlock()
		r.notice("not completed yet: " + err.Error() + "; the page offers to try again")
		return
	}
	r.phase, r.done, r.err, r.redirect = over, done, err, Redirect{}
	r.mu.Unlock()
	close(r.ended)
}

// deadline is when the last state expires, or zero if none is expected. Its caller
// holds the lock, as those of expired and interrupted do.
func (r *Receiver) deadline() time.Time {
	var last time.Time
	for _, known := range r.states {
		if known.expiresAt.After(last) {
			last = known.expiresAt
		}
	}
	return last
}

func (r *Receiver) notice(text string) {
	r.noticing.Lock()
	defer r.noticing.Unlock()
	if r.Notice != nil {
		r.Notice(text)
	}
}

// refusal is what Vault said if it refused: a text for people. The advice that
// ends it is for those who can write to Vault, and left out.
func refusal(err error) (string, bool) {
	failed := (*mount.Error)(nil)
	if errors.As(err, &failed) && failed.Status == http.StatusBadRequest {
		return withoutCommand(failed.Error()), true
	}
	return "", false
}

// withoutCommand cuts a text before the sentence that has the first command for
// Vault. A text without another sentence before it stays as it is.
func withoutCommand(text string) string {
	for _, command := range []string{"vault write ", "vault read ", "vault patch "} {
		if before, _, found := strings.Cut(text, command); found {
			if end := strings.LastIndex(before, ". "); end > 0 {
				text = text[:end]
			}
		}
	}
	return text
}
