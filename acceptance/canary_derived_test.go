// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// readDerived reads a token that is not an account's access token, and remembers it.
func (c *canary) readDerived(t *testing.T, path, field string) *answer {
	t.Helper()
	a := c.call(t, http.MethodGet, path, nil)
	if a.Status == http.StatusOK {
		c.tokens.add(field+" of "+path, a.text(field))
	}
	return a
}

// useRestrictedTokens reads restricted and grantless tokens in every way there is,
// while Amazon misbehaves in all of its ways.
func (c *canary) useRestrictedTokens(t *testing.T) {
	t.Helper()
	c.ok(t, http.MethodPost, "config", map[string]any{"sp_api_endpoint": c.amazon.SPAPIEndpoint()})
	c.amazon.SetRestrictedQuota(time.Millisecond, 1000)
	c.ok(t, http.MethodPost, "roles/documents", map[string]any{
		"restricted_resources": `[{"method":"GET","path":"/reports/2021-06-30/documents/{reportDocumentId}"}]`, "path_parameters": "reportDocumentId", "allowed_accounts": "*",
	})
	const document = "?path_parameters=reportDocumentId%3D"
	lease := c.readDerived(t, "restricted/documents/acme"+document+"one", "restricted_data_token")
	require.Equal(t, http.StatusOK, lease.Status, "%s", lease.Raw)
	c.sys().ok(t, http.MethodPut, "sys/leases/lookup", map[string]any{"lease_id": lease.LeaseID})
	c.cli(t, "lease", "lookup", lease.LeaseID)
	c.revoke(t, lease.LeaseID)
	c.cli(t, "read", "-field=expires_in", "spapi/restricted/documents/acme", "path_parameters=reportDocumentId=one")
	grantless := c.readDerived(t, "grantless/notifications", "access_token")
	require.Equal(t, http.StatusOK, grantless.Status, "%s", grantless.Raw)
	c.revoke(t, grantless.LeaseID)
	c.readDerived(t, "grantless/notifications", "access_token")
	for _, kind := range amazontest.RestrictedFaults() {
		account := "rdt-" + string(kind) // each has a rate of its own
		refreshToken := c.marker("refresh token of " + account)
		c.amazon.AddRefreshToken(c.clientID, account, refreshToken)
		c.ok(t, http.MethodPost, "accounts/"+account, map[string]any{"refresh_token": refreshToken, "verify": false})
		if a := c.read(t, account); a.Status != http.StatusOK {
			t.Fatalf("%s", a.Raw)
		}
		c.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: kind, Delay: time.Millisecond})
		c.readDerived(t, "restricted/documents/"+account+document+"one", "restricted_data_token")
		c.amazon.ClearFaults()
	}
	c.cli(t, "read", "spapi/roles/documents")
	c.cli(t, "list", "spapi/roles")
	c.ok(t, http.MethodPatch, "config", map[string]any{"sp_api_endpoint": nil})
}

// useLWA submits credentials where none are needed, as people will.
func (c *canary) useLWA(t *testing.T) {
	t.Helper()
	echoed := func(name string) string {
		marker := newMarker()
		c.echoed.add(name, marker)
		return marker
	}
	exchange := func(path string, body any) {
		t.Helper()
		a := c.call(t, http.MethodPost, path, body)
		var issued struct {
			AccessToken string `json:"access_token"`
		}
		require.NoError(t, json.Unmarshal(a.Raw, &issued))
		if a.Status == http.StatusOK {
			require.NotEmpty(t, issued.AccessToken)
			c.tokens.add("access token of "+path, issued.AccessToken)
		}
	}
	for _, path := range []string{"lwa/token/acme", "lwa/token/nobody", "lwa/token/acme/x", "lwa/grantless/notifications", "lwa/grantless/none"} {
		for _, grant := range []any{"refresh_token", "client_credentials", "authorization_code", c.marker("submitted as grant_type"), nil, map[string]any{"x": c.marker("nested in grant_type")}} {
			exchange(path, map[string]any{
				"grant_type": grant, "refresh_token": echoed("submitted refresh token"), "client_id": c.marker("submitted client id"), "client_secret": c.marker("submitted client secret"),
				"code": c.marker("submitted code"), "odd": []any{map[string]any{"x": c.marker("nested member")}},
			})
			exchange(path, map[string]any{"grant_type": grant, "refresh_token": []any{c.marker("refresh token in a list")}, "scope": c.marker("submitted scope")})
		}
		exchange(path, []byte(`{"refresh_token": "`+c.marker("broken body")+`"`))
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {echoed("refresh token of a form")}, "client_secret": {c.marker("client secret of a form")}}
	exchange("lwa/token/acme", []byte(form.Encode()))
	c.cli(t, "write", "spapi/lwa/token/acme", "grant_type=refresh_token", "client_secret="+c.marker("client secret of the CLI"))
	c.cli(t, "write", "spapi/lwa/token/nobody", "grant_type=refresh_token", "client_secret="+c.marker("client secret of the CLI"))
	c.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultEcho})
	c.stage.reload(t)
	exchange("lwa/token/acme", map[string]any{"grant_type": "refresh_token", "refresh_token": echoed("refresh token in an outage")})
	c.amazon.ClearFaults()
}
