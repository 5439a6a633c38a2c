// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"crypto/rand"
	"net/http"
	"path"
	"sync"

	"vault-plugin-secrets-spapi/backend/credential"
)

// invitation lets one browser take part in the Appstore workflow, where everybody
// can open the log-in path: selling partner ids are no secret, so that a stranger
// could become the account. Who has the invitation opens it first.
type invitation struct {
	path   string
	cookie string // its name, of this run: browsers keep cookies by host, not by port

	mu     sync.Mutex
	holder credential.Secret // the cookie of the browser that took it
}

func newInvitation(redirectPath string) *invitation {
	return &invitation{
		path: path.Join(redirectPath, "begin", rand.Text()), cookie: "__Host-spapictl-" + rand.Text()[:8],
	}
}

// holds reports whether a request is of the browser that took the invitation.
func (i *invitation) holds(req *http.Request) bool {
	cookie, err := req.Cookie(i.cookie)
	i.mu.Lock()
	defer i.mu.Unlock()
	return err == nil && !i.holder.IsZero() && i.holder.Equal(credential.New(cookie.Value))
}

func (i *invitation) taken() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.holder.IsZero()
}

// take gives the invitation to the browser that is answered, if none has it yet.
func (i *invitation) take(w http.ResponseWriter) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.holder.IsZero() {
		return false
	}
	i.holder = credential.New(rand.Text())
	http.SetCookie(w, &http.Cookie{
		Name: i.cookie, Value: i.holder.Reveal(), Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return true
}

// InvitationPath is the path that one browser has to open first; empty without the
// Appstore workflow.
func (r *Receiver) InvitationPath() string {
	if r.invitation == nil {
		return ""
	}
	return r.invitation.path
}

// serveInvitation asks whether to take the invitation: scanners of mail and
// previews of links open what they find, and must not use it up.
func (r *Receiver) serveInvitation(w http.ResponseWriter, req *http.Request) {
	switch {
	case r.isOver():
		r.answer(w, req, overPage())
	case r.invitation.holds(req):
		r.answer(w, req, invitedPage(r.Partner))
	case r.invitation.taken():
		r.refuseSecondBrowser(w, req)
	default:
		r.answer(w, req, invitationPage(r.invitation.path))
	}
}

func (r *Receiver) serveTaking(w http.ResponseWriter, req *http.Request) {
	switch {
	case r.isOver():
		r.answer(w, req, overPage())
	case r.invitation.holds(req):
		seeOther(w, r.invitation.path)
	case r.invitation.take(w):
		r.notice("a browser took the invitation")
		seeOther(w, r.invitation.path)
	default:
		r.refuseSecondBrowser(w, req)
	}
}

func (r *Receiver) refuseSecondBrowser(w http.ResponseWriter, req *http.Request) {
	r.secondBrowser.Do(func() {
		r.notice("a second browser opened the invitation, and was refused; if it is the selling partner's, somebody else has the first: run the command again")
	})
	r.answer(w, req, takenPage())
}

// invited lets a handler serve the browser that took the invitation only.
func (r *Receiver) invited(serve http.HandlerFunc) http.HandlerFunc {
	if r.invitation == nil {
		return serve
	}
	return func(w http.ResponseWriter, req *http.Request) {
		if r.invitation.holds(req) {
			serve(w, req)
			return
		}
		// Strangers may come by the thousand.
		r.stranger.Do(func() {
			r.notice("a browser came that has not taken the invitation, and was refused; more of them are not reported")
		})
		r.answer(w, req, uninvitedPage())
	}
}

func (r *Receiver) isOver() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}
