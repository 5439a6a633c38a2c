// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// clickAuthorize is the seller's click in Amazon's Appstore: it leads to the
// application's log-in page, back to Amazon, and to the application again.
func (v *visit) clickAuthorize(o *onboarding, partner string) {
	v.Open("https://amazon.com/appstore/" + o.applicationID() + "?selling_partner_id=" + partner)
}

// authorizeFromAppstore waits for the right partner to come from the Appstore. The
// browser has not opened the invitation yet.
func (o *onboarding) authorizeFromAppstore(t *testing.T) (v *visit, invitation string) {
	t.Helper()
	v = o.authorize(t, "--appstore", "--selling-partner-id="+onePartner, "--redirect-uri="+redirectURI, "--region=eu")
	return v, "https://" + v.control.waitForLine(t, &v.control.stdout, "https://")
}

// accept takes the invitation, as the page offers.
func (v *visit) accept(t *testing.T, invitation string) {
	t.Helper()
	v.Open(invitation)
	v.requirePage(t, "wait", "Connect your selling account")
	v.Follow("button")
	v.requirePage(t, "good", "Now begin in Amazon's Appstore")
	require.Contains(t, v.Text("body"), onePartner)
	require.Equal(t, invitation, v.URL())
}

func TestBrowserAppstore(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v, invitation := o.authorizeFromAppstore(t)
	v.accept(t, invitation)
	v.Open(invitation)
	v.requirePage(t, "good", "Now begin in Amazon's Appstore") // and again
	v.clickAuthorize(o, onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
	account := o.ok(t, http.MethodGet, "accounts/acme", nil)
	require.Equal(t, "seller", account.text("kind"))
	require.Equal(t, onePartner, account.text("selling_partner_id"))
}

// Draft applications are opened with version=beta, which has to go back to Amazon.
func TestBrowserAppstoreDraft(t *testing.T) {
	t.Parallel()
	o := newDraftOnboarding(t)
	v, invitation := o.authorizeFromAppstore(t)
	v.accept(t, invitation)
	v.clickAuthorize(o, onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
}

// A seller who comes with another account than the one that is meant can still come
// with the right one.
func TestBrowserAppstoreOtherPartner(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v, invitation := o.authorizeFromAppstore(t)
	v.accept(t, invitation)
	v.clickAuthorize(o, anotherPartner)
	v.requirePage(t, "bad", "not expected")
	v.requireNoQuery(t)

	v.Open("https://app.example/login?amazon_callback_uri=https://evil.example/apps/authorize/confirm/x&amazon_state=x&selling_partner_id=" + onePartner)
	v.requirePage(t, "bad", "cannot go on")
	require.Contains(t, v.Text(".said"), "amazon_callback_uri")
	v.requireNoQuery(t)
	o.refused(t, http.StatusNotFound, http.MethodGet, "accounts/acme", nil)
	require.Zero(t, o.amazon.CodeExchanges())

	v.clickAuthorize(o, onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
}

// A stranger knows the log-in path and the selling partner id, which are no secrets,
// and even a state: without the invitation none of it is of use.
func TestBrowserAppstoreStranger(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v, invitation := o.authorizeFromAppstore(t)
	stranger := v.another(t, o)
	for range 20 { // more than may wait for Amazon
		stranger.clickAuthorize(o, onePartner)
		stranger.requirePage(t, "bad", "Open your invitation first")
		require.NotContains(t, stranger.Source(), onePartner, "nobody is told who is meant")
		stranger.requireNoQuery(t)
	}
	v.accept(t, invitation)
	stranger.Open(invitation)
	stranger.requirePage(t, "bad", "opened in another browser")
	stranger.clickAuthorize(o, onePartner)
	stranger.requirePage(t, "bad", "Open your invitation first")

	begun := o.begin(t, "acme")
	own, err := o.amazon.Consent(begun.text("url"), anotherPartner)
	require.NoError(t, err)
	stranger.Open(own.String())
	stranger.requirePage(t, "bad", "Open your invitation first")
	stranger.requireNoQuery(t)
	require.Zero(t, o.amazon.CodeExchanges())
	o.refused(t, http.StatusNotFound, http.MethodGet, "accounts/acme", nil)

	v.clickAuthorize(o, onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
}
