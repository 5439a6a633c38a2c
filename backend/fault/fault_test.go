// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/fault"
)

func TestText(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*fault.Error{
		"Amazon failed":                           {Message: "Amazon failed"},
		"Amazon failed (HTTP 503, request id r)":  {Message: "Amazon failed", Status: 503, RequestID: "r"},
		"refused: invalid_grant: gone (HTTP 400)": {Message: "refused", Code: "invalid_grant", Description: "gone", Status: 400},
		`field "region": is unknown`:              fault.BadField("region", "is %s", "unknown"),
		"storage failed to read config":           fault.FromStorage("read config", errors.New("detail")),
	} {
		require.Equal(t, want, err.Error())
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("detail")
	require.Equal(t, fault.Internal, fault.KindOf(cause))
	require.NotContains(t, fault.Of(cause).Error(), "detail")
	require.ErrorIs(t, fault.Of(cause), cause)
	known := fault.New(fault.RateLimited, "slow")
	require.Same(t, known, fault.Of(fmt.Errorf("wrapped: %w", known)))
	named := known.OfAccount("acme")
	require.Equal(t, "acme", named.Account)
	require.Empty(t, known.Account, "the original is shared")
}

func TestTransient(t *testing.T) {
	t.Parallel()
	transient := map[fault.Kind]bool{fault.RateLimited: true, fault.Unavailable: true, fault.BadAnswer: true, fault.AccessDenied: true, fault.AccessTokenRefused: true}
	for kind := fault.Internal; kind <= fault.Canceled; kind++ {
		require.Equal(t, transient[kind], kind.Transient(), "kind %d", kind)
	}
}
