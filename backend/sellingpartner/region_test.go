// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"https://sellingpartnerapi-na.amazon.com", "https://sellingpartnerapi-eu.amazon.com", "https://sellingpartnerapi-fe.amazon.com",
		"https://sandbox.sellingpartnerapi-na.amazon.com", "https://sandbox.sellingpartnerapi-eu.amazon.com", "https://sandbox.sellingpartnerapi-fe.amazon.com",
	}, sellingpartner.Endpoints())
	require.Equal(t, "na, eu, fe", sellingpartner.RegionNames())
	require.True(t, sellingpartner.Europe.Valid())
	for _, name := range []string{"", "us", "EU", "eu "} {
		require.False(t, sellingpartner.Region(name).Valid(), name)
	}
}
