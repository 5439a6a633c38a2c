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

// authorizeFromAppstore waits for the right partner to come from the Appstore.
func (o *onboarding) authorizeFromAppstore(t *testing.T) *visit {
	t.Helper()
	return o.authorize(t, "--appstore", "--selling-partner-id="+onePartner, "--redirect-uri="+redirectURI, "--region=eu")
}

func TestBrowserAppstore(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v := o.authorizeFromAppstore(t)
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
	v := o.authorizeFromAppstore(t)
	v.clickAuthorize(o, onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
}

// The log-in page is open to everybody, and so turns away all but the one who is
// meant, who can still come after them.
func TestBrowserAppstoreOtherPartner(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v := o.authorizeFromAppstore(t)
	v.clickAuthorize(o, anotherPartner)
	v.requirePage(t, "bad", "not expected")
	require.NotContains(t, v.Source(), onePartner, "nobody is told who is meant")
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
