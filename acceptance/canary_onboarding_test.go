// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// newCode is a code of Amazon's for a callback, which is watched from now on.
func (c *canary) newCode(account string) string {
	code := c.amazon.NewCode(c.clientID, account, "")
	c.credentials.add("code of "+account, code)
	return code
}

// begin is an authorization whose state is watched: it stands in the answer that
// hands it out and nowhere else.
func (c *canary) begin(t *testing.T, account string, more ...any) (state string) {
	t.Helper()
	state = c.mount.begin(t, account, more...).text("state")
	c.states.add("state of "+account, state)
	return state
}

// authorizeAccounts completes authorizations, with and without success.
func (c *canary) authorizeAccounts(t *testing.T) {
	t.Helper()
	c.offerConsent()
	c.ok(t, http.MethodPost, "config", map[string]any{"application_id": c.applicationID()})
	callback := func(state, code string) *answer {
		return c.call(t, http.MethodPost, "authorize/callback", map[string]any{"state": state, "spapi_oauth_code": code, "selling_partner_id": onePartner})
	}
	given := callback(c.begin(t, "given"), c.newCode("given"))
	require.Equal(t, http.StatusOK, given.Status, "%s", given.Raw)
	c.read(t, "given")
	for _, kind := range amazontest.Faults() {
		account := "given-" + string(kind)
		state, code := c.begin(t, account), c.newCode(account)
		c.amazon.SetAccountFault(account, amazontest.Fault{Kind: kind, Delay: time.Millisecond, Changed: c.marker("refresh token that came with a code")})
		callback(state, code)
		callback(state, code)
		// Forgets that Amazon refused the client.
		c.ok(t, http.MethodPost, "config", map[string]any{"request_timeout": "1s"})
	}
	c.amazon.ClearFaults()
	state, forged := c.begin(t, "given", "reauthorize", true), newMarker()
	c.credentials.add("forged code", forged)
	require.Equal(t, http.StatusBadRequest, callback(state, forged).Status)
	c.credentials.add("forged state", forged+"state")
	require.Equal(t, http.StatusBadRequest, callback(forged+"state", c.newCode("nobody")).Status)
	c.call(t, http.MethodPost, "authorize/callback", map[string]any{"state": []any{forged}, "spapi_oauth_code": map[string]any{"x": forged}})
	c.call(t, http.MethodPost, "authorize/callback", []byte(`{"spapi_oauth_code": "`+forged+`"`))
	appstore := c.marker("amazon_state that is not used")
	for _, uri := range []string{"https://evil.example/" + appstore, "https://" + appstore + "@amazon.com/apps/authorize/confirm/x"} {
		c.call(t, http.MethodPost, "authorize/url", map[string]any{"account": "shop", "amazon_callback_uri": uri, "amazon_state": appstore, "selling_partner_id": onePartner})
	}
}

// migrateAccounts sends MWS tokens to an Amazon that takes them, refuses them,
// echoes them, or knows nothing of them any more.
func (c *canary) migrateAccounts(t *testing.T) {
	t.Helper()
	migrate := func(token string) int {
		return c.call(t, http.MethodPost, "migrate/migrated", map[string]any{"selling_partner_id": onePartner, "developer_id": "1234", "mws_auth_token": token}).Status
	}
	c.ok(t, http.MethodPost, "config", map[string]any{"sp_api_endpoint": c.amazon.SPAPIEndpoint()})
	token := "amzn.mws." + c.marker("MWS token")
	require.Equal(t, http.StatusBadRequest, migrate(token), "it is gone")
	c.amazon.OfferMigration(c.clientID, onePartner, "1234", token)
	require.Equal(t, http.StatusOK, migrate(token))
	c.read(t, "migrated")
	require.Equal(t, http.StatusBadRequest, migrate(c.marker("unknown MWS token")))
	for _, kind := range amazontest.SellingPartnerFaults() {
		c.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: kind, Delay: time.Millisecond})
		migrate(c.marker("MWS token without its shape"))
	}
	c.amazon.ClearFaults()
	c.ok(t, http.MethodPatch, "config", map[string]any{"sp_api_endpoint": nil})
}

// useControl runs spapictl: an import with lines that Amazon refuses and lines that
// are none, authorizations with a redirect that is pasted, and status.
func (c *canary) useControl(t *testing.T) {
	t.Helper()
	run := func(stdin string, args ...string) {
		t.Helper()
		p := c.startControl(t, c.stage.RootToken(), args...)
		_, err := io.WriteString(p.stdin, stdin)
		require.NoError(t, errors.Join(err, p.stdin.Close()))
		<-p.ended
		c.hear("spapictl "+strings.Join(args, " "), []byte(p.stdout.String()+p.stderr.String()))
	}
	c.amazon.AddRefreshToken(c.clientID, "imported", c.marker("imported refresh token"))
	file := filepath.Join(t.TempDir(), "sellers.csv")
	require.NoError(t, os.WriteFile(file, []byte("account,refresh_token,metadata\nimported,"+c.marker("imported refresh token")+",\n"+
		"refused,"+c.marker("refused line")+",\ntwice/,"+c.marker("line that is none")+",\nimported,"+c.marker("second line of an account")+",x=y\n"+
		"quoted,\""+c.marker("quoted line")+",\n"), 0o600))
	run("", "import", "--dry-run", file)
	run("", "import", file)
	run("", "import", "--update", "-format=json", file)
	require.Equal(t, http.StatusOK, c.read(t, "imported").Status)
	run("LWA_CLIENT_ID="+c.clientID+"\nLWA_CLIENT_SECRET="+c.marker("client secret of a file")+"\nLWA_REFRESH_TOKEN="+c.marker("refresh token of an env file"), "import", "--type=env", "--account=piped", "-")
	run("SP_API_REFRESH_TOKEN_broken='"+c.marker("refresh token of a broken file"), "import", "--type=env", "-")
	run("broken: {refresh_token: "+c.marker("refresh token of a broken map"), "import", "--type=yaml", "-")

	p := c.startControl(t, c.stage.RootToken(), "authorize", "pasted", "--marketplace=US")
	link, err := url.Parse("https://" + p.waitForLine(t, &p.stdout, "https://"))
	require.NoError(t, err)
	c.states.add("state of pasted", link.Query().Get("state"))
	redirect, err := c.amazon.Consent(link.String(), onePartner)
	require.NoError(t, err)
	c.credentials.add("code of pasted", redirect.Query().Get("spapi_oauth_code"))
	_, err = io.WriteString(p.stdin, redirect.String()+"\n")
	require.NoError(t, err)
	p.exits(t, 0)
	c.hear("spapictl authorize", []byte(strings.Replace(p.stdout.String(), link.String(), "", 1)+p.stderr.String()))
	require.Equal(t, http.StatusOK, c.read(t, "pasted").Status)
	run("https://app.example/?state="+c.marker("state that is pasted")+"&spapi_oauth_code="+c.marker("code that is pasted")+"&selling_partner_id=A1\n", "authorize", "other", "--marketplace=US")
	run("", "status", "-format=json")
	run("", "status")
}
