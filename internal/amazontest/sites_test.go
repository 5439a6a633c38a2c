// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// browse lets the fixture's client reach the listener under every name, and
// trust it, as the browser of a test does.
func (f *fixture) browse() {
	f.t.Helper()
	addr, err := f.ServeConsentTLS()
	require.NoError(f.t, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	f.t.Cleanup(transport.CloseIdleConnections)
	f.http.Transport = transport
}

func TestPagesAtAmazonsNames(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	f.browse()
	path := consentPath(query("application_id", appID, "state", "s"))
	confirm := "/apps/authorize/confirm/" + appID
	for url, want := range map[string]int{
		"https://sellercentral-europe.amazon.com" + path:    200,
		"https://sellercentral.amazon.com" + path:           200,
		"https://sellercentral.amazon.co.jp" + path:         200,
		"https://vendorcentral.amazon.me" + path:            200,
		"https://amazon.com" + path:                         404,
		"https://www.amazon.com" + path:                     404,
		"https://sellercentral.amazon.com.evil.test" + path: 404,
		"https://sellercentral.amazon.com:444" + path:       404,
		"https://127.0.0.1" + path:                          404,
		"https://vendorcentral.amazon.ie" + path:            404,
		"https://amazon.com" + confirm:                      400,
		"https://sellercentral.amazon.com" + confirm:        404,
		"https://amazon.com/appstore/" + appID:              403,
		"https://sellercentral.amazon.de/appstore/" + appID: 403,
		"https://amazon.com/":                               404,
		"https://amazon.com/auth/o2/token":                  404,
		"https://amazon.com/_control/stats":                 404,
	} {
		require.Equal(t, want, f.call(http.MethodGet, url, nil, "").status, url)
	}
	require.Contains(t, string(f.call(http.MethodGet, "https://vendorcentral.amazon.de"+path, nil, "").raw), "Vendor Central")
	require.Contains(t, string(f.call(http.MethodGet, "https://sellercentral.amazon.de"+path, nil, "").raw), "Seller Central")
}

func TestConsentAtAmazonsNames(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	f.browse()
	site := "https://sellercentral-europe.amazon.com" + consentPath(query("application_id", appID, "state", "s"))
	token := f.pageToken(f.call(http.MethodGet, site, nil, ""))
	r := f.call(http.MethodPost, site, http.Header{"Content-Type": {formType}},
		query("page_token", token, "selling_partner_id", partner).Encode())
	f.redirected(r, home, query("state", "s", "selling_partner_id", partner))
}

// TestCloseEndsTLS also serves twice, and leaves a handshake open that never ends.
func TestCloseEndsTLS(t *testing.T) {
	t.Parallel()
	f := startConsent(t)
	first, err := f.ServeConsentTLS()
	require.NoError(t, err)
	second, err := f.ServeConsentTLS()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	for _, addr := range []string{first, second} {
		require.True(t, strings.HasPrefix(addr, "127.0.0.1:"))
		silent, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = silent.Close() })
	}
	f.Close()
	for _, addr := range []string{first, second} {
		_, err = net.Dial("tcp", addr)
		require.Error(t, err)
	}
	_, err = f.ServeConsentTLS()
	require.Error(t, err)

	s, err := amazontest.New(amazontest.Options{})
	require.NoError(t, err)
	s.Close()
	_, err = s.ServeConsentTLS()
	require.Error(t, err)
}
