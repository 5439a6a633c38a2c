// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"path"
	"sync"
)

// mostDiverted bounds the pages that are kept: whoever passes by can have one made.
const mostDiverted = 256

// diverted keeps pages for browsers that came with a query. It may hold a code
// that can still be used, or a state; where the page is shown there is none.
type diverted struct {
	parent string // of their paths

	mu   sync.Mutex
	kept []divertedPage // the oldest first
}

type divertedPage struct {
	path    string
	content page
}

// keep returns the path under which a page is shown from now on. Nobody but the
// browser that is sent there can know it.
func (d *diverted) keep(content page) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	added := divertedPage{path.Join(d.parent, rand.Text()), content}
	d.kept = append(d.kept[max(0, len(d.kept)+1-mostDiverted):], added)
	return added.path
}

func (d *diverted) find(path string) (content page, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.kept {
		if known.path == path {
			return known.content, true
		}
	}
	return page{}, false
}

// answer shows a page; if the browser came with a query, at an address without,
// so that the query stays neither in sight nor in history.
func (r *Receiver) answer(w http.ResponseWriter, req *http.Request, content page) {
	if req.Method == http.MethodGet && req.URL.RawQuery != "" {
		seeOther(w, r.diverted.keep(content))
		return
	}
	r.pages.write(w, content)
}

func seeOther(w http.ResponseWriter, path string) {
	w.Header().Set("Location", (&url.URL{Path: path}).EscapedPath())
	w.WriteHeader(http.StatusSeeOther)
}
