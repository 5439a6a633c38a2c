// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
	"slices"
)

const (
	maxPageBody = 64 << 10

	consentPage = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{{.Site}} (simulated)</title></head>
<body>
<h1>Authorize an application</h1>
<p>The application <code id="application">{{.Application}}</code> asks for access to your account.</p>
<form method="post">
<input type="hidden" name="page_token" value="{{.Token}}">
<fieldset><legend>Sign in as</legend>
{{range .Partners -}}
<label><input type="radio" name="selling_partner_id" value="{{.}}" required> {{.}}</label>
{{end -}}
</fieldset>
<button type="submit" id="confirm">Confirm</button>
</form>
</body>
</html>
`
	errorPage = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Error (simulated)</title></head>
<body>
<h1>This did not work</h1>
<p>Application: <code id="application">{{.Application}}</code></p>
{{if .Code}}<p>Error code: <code id="error-code">{{.Code}}</code></p>{{end}}
<p id="error">{{.Text}}</p>
</body>
</html>
`
)

func newPages() *template.Template {
	pages := template.Must(template.New("consent").Parse(consentPage))
	template.Must(pages.New("error").Parse(errorPage))
	return pages
}

// addPages adds what a browser visits.
func (s *Server) addPages(mux *http.ServeMux) {
	mux.HandleFunc(consentPath, s.serveConsent)
	mux.HandleFunc(confirmPath+"{application}", s.serveConfirm)
	mux.HandleFunc(appstorePath+"{application}", s.serveAppstore)
}

func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	q, ok := s.visit(w, r, http.MethodGet, http.MethodPost)
	switch {
	case !ok:
	case r.Method == http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxPageBody)
		if err := r.ParseForm(); err != nil {
			s.showError(w, &pageError{http.StatusBadRequest, q.Get("application_id"), "", "the form cannot be read"})
			return
		}
		target, refused := s.giveConsent(q, r.PostForm)
		s.leave(w, target, refused)
	default:
		form, refused := s.openConsent(q)
		if refused != nil {
			s.showError(w, refused)
			return
		}
		form.Site = siteName(r.Host)
		s.showPage(w, http.StatusOK, "consent", form)
	}
}

func (s *Server) serveConfirm(w http.ResponseWriter, r *http.Request) {
	if q, ok := s.visit(w, r, http.MethodGet); ok {
		target, refused := s.confirmAppstore(r.PathValue("application"), q)
		s.leave(w, target, refused)
	}
}

func (s *Server) serveAppstore(w http.ResponseWriter, r *http.Request) {
	if q, ok := s.visit(w, r, http.MethodGet); ok {
		target, refused := s.openAppstore(r.PathValue("application"), q.Get("selling_partner_id"))
		s.leave(w, target, refused)
	}
}

// visit reads the query of a request that may be made at all. HEAD is not among
// the methods: what looks without visiting must not use up anything.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, methods ...string) (url.Values, bool) {
	w.Header().Set("Cache-Control", "no-store")
	if !slices.Contains(methods, r.Method) {
		w.Header()["Allow"] = methods
		s.showError(w, &pageError{http.StatusMethodNotAllowed, "", "", "the method is not allowed"})
		return nil, false
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.showError(w, &pageError{http.StatusBadRequest, "", "", "the query cannot be read"})
		return nil, false
	}
	return q, true
}

// leave sends the browser on. 303, because it must not post what it posted here.
func (s *Server) leave(w http.ResponseWriter, target string, refused *pageError) {
	if refused != nil {
		s.showError(w, refused)
		return
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

func (s *Server) showError(w http.ResponseWriter, e *pageError) {
	s.showPage(w, e.status, "error", map[string]string{"Application": e.application, "Code": e.code, "Text": e.text})
}

func (s *Server) showPage(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		panic(err) // only templates and types of this package
	}
	w.Header().Set("Content-Type", contentTypeHTML)
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes())
}
