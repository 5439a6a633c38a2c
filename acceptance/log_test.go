// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// What an operator has to know stands in Vault's log at its default level, under
// the level that the plugin gave it, with what Amazon's support asks for.
func TestLogAtTheDefaultLevel(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	m.addAccount(t, "log-account", "verify", false)
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidGrant, Times: 1})
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/log-account", nil, "invalid_grant")
	waitFor(t, "a warning about the account", func() bool {
		return logged(t, "[WARN]", "account=log-account", "invalid_grant", "request_id=")
	})
	m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultInvalidClient, Times: 1})
	m.addAccount(t, "another", "verify", false)
	m.refused(t, http.StatusBadRequest, http.MethodGet, "token/another", nil, "invalid_client")
	waitFor(t, "an error about the application", func() bool {
		return logged(t, "[ERROR]", "Amazon refuses the application's client id or client secret", "request_id=")
	})
	require.True(t, logged(t, "[WARN]", "credentials may be sent to other endpoints than Amazon's"), "the registration of this server opens some")
}

// logged reports whether one line of the shared server's log holds all parts.
func logged(t *testing.T, parts ...string) bool {
	t.Helper()
	log, err := os.ReadFile(shared.LogFile())
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		found := 0
		for _, part := range parts {
			if strings.Contains(line, part) {
				found++
			}
		}
		if found == len(parts) {
			return true
		}
	}
	return false
}
