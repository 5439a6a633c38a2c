// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// open calls an operation of the simulated SP-API, and returns the status.
func (m *mount) open(t *testing.T, path, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.amazon.SPAPIEndpoint()+path, nil)
	require.NoError(t, err)
	req.Header.Set("X-Amz-Access-Token", token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// 500 readers of a role and an account cost one call, and have a token that opens
// what the role says, and nothing else.
func TestManyReadersOfARestrictedToken(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	release := m.amazon.HoldSellingPartner()
	answers := make(chan *answer, 500)
	for range 500 {
		go func() {
			a, err := m.send(t.Context(), http.MethodGet, "restricted/shipping/acme", nil)
			if err != nil {
				a = &answer{Errors: []string{err.Error()}}
			}
			answers <- a
		}()
	}
	require.NoError(t, m.amazon.WaitSellingPartnerInFlight(t.Context(), 1))
	release()
	tokens := map[string]bool{}
	for range 500 {
		a := <-answers
		require.Equal(t, http.StatusOK, a.Status, "%s %s", a.Raw, a.Errors)
		tokens[a.text("restricted_data_token")] = true
	}
	require.Len(t, tokens, 1)
	require.Equal(t, 1, m.amazon.RestrictedCalls("acme"))
	for token := range tokens {
		require.Equal(t, http.StatusOK, m.open(t, "/orders/v0/orders/943-12-123434/address", token))
		require.Equal(t, http.StatusForbidden, m.open(t, "/orders/v0/orders/943-12-123434/buyerInfo", token))
	}
	require.Equal(t, http.StatusForbidden, m.open(t, "/orders/v0/orders/943-12-123434/address", m.token(t, "acme").accessToken()))
}

// A role that is edited while Amazon is being asked never serves what it said
// before to those who asked, nor to those who ask later.
func TestRoleEditedMidFlight(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	release := m.amazon.HoldSellingPartner()
	answered := make(chan *answer, 1)
	go func() {
		a, err := m.send(t.Context(), http.MethodGet, "restricted/shipping/acme", nil)
		if err != nil {
			a = &answer{Errors: []string{err.Error()}}
		}
		answered <- a
	}()
	require.NoError(t, m.amazon.WaitSellingPartnerInFlight(t.Context(), 1))
	m.ok(t, http.MethodPost, "roles/shipping", map[string]any{"restricted_resources": `[{"method":"GET","path":"/orders/v0/orders/{orderId}/buyerInfo"}]`})
	release()
	for _, a := range []*answer{<-answered, m.ok(t, http.MethodGet, "restricted/shipping/acme", nil)} {
		require.Equal(t, http.StatusOK, a.Status, "%s %s", a.Raw, a.Errors)
		token := a.text("restricted_data_token")
		require.Equal(t, http.StatusForbidden, m.open(t, "/orders/v0/orders/943-12-123434/address", token))
		require.Equal(t, http.StatusOK, m.open(t, "/orders/v0/orders/943-12-123434/buyerInfo", token))
	}
	require.Equal(t, 2, m.amazon.RestrictedCalls("acme"))
	m.ok(t, http.MethodPatch, "roles/shipping", map[string]any{"allowed_accounts": nil})
	m.refused(t, http.StatusForbidden, http.MethodGet, "restricted/shipping/acme", nil, "allowed_accounts")
}

// More readers of different documents than Amazon's rate allows at once wait for
// it, and are served.
func TestReadersBeyondAmazonsRate(t *testing.T) {
	t.Parallel()
	m := newDerivingMount(t)
	answers := make(chan *answer, 13)
	for n := range 13 {
		go func() {
			a, err := m.send(t.Context(), http.MethodGet, "restricted/report/acme?path_parameters=reportDocumentId%3D"+strconv.Itoa(n), nil)
			if err != nil {
				a = &answer{Errors: []string{err.Error()}}
			}
			answers <- a
		}()
	}
	documents := map[string]bool{}
	for range 13 {
		a := <-answers
		require.Equal(t, http.StatusOK, a.Status, "%s %s", a.Raw, a.Errors)
		known, live := m.amazon.RestrictedOf(a.text("restricted_data_token"))
		require.True(t, live)
		documents[known.Resources[0].Path] = true
	}
	require.Len(t, documents, 13)
	for n := range 13 {
		require.True(t, documents[fmt.Sprintf("/reports/2021-06-30/documents/%d", n)])
	}
}
