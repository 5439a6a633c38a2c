// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// mostLogins bounds the log-ins that wait for Amazon at a time: each is a state in
// Vault.
const mostLogins = 16

var errTooManyLogins = errors.New("too many log-ins wait for Amazon")

// serveLogin is where Amazon's Appstore sends a selling partner who wants to
// authorize the application. Source: SP-API documentation, "Selling Partner
// Appstore authorization workflow".
func (r *Receiver) serveLogin(w http.ResponseWriter, req *http.Request) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		r.answer(w, req, badLoginPage("the address has a query that cannot be read"))
		return
	}
	fields := maps.Clone(r.Fields)
	for _, name := range []string{"amazon_callback_uri", "amazon_state", "selling_partner_id"} {
		if fields[name], err = parameter(query, name); err != nil {
			r.answer(w, req, badLoginPage(err.Error()))
			return
		}
	}
	// The browser says so; it keeps an honest seller from the wrong account.
	if fields["selling_partner_id"] != r.Partner {
		r.notice("a log-in of another selling partner was refused; still waiting")
		r.answer(w, req, deniedLoginPage())
		return
	}
	if query.Get("version") == "beta" { // the application is a draft
		fields["draft"] = true
	}
	if r.isOver() {
		r.answer(w, req, overPage())
		return
	}
	link, err := r.begin(req, fields)
	if err != nil {
		r.serveLoginFailure(w, req, err)
		return
	}
	w.Header().Set("Location", link.URL)
	w.WriteHeader(http.StatusFound)
}

// begin has Vault make a link, whose state is then expected.
func (r *Receiver) begin(req *http.Request, fields map[string]any) (Link, error) {
	r.logins.Lock()
	defer r.logins.Unlock()
	if !r.mayBegin(time.Now()) {
		return Link{}, errTooManyLogins
	}
	link, err := r.Vault.Begin(req.Context(), fields)
	if err == nil {
		r.Expect(link.State, link.ExpiresAt)
	}
	return link, err
}

// mayBegin forgets the states that Vault does not take any more, and counts.
func (r *Receiver) mayBegin(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = slices.DeleteFunc(r.states, func(known expected) bool { return !known.expiresAt.After(now) })
	return len(r.states) < mostLogins
}

func (r *Receiver) serveLoginFailure(w http.ResponseWriter, req *http.Request, err error) {
	r.notice("a log-in could not go on to Amazon: " + err.Error() + "; still waiting")
	if errors.Is(err, errTooManyLogins) {
		r.answer(w, req, unavailableLoginPage(http.StatusTooManyRequests, "Too many have begun this authorization and not ended it."))
		return
	}
	if said, refused := refusal(err); refused {
		r.answer(w, req, badLoginPage(said))
		return
	}
	status := http.StatusBadGateway
	if failed := (*mount.Error)(nil); errors.As(err, &failed) && failed.Status == http.StatusServiceUnavailable {
		status = http.StatusServiceUnavailable
	}
	r.answer(w, req, unavailableLoginPage(status, "The service that begins an authorization does not work just now."))
}
