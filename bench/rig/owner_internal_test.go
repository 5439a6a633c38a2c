// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
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
	var err error
	r.Amazon, err = amazontest.New(amazontest.Options{Now: r.amazonNow})
	require.NoError(t, err)
	defer r.Amazon.Close()
	r.Amazon.AddClient(clientID, clientSecret)
	tokens = map[string]string{}
	for i, name := range names {
		if i%3 == 0 { // those that are chosen
			tokens[name] = exchange(t, r, name)
		}
	}

	require.NoError(t, r.CheckOwners(t.Context(), names))
	require.EqualValues(t, 834, reads.Load(), "every third, since they are more than 1000")

	clients, err := r.Clients(t.Context(), 2)
	require.NoError(t, err)
	defer clients.Close()
	_, err = clients.Burst(r.Get(Engine + "/token/" + names[3]))
	require.NoError(t, err)
	require.NoError(t, r.CheckLast(clients, names[3]))
	require.ErrorContains(t, r.CheckLast(clients, names[0]), "was given a token of account "+names[3])

	swapped.Store(1)
	require.ErrorContains(t, r.CheckOwners(t.Context(), names), "was given a token of account "+names[0])
	swapped.Store(0)
	r.advanced.Store(int64(2 * time.Hour))
	require.ErrorContains(t, r.CheckOwners(t.Context(), names), "expired or unknown")
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
