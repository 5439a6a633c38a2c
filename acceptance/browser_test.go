// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/browsertest"
)

// onboarding is a mount to which selling partners authorize accounts, through
// spapictl and Amazon's pages.
type onboarding struct {
	*mount
	pages     string // address of Amazon's pages
	token     string // Vault token that spapictl runs with
	cert, key string // files with the certificate of app.example
}

// newOnboarding is for sellers who authorize accounts that do not exist.
func newOnboarding(t *testing.T) *onboarding {
	t.Helper()
	o := &onboarding{mount: shared.newConsentMount(t)}
	var err error
	o.pages, err = o.amazon.ServeConsentTLS()
	require.NoError(t, err)
	o.cert, o.key = writeCertificate(t)
	o.runWith(t, "site")
	return o
}

// newDraftOnboarding is newOnboarding for an application that was not published.
func newDraftOnboarding(t *testing.T) *onboarding {
	t.Helper()
	o := newOnboarding(t)
	o.amazon.AddApplication(amazontest.Application{
		ID: o.applicationID(), ClientID: o.clientID, RedirectURIs: []string{redirectURI}, LoginURI: loginURI, Draft: true,
	})
	return o
}

// runWith has spapictl run with a policy of the examples, from now on.
func (o *onboarding) runWith(t *testing.T, policy string) {
	t.Helper()
	policy = o.writePolicy(t, policy, example(t, "onboarding/"+policy+".hcl"))
	var err error
	o.token, err = o.stage.CreateToken(t.Context(), []string{policy}, "1h")
	require.NoError(t, err)
}

// writeCertificate writes a certificate that the browser is told to accept.
func writeCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("tls.crt", "CERTIFICATE", pair.Certificate[0]), write("tls.key", "PRIVATE KEY", private)
}

// visit is a seller's browser, while spapictl plays the application.
type visit struct {
	*browsertest.Browser
	control     *control
	token       string // Vault's, of spapictl
	application string // where it listens
	link        string // that spapictl printed
}

// authorize starts spapictl, and a browser for which app.example is where that
// listens.
func (o *onboarding) authorize(t *testing.T, args ...string) *visit {
	t.Helper()
	c := o.startControl(t, o.token, append([]string{"authorize", "acme", "--listen=127.0.0.1:0", "--tls-cert=" + o.cert, "--tls-key=" + o.key}, args...)...)
	address, ok := strings.CutSuffix(c.waitForLine(t, &c.stderr, "Listening on "), " for "+redirectURI)
	require.True(t, ok, c.stderr.String())
	return &visit{control: c, token: o.token, application: address, Browser: o.browser(t, address)}
}

// browser starts a browser in which the application is at that address.
func (o *onboarding) browser(t *testing.T, application string) *browsertest.Browser {
	t.Helper()
	return browsertest.Start(t, browsertest.Options{Resolve: map[string]string{
		"sellercentral-europe.amazon.com": o.pages, "vendorcentral.amazon.de": o.pages, "amazon.com": o.pages, "app.example": application,
	}})
}

// another is the visit of somebody else, in a browser of their own.
func (v *visit) another(t *testing.T, o *onboarding) *visit {
	t.Helper()
	visitor := *v
	visitor.Browser = o.browser(t, v.application)
	return &visitor
}

// authorizeByLink is authorize, and opens the link that spapictl prints.
func (o *onboarding) authorizeByLink(t *testing.T, args ...string) *visit {
	t.Helper()
	v := o.authorize(t, append(args, "--marketplace=DE")...)
	v.link = "https://" + v.control.waitForLine(t, &v.control.stdout, "https://")
	v.Open(v.link)
	return v
}

// consent signs in as a selling partner and confirms.
func (v *visit) consent(partner string) {
	v.Click(`input[value="` + partner + `"]`)
	v.Follow("#confirm")
}

// requirePage requires a page of spapictl's: its tone is good, bad or wait.
func (v *visit) requirePage(t *testing.T, tone, title string) {
	t.Helper()
	require.Contains(t, v.Text("h1"), title, v.Text("body"))
	v.WaitVisible("main." + tone)
}

// requireDone requires the end of an authorization that went well, for the seller
// and for whoever runs spapictl.
func (v *visit) requireDone(t *testing.T, m *mount, partner string) {
	t.Helper()
	v.requirePage(t, "good", "complete")
	page := v.Text("body")
	for _, part := range []string{"acme", "Europe (eu)", partner} {
		require.Contains(t, page, part)
	}
	v.requireSilence(t, m)
	v.control.exits(t, 0)
	require.Contains(t, v.control.stdout.String(), "Account acme is authorized.")
	v.requireSilence(t, m)
}

// requireSilence requires that neither the browser nor spapictl keeps anything
// secret of the authorization for which Amazon was asked last.
func (v *visit) requireSilence(t *testing.T, m *mount) {
	t.Helper()
	form, _ := m.amazon.LastRequest()
	require.Equal(t, "authorization_code", form.Get("grant_type"))
	state := ""
	if v.link != "" {
		link, err := url.Parse(v.link)
		require.NoError(t, err)
		state = link.Query().Get("state")
	}
	v.requireNoTrace(t, m, form.Get("code"), state)
}

// requireNoTrace requires that neither the browser nor spapictl keeps a code, a
// state if one is given, or another credential.
func (v *visit) requireNoTrace(t *testing.T, m *mount, code, state string) {
	t.Helper()
	v.requireNoQuery(t)
	var secrets, states scanner
	secrets.add("code", code)
	secrets.add("access token", "Atza|")
	secrets.add("refresh token", "Atzr|")
	secrets.add("client secret", m.clientSecret)
	secrets.add("Vault token", v.token)
	printed := v.control.stdout.String()
	if v.link != "" { // What has to be opened has to be printed.
		printed = strings.Replace(printed, v.link, "", 1)
	}
	if state != "" {
		states.add("state", state)
	}
	for where, text := range map[string]string{
		"address": v.URL(), "page": v.Source(), "spapictl's stdout": printed, "spapictl's stderr": v.control.stderr.String(),
		"spapictl's arguments": strings.Join(v.control.cmd.Args, " "),
	} {
		require.Empty(t, secrets.find([]byte(text)), where)
		require.Empty(t, states.find([]byte(text)), where)
	}
	for _, address := range v.History() {
		require.Empty(t, secrets.find([]byte(address)), "history")
		if !strings.HasPrefix(address, v.link) { // where Amazon asks for the consent
			require.Empty(t, states.find([]byte(address)), "history")
		}
	}
}

// requireNoQuery requires that the browser has come to a page of spapictl's, and
// that its address and those in the history have no query.
func (v *visit) requireNoQuery(t *testing.T) {
	t.Helper()
	require.True(t, strings.HasPrefix(v.URL(), redirectURI+"/"), "it is another page")
	for _, address := range append(v.History(), v.URL()) {
		if strings.HasPrefix(address, "https://app.example/") {
			_, _, query := strings.Cut(address, "?")
			require.False(t, query, "an address has a query") // which is not for a log
		}
	}
}

// requireToken requires that the account's token is that of a selling partner.
func (o *onboarding) requireToken(t *testing.T, partner string) *answer {
	t.Helper()
	a := o.ok(t, http.MethodGet, "token/acme", nil)
	owner, live := o.amazon.AccountOf(a.accessToken())
	require.True(t, live)
	require.Equal(t, partner, owner)
	require.Equal(t, partner, a.text("selling_partner_id"))
	return a
}

func timeOf(t *testing.T, a *answer, field string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, a.text(field))
	require.NoError(t, err, field)
	return at
}

// A seller follows the link that spapictl prints, consents at Amazon, and reads
// that all is well; a year later again.
func TestBrowserSeller(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	began := time.Now().Truncate(time.Second)
	v := o.authorizeByLink(t, "--metadata=team=pricing")
	require.Equal(t, o.applicationID(), v.Text("#application"))
	require.True(t, strings.HasPrefix(v.URL(), "https://sellercentral-europe.amazon.com/apps/authorize/consent?"))
	v.consent(onePartner)
	v.requireDone(t, o.mount, onePartner)

	o.requireToken(t, onePartner)
	require.Equal(t, 1, o.amazon.CodeExchanges())
	require.Zero(t, o.amazon.Exchanges(onePartner), "the token that came with the authorization serves readers")
	account := o.ok(t, http.MethodGet, "accounts/acme", nil)
	for field, want := range map[string]any{
		"kind": "seller", "region": "eu", "selling_partner_id": onePartner, "status": "active", "metadata": map[string]any{"team": "pricing"},
	} {
		require.Equal(t, want, account.Data[field], field)
	}
	require.Equal(t, 365*24*time.Hour, timeOf(t, account, "authorization_expires_at").Sub(timeOf(t, account, "authorized_at")))
	require.WithinRange(t, timeOf(t, account, "authorized_at"), began, time.Now())
	require.Contains(t, v.Text("body"), timeOf(t, account, "authorization_expires_at").Format("2 January 2006"))

	o.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"token_min_ttl": "7m", "marketplace_ids": "A1PA6795UKMFR9", "generate_lease": false})
	settings := o.ok(t, http.MethodGet, "accounts/acme", nil)
	refused := o.startControl(t, o.token, "authorize", "acme", "--marketplace=DE")
	refused.exits(t, 1)
	require.Contains(t, refused.stderr.String(), "exists already")
	denied := o.startControl(t, o.token, "authorize", "acme", "--marketplace=DE", "--reauthorize")
	denied.exits(t, 1)
	require.Contains(t, denied.stderr.String(), "Vault denied it")

	o.runWith(t, "renewals")
	again := o.authorizeByLink(t, "--reauthorize")
	again.consent(onePartner)
	again.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
	require.Equal(t, 2, o.amazon.CodeExchanges())
	renewed := o.ok(t, http.MethodGet, "accounts/acme", nil)
	require.NotEqual(t, settings.text("refresh_token_fingerprint"), renewed.text("refresh_token_fingerprint"))
	require.False(t, timeOf(t, renewed, "authorized_at").Before(timeOf(t, settings, "authorized_at")))
	for _, field := range []string{"token_min_ttl", "marketplace_ids", "generate_lease", "metadata", "kind", "region", "enabled", "created_at", "selling_partner_id"} {
		require.Contains(t, renewed.Data, field)
		require.Equal(t, settings.Data[field], renewed.Data[field], field)
	}
}

// A vendor authorizes an application that was not published yet.
func TestBrowserVendorOfADraft(t *testing.T) {
	t.Parallel()
	o := newDraftOnboarding(t)
	published := o.authorizeByLink(t, "--kind=vendor")
	require.Equal(t, "MD1000", published.Text("#error-code"), "Amazon has no published version")
	require.NoError(t, published.control.cmd.Process.Signal(os.Interrupt))
	published.control.exits(t, 1)
	require.Contains(t, published.control.stderr.String(), "interrupted before anybody came back from Amazon (the link stays valid in Vault until ")

	v := o.authorizeByLink(t, "--kind=vendor", "--draft")
	link, err := url.Parse(v.link)
	require.NoError(t, err)
	require.Equal(t, "vendorcentral.amazon.de", link.Host)
	require.Equal(t, "beta", link.Query().Get("version"))
	v.consent(onePartner)
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
	require.Equal(t, "vendor", o.ok(t, http.MethodGet, "accounts/acme", nil).text("kind"))
}

// A link works once. Who opens an old one finds a page that says so, and can go on
// with the newest.
func TestBrowserOldLink(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	first := o.authorizeByLink(t)
	first.consent(onePartner)
	first.requireDone(t, o.mount, onePartner)
	before := o.ok(t, http.MethodGet, "accounts/acme", nil)

	o.runWith(t, "renewals")
	second := o.authorizeByLink(t, "--reauthorize")
	second.Open(first.link)
	second.consent(onePartner)
	second.requirePage(t, "bad", "not expected")
	second.requireNoQuery(t)
	require.Equal(t, before.Data, o.ok(t, http.MethodGet, "accounts/acme", nil).Data)
	require.Equal(t, 1, o.amazon.CodeExchanges(), "Amazon was not asked")
	spent, err := url.Parse(first.link)
	require.NoError(t, err)
	o.refused(t, http.StatusBadRequest, http.MethodPost, "authorize/callback", map[string]any{
		"state": spent.Query().Get("state"), "spapi_oauth_code": o.amazon.NewCode(o.clientID, onePartner, redirectURI), "selling_partner_id": onePartner,
	}, "the state is unknown")

	second.Open(second.link)
	second.consent(onePartner)
	second.requireDone(t, o.mount, onePartner)
}

// A browser comes back from a link of an earlier run, whose code and state nobody
// has used: they could be, by whoever reads them in the address or the history.
func TestBrowserComesBackTooLate(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	unspent, err := o.amazon.Consent(o.begin(t, "acme").text("url"), onePartner)
	require.NoError(t, err)
	code, state := unspent.Query().Get("spapi_oauth_code"), unspent.Query().Get("state")
	require.NotEmpty(t, code)
	require.NotEmpty(t, state)

	v := o.authorizeByLink(t)
	for path, title := range map[string]string{"/callback": "not expected", "/elsewhere": "nothing here"} {
		unspent.Path = path
		v.Open(unspent.String())
		v.requirePage(t, "bad", title)
		v.requireNoTrace(t, o.mount, code, state)
	}
	require.Zero(t, o.amazon.CodeExchanges())

	v.Open(v.link)
	v.consent(onePartner)
	v.requireDone(t, o.mount, onePartner)
	v.requireNoTrace(t, o.mount, code, state)
}

// Another selling partner than the one who is meant gives a consent that is of no
// use.
func TestBrowserOtherPartner(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v := o.authorizeByLink(t, "--selling-partner-id="+onePartner)
	v.consent(anotherPartner)
	v.requirePage(t, "bad", "failed")
	require.Contains(t, v.Text(".said"), "selling_partner_id")
	require.NotContains(t, v.Text("body"), "vault write", "it is not for sellers")
	v.requireNoQuery(t)
	v.control.exits(t, 1)
	require.Contains(t, v.control.stderr.String(), "selling_partner_id")
	require.Contains(t, v.control.stderr.String(), "vault write "+o.path+"/authorize/url")
	require.NotContains(t, v.control.stdout.String(), "authorized")
	require.Zero(t, o.amazon.CodeExchanges())
	o.refused(t, http.StatusNotFound, http.MethodGet, "accounts/acme", nil)
}

// While Amazon cannot be reached, the page offers to try again.
func TestBrowserTriesAgain(t *testing.T) {
	t.Parallel()
	o := newOnboarding(t)
	v := o.authorizeByLink(t)
	o.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	v.consent(onePartner)
	v.requirePage(t, "wait", "Not complete yet")
	v.requireSilence(t, o.mount)
	v.Follow("button")
	v.requirePage(t, "wait", "Not complete yet")
	o.amazon.ClearFaults()
	v.Follow("button")
	v.requireDone(t, o.mount, onePartner)
	o.requireToken(t, onePartner)
}
