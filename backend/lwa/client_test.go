// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/transport"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	clientID     = "amzn1.application-oa2-client.0123456789abcdef0123456789abcdef"
	clientSecret = "amzn1.oa2-cs.v1.canary-secret-0123456789abcdef"
	refreshToken = "Atzr|canary+refresh/0123456789=="
)

type fixture struct {
	amazon *amazontest.Server
	client *lwa.Client
	app    lwa.Application
	start  time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	amazon, err := amazontest.New(amazontest.Options{})
	require.NoError(t, err)
	t.Cleanup(amazon.Close)
	amazon.AddClient(clientID, clientSecret)
	amazon.AddRefreshToken(clientID, "acme", refreshToken)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	client := lwa.New(lwa.Options{
		Permit: func(string) error { return nil }, Now: func() time.Time { return start },
		HTTP: transport.Options{RetryWait: time.Millisecond, UserAgent: "test/1"},
	})
	t.Cleanup(client.Close)
	return &fixture{amazon, client, lwa.Application{Endpoint: amazon.LWAEndpoint(), ClientID: clientID, ClientSecret: credential.New(clientSecret)}, start}
}

func (f *fixture) refresh(t *testing.T) (lwa.Token, *fault.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return split(f.client.Refresh(ctx, f.app, credential.New(refreshToken)))
}

func split(token lwa.Token, err error) (lwa.Token, *fault.Error) {
	if err == nil {
		return token, nil
	}
	return token, fault.Of(err)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, err := f.refresh(t)
	require.Nil(t, err)
	account, live := f.amazon.AccountOf(token.AccessToken.Reveal())
	require.True(t, live)
	require.Equal(t, "acme", account)
	require.Equal(t, time.Hour, token.Lifetime)
	require.Equal(t, f.start.Add(time.Hour), token.ExpiresAt)
	require.True(t, token.RefreshToken.IsZero(), "Amazon echoes the refresh token that was sent")
	require.NotEmpty(t, token.RequestID)

	form, header := f.amazon.LastRequest()
	require.Equal(t, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "client_id": {clientID}, "client_secret": {clientSecret},
	}, form)
	require.Equal(t, "test/1", header.Get("User-Agent"))
	require.Empty(t, header.Get("Authorization"), "credentials travel in the body only")
	require.Equal(t, 1, f.amazon.Requests())
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, err := f.client.ClientCredentials(t.Context(), f.app, lwa.ScopeNotifications)
	require.NoError(t, err)
	require.False(t, token.AccessToken.IsZero())
	form, _ := f.amazon.LastRequest()
	require.Equal(t, url.Values{
		"grant_type": {"client_credentials"}, "scope": {lwa.ScopeNotifications}, "client_id": {clientID}, "client_secret": {clientSecret},
	}, form)

	_, refused := split(f.client.ClientCredentials(t.Context(), f.app, "sellingpartnerapi::invented"))
	require.Equal(t, fault.InvalidScope, refused.Kind)
}

func TestChangedRefreshToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultChangedRefreshToken, Changed: "Atzr|another"})
	token, err := f.refresh(t)
	require.Nil(t, err)
	require.Equal(t, "Atzr|another", token.RefreshToken.Reveal())
}

func TestErrorsCarryAmazonsWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.amazon.RevokeAuthorization("acme")
	_, err := f.refresh(t)
	require.Equal(t, fault.InvalidGrant, err.Kind)
	require.Equal(t, "invalid_grant", err.Code)
	require.Contains(t, err.Description, "The request has an invalid grant parameter : refresh_token")
	require.NotEmpty(t, err.RequestID)
	require.Contains(t, err.Error(), err.RequestID)

	f.app.ClientSecret = credential.New("wrong")
	_, err = f.refresh(t)
	require.Equal(t, fault.InvalidClient, err.Kind)
	require.Equal(t, http.StatusUnauthorized, err.Status)
}

func TestForbiddenEndpointGetsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	client := lwa.New(lwa.Options{Permit: endpoint.Policy{}.CheckLWA})
	_, err := client.Refresh(t.Context(), f.app, credential.New(refreshToken))
	require.Equal(t, fault.EndpointForbidden, fault.KindOf(err))
	require.Zero(t, f.amazon.Requests())
}

// An answer without end is read up to the bound, and no further.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	f.app.Endpoint = endless.URL
	_, err := f.refresh(t)
	require.Equal(t, fault.BadAnswer, err.Kind)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	for name, c := range map[string]struct{ url, want string }{
		"refused":     {"http://" + closed.Addr().String() + "/auth/o2/token", "connection refused"},
		"certificate": {untrusted.URL, "certificate"},
		"not TLS":     {strings.Replace(f.amazon.LWAEndpoint(), "http://", "https://", 1), "could not be reached"},
	} {
		f.app.Endpoint = c.url
		_, err := f.refresh(t)
		require.NotNil(t, err, name)
		require.Equal(t, fault.Unavailable, err.Kind, name)
		require.Contains(t, err.Error(), c.want, name)
		require.NotContains(t, err.Error(), "127.0.0.1", name)
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultHang})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *fault.Error, 1)
	go func() {
		_, err := split(f.client.Refresh(ctx, f.app, credential.New(refreshToken)))
		done <- err
	}()
	require.NoError(t, f.amazon.WaitInFlight(t.Context(), 1))
	cancel()
	require.Equal(t, fault.Canceled, (<-done).Kind)
}

func TestLimitOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultServerError})
	client := lwa.New(lwa.Options{Permit: func(string) error { return nil }, HTTP: transport.Options{RetryWait: time.Hour}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := split(client.Refresh(ctx, f.app, credential.New(refreshToken)))
	require.Equal(t, fault.Unavailable, err.Kind)
	require.Equal(t, http.StatusInternalServerError, err.Status, "the time limit ended the wait, but Amazon did answer")
}
