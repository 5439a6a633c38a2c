// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

func TestAmazonIsAllowed(t *testing.T) {
	t.Parallel()
	var policy endpoint.Policy
	require.NoError(t, policy.CheckLWA(endpoint.LWA))
	require.NoError(t, policy.CheckLWA("https://api.amazon.com:443/auth/o2/token"))
	require.NoError(t, policy.CheckLWA("https://API.amazon.com/auth/o2/token"))
	require.Len(t, sellingpartner.Endpoints(), 6)
	for _, known := range sellingpartner.Endpoints() {
		require.NoError(t, policy.CheckSellingPartner(known))
		require.NoError(t, policy.CheckSellingPartner(known+"/"))
	}
}

func TestLookAlikesAreRefused(t *testing.T) {
	t.Parallel()
	policy, errs := endpoint.ParsePolicy("https://proxy.example:8443")
	require.Empty(t, errs)
	for _, raw := range []string{
		"", "api.amazon.com/auth/o2/token", "//api.amazon.com/auth/o2/token", "https:api.amazon.com/auth/o2/token",
		"http://api.amazon.com/auth/o2/token",
		"https://api.amazon.com.evil.example/auth/o2/token",
		"https://evil.example/api.amazon.com/auth/o2/token",
		"https://api.amazon.com@evil.example/auth/o2/token",
		"https://user:pass@api.amazon.com/auth/o2/token",
		"https://api.amazon.com:8443/auth/o2/token",
		"https://api.amazon.com./auth/o2/token",
		"https://api.amazon.com/auth/o2/token?x=1", "https://api.amazon.com/auth/o2/token?", "https://api.amazon.com/auth/o2/token#f", "https://api.amazon.com/auth/o2/token#",
		"https://api.amazon.com/auth/o2/../o2/token", "https://api.amazon.com/auth%2Fo2/token", "https://api.amazon.com/auth/o2/token/", "https://api.amazon.com/",
		"https://api.amazon.co.uk/auth/o2/token", "https://аpi.amazon.com/auth/o2/token",
		"https://52.94.0.1/auth/o2/token", "https://[::1]/auth/o2/token", "https://127.0.0.1/auth/o2/token",
		"file:///etc/passwd", "gopher://api.amazon.com/auth/o2/token",
		"http://proxy.example:8443/auth/o2/token", "https://proxy.example/auth/o2/token", "https://proxy.example:8443@evil.example/x", "https://proxy.example:8443.evil.example/",
		"https://api.amazon.com/auth/o2/token\n", " https://api.amazon.com/auth/o2/token",
		"https://api.amazon.com/" + strings.Repeat("a", 3000),
	} {
		require.Error(t, policy.CheckLWA(raw), "%q", raw)
	}
	for _, raw := range []string{
		"https://sellingpartnerapi-na.amazon.com.evil.example", "http://sellingpartnerapi-na.amazon.com", "https://sellingpartnerapi-na.amazon.com:444",
		"https://sellingpartnerapi-us.amazon.com", "https://sellingpartnerapi-na.amazon.com/path", "https://sellingpartnerapi-na.amazon.com?x=y",
		"https://u@sellingpartnerapi-na.amazon.com", "https://evil.example", "",
	} {
		require.Error(t, policy.CheckSellingPartner(raw), "%q", raw)
	}
}

func TestAllowedByRegistration(t *testing.T) {
	t.Parallel()
	policy, errs := endpoint.ParsePolicy(" http://127.0.0.1:8080/auth/o2/token ,https://Proxy.example,, not a url,ftp://x,https://u:p@h")
	require.Len(t, errs, 3)
	for _, err := range errs {
		require.ErrorContains(t, err, endpoint.EnvVar)
	}
	require.Equal(t, []string{"http://127.0.0.1:8080", "https://proxy.example:443"}, policy.Allowed())

	require.NoError(t, policy.CheckLWA("http://127.0.0.1:8080/any/path"))
	require.NoError(t, policy.CheckLWA("https://proxy.example/token"))
	require.NoError(t, policy.CheckSellingPartner("https://proxy.example:443"))
	require.Error(t, policy.CheckLWA("http://127.0.0.1:8081/auth/o2/token"))
	require.Error(t, policy.CheckLWA("https://127.0.0.1:8080/auth/o2/token"))
	require.Error(t, policy.CheckLWA("http://127.0.0.1:8080/auth?x"))
	require.Error(t, policy.CheckSellingPartner("http://127.0.0.1:8080/path"))

	var closed endpoint.Policy
	require.Error(t, closed.CheckLWA("http://127.0.0.1:8080/any/path"))
}

func TestErrorsDoNotEchoPasswords(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"https://u:hunter2@api.amazon.com/auth/o2/token", "https://x/?p=hunter2", "ht tp://hunter2", "https://hunter2"} {
		require.NotContains(t, endpoint.Policy{}.CheckLWA(raw).Error(), "hunter2")
	}
}
