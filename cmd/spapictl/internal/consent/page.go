// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageHTML string

// page is what a selling partner sees. All of it is text; the template escapes it.
type page struct {
	Status            int
	Tone              string // good, bad or wait
	Title, Lead, Next string
	Facts             []fact
	Said              string // by Vault or Amazon
	Button, Post      string // a button, and the path to which it posts
	Nonce             string // of the style
}

type fact struct{ Name, Value string }

// pages writes pages, and headers by which nothing of them is kept or leaves.
type pages struct{ template *template.Template }

func newPages() (pages, error) {
	parsed, err := template.New("page").Parse(pageHTML)
	return pages{parsed}, err
}

func (p pages) write(w http.ResponseWriter, content page) {
	content.Nonce = rand.Text()
	var body bytes.Buffer
	if err := p.template.Execute(&body, content); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+content.Nonce+
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(content.Status)
	_, _ = body.WriteTo(w)
}

// guard sets what every answer needs: the address of some holds a code.
func guard(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
}

func completePage(done Authorization) page {
	facts := []fact{{"Account", done.Account}, {"Region", regionName(done.Region)}, {"Selling partner", done.SellingPartnerID}}
	if done.ExpiresAt != "" {
		facts = append(facts, fact{"Valid until", day(done.ExpiresAt)})
	}
	return page{
		Status: http.StatusOK, Tone: "good", Title: "Authorization complete",
		Lead:  "The application can now act for your selling account at Amazon.",
		Facts: facts,
		Next:  "Nothing more. You can close this page. Before the authorization ends, you will be asked for it again; until then you can withdraw it in Seller Central or Vendor Central.",
	}
}

// unknownPage is for an end of which neither good nor bad can be said.
func unknownPage() page {
	return page{
		Status: http.StatusBadGateway, Tone: "wait", Title: "It is not known whether this worked",
		Lead: "You gave your consent. Whether the authorization was stored then could not be found out.",
		Next: "Tell the person who sent you the link: they can see whether your account is connected. Do not begin again before they have answered.",
	}
}

// failedPage is for an end at which nothing was stored.
func failedPage(err error) page {
	failed := page{
		Status: http.StatusBadGateway, Tone: "bad", Title: "Authorization failed",
		Lead: "You gave your consent, but the authorization could not be completed.",
		Next: "Tell the person who sent you the link. A new link is needed; this one has been used.",
	}
	if text, ok := refusal(err); ok {
		failed.Status, failed.Said = http.StatusBadRequest, text
		failed.Lead = "You gave your consent, but the authorization was refused, and nothing was stored."
	}
	return failed
}

func repeatablePage(err error, retry string) page {
	lead := "Your consent has arrived, but it cannot be completed just now. Nothing is lost."
	if Unknown(err) {
		lead = "Your consent has arrived, but it is not known yet whether it was completed. Trying again does no harm."
	}
	return page{
		Status: http.StatusServiceUnavailable, Tone: "wait", Title: "Not complete yet", Lead: lead,
		Next:   "Wait a moment, then try again. Amazon lets a consent be completed for 5 minutes; after that, open the link you were given once more.",
		Button: "Try again", Post: retry,
	}
}

func unexpectedPage() page {
	return page{
		Status: http.StatusBadRequest, Tone: "bad", Title: "This address is not expected",
		Lead: "It does not belong to an authorization that is waited for here. It may come from an older link.",
		Next: "Open the newest link you were given, and give your consent there.",
	}
}

func incompletePage(err error) page {
	return page{
		Status: http.StatusBadRequest, Tone: "bad", Title: "There is no authorization yet",
		Lead: "Amazon sent you back without what is needed to complete it.",
		Said: err.Error(),
		Next: "To authorize the application, open the link you were given once more, and give your consent there.",
	}
}

func invitationPage(path string) page {
	return page{
		Status: http.StatusOK, Tone: "wait", Title: "Connect your selling account",
		Lead:   "You were invited to authorize an application in Amazon's Selling Partner Appstore.",
		Next:   "Continue in the browser in which you use Amazon: the invitation is for one browser.",
		Button: "Continue", Post: path,
	}
}

func invitedPage(partner string) page {
	return page{
		Status: http.StatusOK, Tone: "good", Title: "Now begin in Amazon's Appstore",
		Lead:  "This browser may authorize the application from now on.",
		Facts: []fact{{"Selling partner", partner}},
		Next:  "In this browser, sign in to Amazon with that selling account, open the application in the Selling Partner Appstore, and choose to authorize it. Amazon leads you back here.",
	}
}

func takenPage() page {
	return page{
		Status: http.StatusConflict, Tone: "bad", Title: "This invitation was opened in another browser",
		Lead: "It is for one browser, and another one has taken it.",
		Next: "Go on in the browser in which you opened it first. If that was not you, tell the person who sent you the invitation.",
	}
}

func uninvitedPage() page {
	return page{
		Status: http.StatusForbidden, Tone: "bad", Title: "Open your invitation first",
		Lead: "This browser has not taken the invitation to authorize the application.",
		Next: "Open the invitation you were given in this browser, and continue there. Then begin again in Amazon's Appstore.",
	}
}

func deniedLoginPage() page {
	return page{
		Status: http.StatusForbidden, Tone: "bad", Title: "This selling account is not expected",
		Lead: "Another selling account is to be authorized here than the one from which you came.",
		Next: "Sign in to Amazon with the selling account that is meant, and begin again in the Appstore. If it is the right one, tell the person who asked you for the authorization.",
	}
}

func badLoginPage(said string) page {
	return page{
		Status: http.StatusBadRequest, Tone: "bad", Title: "This cannot go on to Amazon",
		Lead: "The authorization could not be begun.",
		Said: said,
		Next: "Begin again in Amazon's Appstore. If that leads here again, tell the person who asked you for the authorization.",
	}
}

func unavailableLoginPage(status int, lead string) page {
	return page{
		Status: status, Tone: "wait", Title: "Not possible just now", Lead: lead,
		Next: "Wait some minutes, then begin again in Amazon's Appstore.",
	}
}

func overPage() page {
	return page{
		Status: http.StatusConflict, Tone: "bad", Title: "This has been used",
		Lead: "The authorization that was waited for here has come to an end.",
		Next: "You can close this page.",
	}
}

func notFoundPage() page {
	return page{
		Status: http.StatusNotFound, Tone: "bad", Title: "There is nothing here",
		Lead: "This address has no page.",
		Next: "Use the link you were given.",
	}
}

func wrongMethodPage() page {
	return page{
		Status: http.StatusMethodNotAllowed, Tone: "bad", Title: "This is not possible here",
		Lead: "This address can only be opened.",
		Next: "Use the link you were given.",
	}
}

func regionName(region string) string {
	names := map[string]string{"na": "North America (na)", "eu": "Europe (eu)", "fe": "Far East (fe)"}
	if name, ok := names[region]; ok {
		return name
	}
	return region
}

// day writes a time for people, and leaves alone what is none.
func day(stamp string) string {
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return stamp
	}
	return at.UTC().Format("2 January 2006")
}
