// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa_test

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	const redirectURI = "https://app.example/callback"
	for _, sent := range []string{"", redirectURI} {
		f := newFixture(t)
		code := f.amazon.NewCode(clientID, "acme", redirectURI)
		token, err := f.client.AuthorizationCode(t.Context(), f.app, credential.New(code), sent)
		require.NoError(t, err)
		owner, live := f.amazon.AccountOf(token.AccessToken.Reveal())
		require.True(t, live)
		require.Equal(t, "acme", owner)
		require.Contains(t, token.RefreshToken.Reveal(), "Atzr|")
		want := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {clientID}, "client_secret": {clientSecret}}
		if sent != "" {
			want.Set("redirect_uri", sent)
		}
		form, _ := f.amazon.LastRequest()
		require.Equal(t, want, form)

		_, refused := split(f.client.AuthorizationCode(t.Context(), f.app, credential.New(code), sent))
		require.Equal(t, fault.InvalidCode, refused.Kind, "it works once")
	}
}

// Whatever goes wrong, a code is sent once: it may have been taken.
func TestCodeFaults(t *testing.T) {
	t.Parallel()
	table := outcomes()
	for _, kind := range amazontest.Faults() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			send, limit := inFull(kind)
			f.amazon.SetFault(send)
			code := f.amazon.NewCode(clientID, "acme", "")
			token, err := f.exchange(t, func(ctx context.Context, f *fixture) (lwa.Token, error) {
				return f.client.AuthorizationCode(ctx, f.app, credential.New(code), "")
			}, limit)
			require.Equal(t, 1, f.amazon.Requests())
			want := table[kind]
			if want.kind == succeeded {
				require.Nil(t, err)
				require.False(t, token.AccessToken.IsZero() || token.RefreshToken.IsZero())
				return
			}
			require.NotNil(t, err)
			if want.kind == fault.InvalidGrant {
				want.kind = fault.InvalidCode
			}
			require.Equal(t, want.kind, err.Kind, err)
			require.Equal(t, want.status, err.Status)
			require.True(t, token.AccessToken.IsZero() && token.RefreshToken.IsZero())
			for _, part := range []string{"canary", code, f.amazon.URL()} {
				require.NotContains(t, err.Error(), part)
			}
		})
	}
}

func TestCodeAnswerWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.amazon.OmitRefreshToken(true)
	_, err := split(f.client.AuthorizationCode(t.Context(), f.app, credential.New(f.amazon.NewCode(clientID, "acme", "")), ""))
	require.Equal(t, fault.BadAnswer, err.Kind)
	require.Contains(t, err.Error(), "refresh_token is missing")
}

// A code that was not sent at all is sent again: here nobody speaks TLS.
func TestCodeIsRepeatedWhileNothingWasSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	var dialed atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			_ = conn.Close()
		}
	}()
	f.app.Endpoint = "https://" + listener.Addr().String() + "/auth/o2/token"
	_, refused := split(f.client.AuthorizationCode(t.Context(), f.app, credential.New("code"), ""))
	require.Equal(t, fault.Unavailable, refused.Kind)
	require.EqualValues(t, 3, dialed.Load())
}
