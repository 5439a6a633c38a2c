// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// The example's proxy and policy, as they stand, give both kinds of tokens to a
// client without a Vault token, and nothing else of the mount.
func TestLWAExampleProxy(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "acme")
	m.addAccount(t, "other")
	d := m.proxyDoor(t, m.exampleProxy(t, sdkPolicy(t)))

	members := d.exchange(t, "lwa/token/acme", refreshGrant).requireLWA(t, http.StatusOK)
	account, live := m.amazon.AccountOf(members["access_token"].(string))
	require.True(t, live)
	require.Equal(t, "acme", account)
	members = d.exchange(t, "lwa/grantless/notifications", clientGrant).requireLWA(t, http.StatusOK)
	require.Equal(t, amazontest.ScopeNotifications, members["scope"])

	for _, path := range []string{"lwa/token/other", "lwa/grantless/client-credential-rotation", "accounts/acme", "config"} {
		d.exchange(t, path, refreshGrant).requireVaults(t, http.StatusForbidden, "permission denied")
	}
	for _, path := range []string{"token/acme", "grantless/notifications", "restricted/shipping/acme", "config"} {
		d.send(t, rawRequest{method: http.MethodGet, path: path}).requireVaults(t, http.StatusForbidden, "permission denied")
	}
}

// The page shows the examples: both files of the proxy whole, and of each SDK the
// lines that matter.
func TestLWADocumentationShowsTheExamples(t *testing.T) {
	t.Parallel()
	page := example(t, "../docs/sdks.md")
	var examples strings.Builder
	files, err := filepath.Glob("../examples/sdks/*/*")
	require.NoError(t, err)
	for _, file := range files {
		examples.WriteString(example(t, file))
	}
	languages := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		language, shown := block[1], block[2]
		if languages[language] = true; language != "hcl" && language != "console" {
			require.Contains(t, examples.String(), shown)
		}
	}
	require.Len(t, languages, 8)
	for _, file := range []string{"proxy.hcl", "policy.hcl"} {
		require.Contains(t, page, "```hcl\n"+example(t, "sdks/"+file)+"```")
	}
	for _, link := range regexp.MustCompile(`\]\(\.\./(examples/[^)]*)\)`).FindAllStringSubmatch(page, -1) {
		_, err := os.Stat("../" + link[1])
		require.NoError(t, err)
	}
}
