// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestCallbackThatIsRefused(t *testing.T) {
	t.Parallel()
	m := configured(t)
	good := m.callbackData("shop")
	for name, c := range map[string]struct {
		change map[string]any
		says   string
	}{
		"no state":       {map[string]any{"state": nil}, "state"},
		"empty state":    {map[string]any{"state": ""}, "state"},
		"forged":         {map[string]any{"state": strings.Repeat("A", 54)}, "unknown"},
		"nonsense":       {map[string]any{"state": "x"}, "unknown"},
		"later expiry":   {map[string]any{"state": good["state"].(string)[:50] + "zzzz"}, "unknown"},
		"too long":       {map[string]any{"state": strings.Repeat("A", maxFieldSize+1)}, "longer"},
		"control":        {map[string]any{"state": "x\x00y"}, "control character"},
		"no code":        {map[string]any{"spapi_oauth_code": nil}, "spapi_oauth_code"},
		"empty code":     {map[string]any{"spapi_oauth_code": " "}, "spapi_oauth_code"},
		"no partner":     {map[string]any{"selling_partner_id": nil}, "selling_partner_id"},
		"bad partner":    {map[string]any{"selling_partner_id": "A/../B"}, "selling_partner_id"},
		"mws_auth_token": {map[string]any{"mws_auth_token": "amzn.mws.x"}, "mws_auth_token"},
	} {
		callback := maps.Clone(good)
		for field, value := range c.change {
			if callback[field] = value; value == nil {
				delete(callback, field)
			}
		}
		text := m.badRequest(logical.UpdateOperation, "authorize/callback", callback)
		require.Contains(t, text, c.says, name)
		require.Equal(t, c.says == "unknown", strings.Contains(text, "Begin again with: vault write spapi/authorize/url account=…"), name)
		require.NotContains(t, text, good["state"], name)
		require.NotContains(t, text, good["spapi_oauth_code"], name)
	}
	require.Zero(t, m.amazon.CodeExchanges())
	m.ok(logical.UpdateOperation, "authorize/callback", good) // none of them spent the state
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", good), "unknown")
	require.Equal(t, 1, m.amazon.CodeExchanges())
}

func TestCallbackThatComesLate(t *testing.T) {
	t.Parallel()
	m := configured(t)
	late := m.callbackData("shop")
	m.clock.Advance(15 * time.Minute)
	require.Contains(t, m.badRequest(logical.UpdateOperation, "authorize/callback", late), "expired at 2026-05-06T07:23:09Z")
	code := m.callbackData("shop")
	m.clock.Advance(5 * time.Minute)
	text := m.badRequest(logical.UpdateOperation, "authorize/callback", code)
	require.Contains(t, text, "works once, within 5 minutes: invalid_grant")
	require.Contains(t, text, "Begin again with: vault write spapi/authorize/url account=shop")
	require.NotContains(t, m.stored(), "account/shop")
}

func TestTooManyAuthorizations(t *testing.T) {
	t.Parallel()
	m := configured(t)
	first := m.begin(map[string]any{"account": "shop", "marketplace": "US", "state_ttl": "1h"})
	var key string
	for name := range m.stored() {
		if strings.HasPrefix(name, "authorization/") {
			key = name
		}
	}
	for n := range 9_999 {
		name := key[:len(key)-4] + fmt.Sprintf("_%03x", n)
		require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: name, Value: []byte(`{"version":1}`)}))
	}
	text := m.refused(http.StatusTooManyRequests, logical.UpdateOperation, "authorize/url", map[string]any{"account": "shop", "marketplace": "US"})
	require.Contains(t, text, "10000 authorizations wait")
	m.ok(logical.UpdateOperation, "authorize/callback", m.consent(first.url, testPartner))
	m.begin(map[string]any{"account": "other", "marketplace": "US"})

	m.clock.Advance(time.Hour) // all have expired, and make room for new ones
	for range 3 {
		m.begin(map[string]any{"account": "third", "marketplace": "US"})
	}
	waiting := func() (names int) {
		for name := range m.stored() {
			if strings.HasPrefix(name, "authorization/") {
				names++
			}
		}
		return names
	}
	all := waiting()
	require.InDelta(t, 10_000, all, 2)
	require.LessOrEqual(t, all, 10_000)
	tidy := func() { require.NoError(t, m.backend.periodic(t.Context(), &logical.Request{Storage: m.storage})) }
	tidy()
	require.Equal(t, all, waiting(), "a callback that comes late is told so")
	m.clock.Advance(2 * time.Hour)
	tidy()
	require.Equal(t, all-500, waiting(), "a part at a time")
	for range 19 {
		tidy()
	}
	require.Zero(t, waiting())
}

// The URI comes from a browser, and brings only what Amazon put there.
func TestAppstoreURIWithParameters(t *testing.T) {
	t.Parallel()
	m := configured(t)
	link, err := url.Parse(m.begin(map[string]any{
		"account": "shop", "amazon_state": "a&b=c", "selling_partner_id": testPartner,
		"amazon_callback_uri": "https://amazon.com/apps/authorize/confirm/x?kept=1&redirect_uri=https%3A%2F%2Fevil.example%2F&version=beta&application_id=other&state=theirs&amazon_state=theirs",
	}).url)
	require.NoError(t, err)
	require.Len(t, link.Query()["state"], 1)
	require.NotEqual(t, "theirs", link.Query().Get("state"))
	query := link.Query()
	query.Del("state")
	require.Equal(t, url.Values{"kept": {"1"}, "amazon_state": {"a&b=c"}}, query)
}

// What a spent state leaves is to begin again, whatever went wrong.
func TestAdviceAfterACallback(t *testing.T) {
	t.Parallel()
	m := configured(t)
	for kind, spent := range map[amazontest.FaultKind]bool{
		amazontest.FaultNoAccessToken: true, amazontest.FaultUnauthorizedClient: true, amazontest.FaultInvalidGrant: true,
		amazontest.FaultServerError: false, amazontest.FaultThrottled: false, amazontest.FaultInvalidClient: false,
	} {
		callback := m.callbackData("shop")
		m.amazon.SetFault(amazontest.Fault{Kind: kind})
		_, err := m.do(logical.UpdateOperation, "authorize/callback", callback)
		m.amazon.ClearFaults()
		require.Error(t, err)
		require.Equal(t, spent, strings.Contains(err.Error(), "Begin again with: vault write spapi/authorize/url account=shop"), "%s: %s", kind, err)
		require.NotEqual(t, spent, strings.Contains(err.Error(), "can be used again"), "%s: %s", kind, err)
		m.clock.Advance(time.Minute)
	}
	callback, release, done := m.callbackData("shop"), m.amazon.Hold(), make(chan error, 1)
	go func() {
		_, err := m.do(logical.UpdateOperation, "authorize/callback", callback)
		done <- err
	}()
	require.NoError(t, m.amazon.WaitInFlight(t.Context(), 1))
	m.storage.Underlying().FailPut(true)
	release()
	err := <-done
	m.storage.Underlying().FailPut(false)
	require.ErrorContains(t, err, "storage failed to write")
	require.ErrorContains(t, err, "Begin again with")
	require.NotContains(t, err.Error(), "Nothing was half done")
}

// Re-authorization leaves to the config what the account leaves to it.
func TestReauthorizationKeepsDefaults(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"selling_partner_id": testPartner})
	m.ok(logical.UpdateOperation, "authorize/callback", m.consent(m.begin(map[string]any{"account": "acme", "marketplace": "US", "reauthorize": true}).url, testPartner))
	require.Empty(t, m.read("accounts/acme")["kind"])
	m.ok(logical.UpdateOperation, "config", map[string]any{"region": "fe"})
	require.Equal(t, "fe", m.read("accounts/acme")["region"])
}
