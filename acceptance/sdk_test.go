// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// afterTokens is when Amazon's tokens are expired.
const afterTokens = time.Hour + time.Second

// passHour has an hour passed for Amazon, the plugin and a client: tokens that any
// of them knows are expired.
func (p *proxied) passHour(t *testing.T, c *sdkClient) {
	t.Helper()
	p.forgetTokens(t)
	p.ageAmazon(afterTokens)
	c.order(t, map[string]any{"pass": afterTokens.Seconds()})
}

// forgetTokens has the plugin forget its tokens, as if they had expired: its clock
// is the real one.
func (p *proxied) forgetTokens(t *testing.T) {
	t.Helper()
	p.ok(t, http.MethodDelete, "config", nil)
	p.writeConfig(t)
}

// newProxied is a mount with the account acme behind a proxy.
func newProxied(t *testing.T, policy, listener string) *proxied {
	t.Helper()
	m := shared.newMount(t)
	m.addAccount(t, "acme", "region", "eu")
	return m.behindProxy(t, policy, listener)
}

// An hour later every client asks Vault once for another token, and SP-API
// takes it.
func TestSDKsRenewTokens(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	for _, name := range everySDK() {
		t.Run(name, func(t *testing.T) {
			p.forgetTokens(t)
			c := p.startClient(t, name, "acme")
			for _, kind := range []string{sellerCall, grantlessCall} {
				require.Equal(t, 1, c.calls(t, kind), "the first call of %s asks for a token", kind)
				require.Zero(t, c.calls(t, kind), "the second call of %s has one", kind)
			}
			p.passHour(t, c)
			before := p.amazon.SellingPartnerRequests()
			for _, kind := range []string{sellerCall, grantlessCall} {
				require.Equal(t, 1, c.calls(t, kind), "%s: one for another token, whatever SP-API said to the old one", kind)
				require.Equal(t, 0, c.calls(t, kind), kind)
			}
			calls := 4
			if name == amazonSPAPIHook || name == amazonSPAPI {
				calls += 2 // It hears from SP-API that its tokens are expired.
			}
			require.Equal(t, calls, p.amazon.SellingPartnerRequests()-before)
			c.end(t)
		})
	}
}

// Calls that come while there is no token share one request for it.
func TestSDKsShareOneRequest(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	for _, name := range []string{spAPISDKHook, spAPISDK} {
		c := p.startClient(t, name, "acme")
		answer := c.order(t, map[string]any{"call": sellerCall, "at_once": 5})
		require.Nil(t, answer.Error, "%+v", answer.Error)
		require.Equal(t, 1, answer.TokenRequests)
		c.end(t)
	}
}

// Amazon's tokens live for so long in the test that waits for their end: the
// plugin hands none out that has less than half of it left.
const sdkLifetime = 20 * time.Second

// amazon-sp-api keeps a token until SP-API calls it expired, and then repeats the
// call with whatever it is given: with the same token it would do so for ever.
func TestSDKGoesOnWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	p.amazon.SetTokenLifetime(sdkLifetime)
	p.forgetTokens(t)
	ctx, cancel := context.WithTimeout(t.Context(), sdkWait)
	defer cancel()
	clients := []*sdkClient{p.startClient(t, amazonSPAPIHook, "acme"), p.startClient(t, amazonSPAPI, "acme")}
	for _, c := range clients {
		require.Positive(t, c.calls(t, sellerCall))
		require.Positive(t, c.calls(t, grantlessCall))
	}
	for _, c := range clients {
		for _, kind := range []string{sellerCall, grantlessCall} {
			require.NoError(t, vaulttest.WaitFor(ctx, "a token to expire", func() (bool, error) {
				return c.calls(t, kind) > 0, nil
			}))
		}
		c.end(t)
	}
	require.GreaterOrEqual(t, p.amazon.Exchanges("acme"), 3, "one proved the account, one came first, one later")
}

// What goes wrong is told by the client in Vault's words, after one request.
func TestSDKsTellWhatVaultSaid(t *testing.T) {
	t.Parallel()
	p := newProxied(t, `path "spapi/lwa/*" { capabilities = ["update"] }`, "")
	for _, name := range everySDK() {
		t.Run(name, func(t *testing.T) {
			nobody, acme := p.startClient(t, name, "nobody"), p.startClient(t, name, "acme")

			p.requireTold(t, nobody.fails(t, sellerCall), "lwa/token/nobody", http.StatusBadRequest, "invalid_grant")

			p.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"enabled": false})
			p.requireTold(t, acme.fails(t, sellerCall), "lwa/token/acme", http.StatusBadRequest, "access_denied")

			p.ok(t, http.MethodPatch, "accounts/acme", map[string]any{"enabled": true})
			p.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
			p.requireTold(t, acme.fails(t, sellerCall), "lwa/token/acme", http.StatusServiceUnavailable, "temporarily_unavailable")

			p.amazon.RevokeAuthorization("acme")
			p.amazon.ClearFaults()
			p.addAccount(t, "acme")
			require.Equal(t, 1, acme.calls(t, sellerCall), "it works again when the account does")
			nobody.end(t)
			acme.end(t)
		})
	}
}

// requireTold requires that an error of a client holds what Vault says itself.
func (p *proxied) requireTold(t *testing.T, answer sdkAnswer, path string, status int, code string) {
	t.Helper()
	said := p.call(t, http.MethodPost, path, map[string]any{"grant_type": "refresh_token"})
	require.Equal(t, status, said.Status, "%s", said.Raw)
	var members struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	require.NoError(t, json.Unmarshal(said.Raw, &members))
	require.Equal(t, code, members.Error)
	told := answer.Error
	if len(told.Body) == 0 || string(told.Body) == "null" { // It has put the members into its own error.
		require.Equal(t, code, told.Code, told.Message)
		require.Equal(t, members.Description, told.Message)
		return
	}
	require.Equal(t, status, told.Status)
	require.JSONEq(t, string(said.Raw), string(told.Body))
}

// Without the proxy there are no tokens, and no client asks again and again.
func TestSDKsWithoutTheProxy(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	require.NoError(t, p.proxy.Stop(t.Context()))
	for _, name := range everySDK() {
		c := p.startClient(t, name, "acme")
		answer := c.fails(t, sellerCall)
		require.Contains(t, answer.Error.Code+answer.Error.Message, "ECONNREFUSED")
		c.end(t)
	}
}

// The preload is not only for the ways in which SDKs call https, and need not be
// the first that is loaded.
func TestSDKPreloadServesPlainHTTPS(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	c := p.startClient(t, plainHTTPS, "acme")
	require.Equal(t, 1, c.calls(t, sellerCall))
	require.Equal(t, 1, c.calls(t, grantlessCall))
	c.end(t)
}

// What the policy does not open stays closed, and what Vault says is told.
func TestSDKsTellWhatThePolicyDenies(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	p.addAccount(t, "globex")
	for _, name := range []string{amazonSPAPIHook, spAPISDKHook} {
		c := p.startClient(t, name, "globex")
		answer := c.fails(t, sellerCall)
		require.Equal(t, "access_denied", answer.Error.Code)
		require.Equal(t, http.StatusForbidden, answer.Error.Status)
		require.Contains(t, answer.Error.Message, "permission denied")
		require.Equal(t, 1, c.calls(t, grantlessCall))
		c.end(t)
	}
}

// A proxy that insists on Vault's header, so that no page in a browser can reach
// it, serves the hooks and the preload.
func TestSDKsSendTheRequestHeader(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "require_request_header = true")
	for _, name := range []string{amazonSPAPIHook, amazonSPAPI, officialSDK} {
		c := p.startClient(t, name, "acme")
		require.Equal(t, 1, c.calls(t, sellerCall))
		require.Equal(t, 1, c.calls(t, grantlessCall))
		c.end(t)
	}
}

// A refresh token that was pasted where the name of an account belongs goes
// nowhere: not into a URL, nor into what is said about it.
func TestSDKsKeepWhatWasPasted(t *testing.T) {
	t.Parallel()
	p := newProxied(t, sdkPolicy(t), "")
	for _, name := range everySDK() {
		pasted := "Atzr|" + newMarker()
		c := p.startClient(t, name, pasted)
		answer := c.order(t, map[string]any{"call": sellerCall})
		require.NotNil(t, answer.Error)
		require.Zero(t, answer.TokenRequests)
		require.Contains(t, answer.Error.Message, "the name of an account in Vault")
		require.Equal(t, 1, c.calls(t, grantlessCall))
		if name == amazonSPAPI { // Nor does an authorization code.
			answer := c.order(t, map[string]any{"call": "exchange"})
			require.Zero(t, answer.TokenRequests)
			require.Contains(t, answer.Error.Message, "Vault serves the grants")
		}
		c.end(t)
		var secrets scanner
		secrets.add("pasted", pasted)
		for where, text := range map[string]string{
			"stdout": c.stdout.String(), "stderr": c.stderr.String(), "proxy": p.proxy.Logs(),
		} {
			require.Empty(t, secrets.find([]byte(text)), where)
		}
	}
}

// Neither clients nor the proxy write down what is secret, at any level.
func TestSDKsAndTheProxyKeepSilent(t *testing.T) {
	t.Parallel()
	s := ownStage(t, vaulttest.Options{LogLevel: "trace"})
	m := s.newBareMount(t, "spapi")
	m.writeConfig(t)
	var secrets scanner
	secrets.add("refresh token", m.addAccount(t, "acme", "region", "eu"))
	secrets.add("client secret", m.clientSecret)
	secrets.add("a refresh token", "Atzr|")
	secrets.add("an access token", "Atza|")
	secrets.add("a Vault token", "hvs.")
	p := m.behindProxy(t, sdkPolicy(t), "")
	written := map[string]string{}
	for _, name := range everySDK() {
		c := p.startClient(t, name, "acme")
		c.calls(t, sellerCall)
		c.calls(t, grantlessCall)
		p.amazon.SetSellingPartnerFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
		require.NotNil(t, c.order(t, map[string]any{"call": sellerCall}).Error)
		p.amazon.ClearFaults()
		c.end(t)
		written[name] = c.stdout.String() + c.stderr.String()
		complained := c.stderr.String() != ""
		require.False(t, complained, name) // Of what is not for the output of a test.
		for _, text := range append(c.cmd.Env, c.cmd.Args...) {
			require.Empty(t, secrets.find([]byte(text)), "%s is told nothing secret", name)
		}
	}
	require.NoError(t, p.proxy.Stop(t.Context()))
	written["proxy"] = p.proxy.Logs()
	require.Contains(t, written["proxy"], "[DEBUG]")
	for where, text := range written {
		require.NotEmpty(t, text, where)
		require.Empty(t, secrets.find([]byte(text)), where)
	}
}
