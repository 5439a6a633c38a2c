// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: succeeding()})
	s.stop()
	_, err := s.end()
	require.ErrorIs(t, err, consent.ErrInterrupted)
	require.Regexp(t, `\(the link stays valid in Vault until \d\d:\d\d:\d\d UTC\)$`, err.Error())

	s = serveInvitation(t, appstore())
	s.stop()
	_, err = s.end()
	require.EqualError(t, err, consent.ErrInterrupted.Error(), "nothing was begun")
}

func TestInterruptedWhenItCanBeRepeated(t *testing.T) {
	t.Parallel()
	for unknown, answer := range map[bool]error{false: engineSays(503, "Amazon could not be reached"), true: proxySays(503)} {
		s := serve(t, consent.Settings{Vault: answering(answer)})
		s.follow(t, s.get(t, callback))
		s.stop()
		_, err := s.end()
		require.Regexp(t, `^interrupted: somebody came back from Amazon, but Vault could not complete it \(the link stays valid in Vault until .*\): `, err.Error())
		require.Equal(t, unknown, strings.Contains(err.Error(), "unknown whether the authorization was stored"))
	}
}

// Who gives up on Vault's answer is not told that nobody came.
func TestInterruptedBeforeVaultAnswers(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	entered, release := make(chan struct{}), make(chan struct{})
	vault.complete = func(context.Context, consent.Redirect) (consent.Authorization, error) {
		close(entered)
		<-release
		return authorized(), nil
	}
	s := serve(t, consent.Settings{Vault: vault})
	s.receiver.LosePatience()
	ctx, leave := context.WithCancel(t.Context())
	var browser sync.WaitGroup
	browser.Go(func() { _, _ = s.try(ctx, http.MethodGet, callback) })
	<-entered
	s.stop()
	_, err := s.end()
	require.EqualError(t, err, "interrupted before Vault answered; so it is unknown whether the authorization was stored: see spapictl status")
	leave()
	browser.Wait()
	close(release)
}

// The authorization is told of before a browser has fetched the page, which an
// interrupt then does not wait for.
func TestDoneBeforeThePage(t *testing.T) {
	t.Parallel()
	told := make(chan consent.Authorization, 1)
	s := serve(t, consent.Settings{Vault: succeeding(), Done: func(done consent.Authorization) { told <- done }})
	require.Equal(t, http.StatusSeeOther, s.get(t, callback).StatusCode) // and is not followed
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)    // the browser would be given longer
	defer cancel()
	select {
	case done := <-told:
		require.Equal(t, authorized(), done)
	case <-limit.Done():
		require.FailNow(t, "it waits for the browser before it tells")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.end()
		ended <- err
	}()
	s.stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-limit.Done():
		require.Fail(t, "it goes on waiting for the browser")
	}
}

// What Vault has begun at Ctrl-C is waited for: it is stored in any case.
func TestInterruptedWhileVaultIsAsked(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	entered, release := make(chan struct{}), make(chan struct{})
	vault.complete = func(context.Context, consent.Redirect) (consent.Authorization, error) {
		close(entered)
		<-release
		return authorized(), nil
	}
	s := serve(t, consent.Settings{Vault: vault})
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		if answer, err := s.try(t.Context(), http.MethodGet, callback); err == nil {
			_, _ = s.try(t.Context(), http.MethodGet, answer.Header.Get("Location"))
		}
	}()
	<-entered
	s.stop()
	require.NoError(t, vaulttest.WaitFor(t.Context(), "the interrupt", func() (bool, error) {
		return strings.Contains(s.told(), "waiting for the answer of Vault"), nil
	}))
	close(release)
	done, err := s.end()
	require.NoError(t, err)
	require.Equal(t, "acme", done.Account)
	<-arrived
}

func TestExpired(t *testing.T) {
	t.Parallel()
	s := &stage{browser: newBrowser(t)}
	var err error
	s.receiver, err = consent.NewReceiver(consent.Settings{Vault: succeeding()})
	require.NoError(t, err)
	s.receiver.Expect(credential.New("the-state"), time.Now())
	s.serve(t)
	_, err = s.end()
	require.ErrorIs(t, err, consent.ErrExpired)
}

func TestExpiredAfterAnAttempt(t *testing.T) {
	t.Parallel()
	s := &stage{browser: newBrowser(t)}
	var err error
	s.receiver, err = consent.NewReceiver(consent.Settings{Path: "/callback", Vault: failing(503, "Amazon could not be reached")})
	require.NoError(t, err)
	s.receiver.Expect(credential.New("the-state"), time.Now())
	arrived := httptest.NewRecorder()
	s.receiver.ServeHTTP(arrived, httptest.NewRequestWithContext(t.Context(), http.MethodGet, callback, nil))
	s.receiver.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, arrived.Header().Get("Location"), nil))
	s.serve(t)
	_, err = s.end()
	require.EqualError(t, err, "somebody came back from Amazon, but Vault could not complete it before the link expired: Amazon could not be reached")
}

// A request may name a host in place of a path.
func TestRequestsWithoutPath(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"", "/login"} {
		receiver, err := consent.NewReceiver(consent.Settings{Path: "/callback", LoginPath: login})
		require.NoError(t, err)
		for _, line := range []string{
			"GET https://app.example?selling_partner_id=x&amazon_state=s&amazon_callback_uri=u HTTP/1.1", "GET https://app.example HTTP/1.1",
			"POST https://app.example HTTP/1.1", "CONNECT app.example:443 HTTP/1.1", "OPTIONS * HTTP/1.1",
		} {
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + "\r\nHost: app.example\r\n\r\n")))
			require.NoError(t, err)
			answer := httptest.NewRecorder()
			receiver.ServeHTTP(answer, req)
			require.Contains(t, []int{http.StatusNotFound, http.StatusSeeOther}, answer.Code, line)
		}
	}
}

// A defect is told of, and nothing of what the browser sent.
func TestPanic(t *testing.T) {
	t.Parallel()
	for _, cause := range []func(){
		func() { panic("with amazons-state") },
		func() { panic(errors.New("with amazons-state")) },
		func() { _ = strings.Split("amazons-state", "")[len(t.Name())*100] },
	} {
		vault := appstore()
		vault.begin = func(map[string]any) (consent.Link, error) {
			cause()
			return consent.Link{}, nil
		}
		s := serveAppstore(t, vault)
		_, err := s.try(t.Context(), http.MethodGet, login)
		require.Error(t, err)
		require.Contains(t, s.told(), "a defect of spapictl: ")
		require.Contains(t, s.told(), "serveLogin", "where it is")
		require.NotContains(t, s.told(), "amazons-state")
	}
}
