// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestCheckOwners(t *testing.T) {
	t.Parallel()
	names := Names(Unleased, "x", 2500)
	var reads, swapped atomic.Int64
	var tokens map[string]string
	r := against(t, func(w http.ResponseWriter, req *http.Request) {
		reads.Add(1)
		name := path.Base(req.URL.Path)
		if swapped.Load() != 0 {
			name = names[0]
		}
		_, _ = fmt.Fprintf(w, `{"data":{"access_token":%q,"account":"x"}}`, tokens[name])
	})
	withAmazon(t, r)
	tokens = map[string]string{}
	for i, name := range names {
		if i%3 == 0 { // those that are chosen
			tokens[name] = exchange(t, r, name)
		}
	}

	require.NoError(t, r.CheckOwners(t.Context(), Unleased, names))
	require.EqualValues(t, 834, reads.Load(), "every third, since they are more than 1000")

	clients, err := r.Clients(t.Context(), 2)
	require.NoError(t, err)
	defer clients.Close()
	_, err = clients.Burst(r.Get(Engine + "/token/" + names[3]))
	require.NoError(t, err)
	require.NoError(t, r.CheckLast(clients, names[3]))
	require.ErrorContains(t, r.CheckLast(clients, names[0]), "was given a token of account "+names[3])

	swapped.Store(1)
	require.ErrorContains(t, r.CheckOwners(t.Context(), Unleased, names), "was given a token of account "+names[0])
	swapped.Store(0)
	r.advanced.Store(int64(2 * time.Hour))
	require.ErrorContains(t, r.CheckOwners(t.Context(), Unleased, names), "expired or unknown")
}

func TestCheckOwnersOfOtherKinds(t *testing.T) {
	t.Parallel()
	var answer string
	r := against(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
	withAmazon(t, r)
	access := exchange(t, r, "acme")
	restricted := restrict(t, r, access)

	answer = fmt.Sprintf(`{"access_token":%q,"refresh_token":"Atzr|x"}`, access)
	require.NoError(t, r.CheckOwners(t.Context(), LWA, []string{"acme"}))
	require.ErrorContains(t, r.CheckOwners(t.Context(), LWA, []string{"other"}), "was given a token of account acme")
	require.ErrorContains(t, r.CheckOwners(t.Context(), Restricted, []string{"acme"}), "expired or unknown", "an access token is no restricted data token")

	answer = fmt.Sprintf(`{"data":{"restricted_data_token":%q}}`, restricted)
	require.NoError(t, r.CheckOwners(t.Context(), Restricted, []string{"acme"}))
	require.ErrorContains(t, r.CheckOwners(t.Context(), Restricted, []string{"other"}), "was given a token of account acme")
	r.advanced.Store(int64(2 * time.Hour))
	require.ErrorContains(t, r.CheckOwners(t.Context(), Restricted, []string{"acme"}), "expired or unknown")
}

func TestRequestsCountBothOfAmazonsServices(t *testing.T) {
	t.Parallel()
	r := against(t, nil)
	withAmazon(t, r)
	restrict(t, r, exchange(t, r, "acme"))
	require.Equal(t, 2, r.Requests())
}

// withAmazon gives a rig an Amazon.
func withAmazon(t *testing.T, r *Rig) {
	t.Helper()
	var err error
	r.Amazon, err = amazontest.New(amazontest.Options{Now: r.amazonNow})
	require.NoError(t, err)
	t.Cleanup(r.Amazon.Close)
	r.Amazon.AddClient(clientID, clientSecret)
}

// restrict gets a restricted data token from Amazon.
func restrict(t *testing.T, r *Rig, accessToken string) string {
	t.Helper()
	body := strings.NewReader(`{"restrictedResources":[{"method":"GET","path":"/orders/v0/orders/{orderId}/address"}]}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Amazon.SPAPIEndpoint()+"/tokens/2021-03-01/restrictedDataToken", body)
	require.NoError(t, err)
	req.Header.Set("X-Amz-Access-Token", accessToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var answer struct {
		RestrictedDataToken string `json:"restrictedDataToken"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(t, answer.RestrictedDataToken)
	return answer.RestrictedDataToken
}

// exchange gets a token of an account from Amazon.
func exchange(t *testing.T, r *Rig, account string) string {
	t.Helper()
	resp, err := http.PostForm(r.Amazon.LWAEndpoint(), url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {r.Amazon.Authorize(clientID, account)},
		"client_id": {clientID}, "client_secret": {clientSecret},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.AccessToken
}
