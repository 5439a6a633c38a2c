// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package credential_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
)

const marker = "Atzr|canary-0123456789"

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	secret := credential.New(marker)
	exported := struct{ Token credential.Secret }{secret}
	unexported := struct{ token credential.Secret }{secret}

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		for _, value := range []any{secret, &secret, exported, &exported, unexported, &unexported, []credential.Secret{secret}, map[string]credential.Secret{"a": secret}} {
			printed := fmt.Sprintf(verb, value)
			require.NotContains(t, printed, "canary", "verb %s of %T", verb, value)
			require.NotContains(t, printed, "63616e617279", "verb %s of %T", verb, value)
		}
	}
	require.Equal(t, credential.Redacted, fmt.Sprint(secret))

	encoded, err := json.Marshal(map[string]any{"exported": exported, "unexported": unexported, "key": map[credential.Secret]int{secret: 1}})
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "canary")
}

func TestSecretValue(t *testing.T) {
	t.Parallel()
	require.Equal(t, marker, credential.New(marker).Reveal())
	require.True(t, credential.New("").IsZero())
	require.Empty(t, credential.Secret{}.Reveal())
	require.False(t, credential.New(marker).IsZero())
	require.True(t, credential.New(marker).Equal(credential.New(marker)))
	require.False(t, credential.New(marker).Equal(credential.New("other")))
	require.True(t, credential.Secret{}.Equal(credential.New("")))
}
