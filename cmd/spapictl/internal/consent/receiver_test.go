// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

func TestSuccess(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	s := serve(t, consent.Settings{Vault: vault})

	arrived := s.get(t, callback)
	require.Equal(t, http.StatusSeeOther, arrived.StatusCode)
	location := arrived.Header.Get("Location")
	require.Regexp(t, `^/callback/result/[A-Z2-7]{20,}$`, location, "no query, and nobody can guess it")

	result := s.get(t, location)
	require.Equal(t, http.StatusOK, result.StatusCode)
	for _, part := range []string{"Authorization complete", "acme", "Europe (eu)", "A1EXAMPLE", "21 November 2027"} {
		require.Contains(t, result.page, part)
	}
	done, err := s.end()
	require.NoError(t, err)
	require.Equal(t, authorized(), done)
	require.Equal(t, []consent.Redirect{{
		State: credential.New("the-state"), Code: credential.New("the-code"), SellingPartnerID: "A1EXAMPLE",
	}}, vault.completed)
	require.Empty(t, s.told())
}

// Every answer keeps its address to itself, and nothing may be loaded or framed.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: failing(503, "Amazon could not be reached")})
	answers := []response{s.get(t, callback), s.get(t, "/callback?state=the-state&error=denied"), s.get(t, "/?state=the-state")}
	for _, away := range answers {
		answers = append(answers, s.follow(t, away))
	}
	answers = append(answers, s.get(t, "/"), s.get(t, "/callback"), s.send(t, http.MethodPut, "/callback"), s.get(t, "/favicon.ico"))
	for _, answer := range answers {
		header := answer.Header
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"))
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", header.Get("X-Frame-Options"))
		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		if answer.page != "" {
			nonce := between(header.Get("Content-Security-Policy"), "style-src 'nonce-", "'")
			require.Contains(t, answer.page, `<style nonce="`+nonce+`">`)
			require.NotContains(t, answer.page, "<script")
			require.NotContains(t, answer.page, "://", "nothing is loaded from elsewhere")
			require.NotContains(t, answer.page, "the-code")
			require.NotContains(t, answer.page, "the-state")
		}
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

func TestForeignState(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	s := serve(t, consent.Settings{Vault: vault})
	require.Contains(t, s.get(t, "/callback").page, "This address is not expected")
	for _, path := range []string{
		"/callback?state=", "/callback?state=%zz",
		"/callback?state=another&selling_partner_id=A1EXAMPLE&spapi_oauth_code=x",
		"/callback?state=another&error=access_denied",
		callback + "&state=another",
	} {
		answer := s.divert(t, path)
		require.Equal(t, http.StatusBadRequest, answer.StatusCode, path)
		require.Contains(t, answer.page, "This address is not expected", path)
	}
	require.Zero(t, vault.completions(), "Vault is not asked")
	require.Empty(t, s.told(), "whoever passes by leaves no line")

	s.follow(t, s.get(t, callback))
	_, err := s.end()
	require.NoError(t, err)
}

func TestRedirectWithoutAuthorization(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	s := serve(t, consent.Settings{Vault: vault})
	refused := s.divert(t, "/callback?state=the-state&error=access_denied")
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	require.Contains(t, refused.page, "access_denied")
	require.Contains(t, s.divert(t, "/callback?state=the-state&selling_partner_id=A1").page, "spapi_oauth_code")
	require.Zero(t, vault.completions())
	require.NotContains(t, s.told(), "the-state")
	require.Contains(t, s.told(), "still waiting")

	s.follow(t, s.get(t, callback))
	_, err := s.end()
	require.NoError(t, err)
}

func TestOtherPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: succeeding()})
	for _, path := range []string{"/", "/login", "/callback/", "//callback", "/callback/result/x", "/callback/answer/x", "/result"} {
		require.Equal(t, http.StatusNotFound, s.get(t, path).StatusCode, path)
		require.Equal(t, http.StatusNotFound, s.divert(t, path+"?state=the-state").StatusCode, path)
	}
	require.Equal(t, http.StatusNoContent, s.get(t, "/favicon.ico?state=the-state").StatusCode)
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		answer := s.send(t, method, callback)
		require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode, method)
		require.Equal(t, "GET", answer.Header.Get("Allow"))
	}
}

func TestPageEscapes(t *testing.T) {
	t.Parallel()
	const hostile = `<script>alert("x")</script>&'`
	s := serve(t, consent.Settings{Vault: &vaultStub{complete: func(context.Context, consent.Redirect) (consent.Authorization, error) {
		return consent.Authorization{Account: hostile, Region: hostile, SellingPartnerID: hostile, ExpiresAt: hostile}, nil
	}}})
	asked := s.divert(t, "/callback?state=the-state&error=%3Cscript%3Ealert(1)")
	result := s.follow(t, s.get(t, callback))
	for _, page := range []string{asked.page, result.page} {
		require.NotContains(t, page, "<script")
		require.Contains(t, page, "&lt;script&gt;")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: failing(400, "Amazon refused the <code>")})
	result := s.follow(t, s.get(t, callback))
	require.Equal(t, http.StatusBadRequest, result.StatusCode)
	require.Contains(t, result.page, "Authorization failed")
	require.Contains(t, result.page, "Amazon refused the &lt;code&gt;")
	_, err := s.end()
	require.EqualError(t, err, "Amazon refused the <code>")
}

// The advice of the engine is for who runs spapictl, not for sellers.
func TestRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	for said, shown := range map[string]string{
		"the state expired. Begin again with: vault write spapi/authorize/url account=…":                                                "the state expired",
		`account "a": of it. Of us. A code works once, within 5 minutes: begin again with vault write spapi/authorize/url account=a …`:  `account &#34;a&#34;: of it. Of us`,
		"unauthorized_client. Compare it with client_id of: vault read spapi/config. Or write it: vault write spapi/config client_id=…": "unauthorized_client",
		"it is disabled. Enable it with: vault patch spapi/accounts/a enabled=true":                                                     "it is disabled",
		"vault write spapi/config comes first. Then this":                                                                               "vault write spapi/config comes first. Then this",
	} {
		s := serve(t, consent.Settings{Vault: failing(400, said)})
		require.Contains(t, s.follow(t, s.get(t, callback)).page, `<p class="said">`+shown+"</p>")
		_, err := s.end()
		require.EqualError(t, err, said)
	}
}

// What is not for sellers, such as which policy is missing, stays off the page.
func TestFailed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 502} {
		s := serve(t, consent.Settings{Vault: failing(status, "the inside of it")})
		result := s.follow(t, s.get(t, callback))
		require.Equal(t, http.StatusBadGateway, result.StatusCode)
		require.Contains(t, result.page, "Authorization failed")
		require.NotContains(t, result.page, "the inside of it")
		_, err := s.end()
		require.ErrorContains(t, err, "the inside of it")
	}
}

// Nobody is told that it failed where it may have been stored.
func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{engineSays(0, "the inside of it"), engineSays(500, "the inside of it"), engineSays(504, "the inside of it"), proxySays(500), proxySays(502)} {
		s := serve(t, consent.Settings{Vault: answering(answer)})
		result := s.follow(t, s.get(t, callback))
		require.Equal(t, http.StatusBadGateway, result.StatusCode)
		require.Contains(t, result.page, "It is not known whether this worked")
		require.NotContains(t, result.page, "failed")
		require.NotContains(t, result.page, "the inside of it")
		_, err := s.end()
		require.ErrorContains(t, err, "so it is unknown whether the authorization was stored: see spapictl status")
	}
}

// The first attempt may have stored what the second one finds used.
func TestUnknownThenUsed(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: answering(proxySays(503), engineSays(400, "the state was used before"))})
	arrived := s.get(t, callback)
	page := s.follow(t, arrived)
	require.Contains(t, page.page, "Try again")
	require.NotContains(t, page.page, "Nothing is lost")
	require.Contains(t, page.page, "not known yet whether it was completed")
	page = s.follow(t, s.send(t, http.MethodPost, arrived.Header.Get("Location")))
	require.Contains(t, page.page, "It is not known whether this worked")
	_, err := s.end()
	require.ErrorContains(t, err, "the state was used before; so it is unknown")
}

func TestTryAgain(t *testing.T) {
	t.Parallel()
	failures := 2
	vault := succeeding()
	good, bad := vault.complete, failing(503, "Amazon could not be reached").complete
	vault.complete = func(ctx context.Context, redirect consent.Redirect) (consent.Authorization, error) {
		if failures--; failures >= 0 {
			return bad(ctx, redirect)
		}
		return good(ctx, redirect)
	}
	s := serve(t, consent.Settings{Vault: vault})

	arrived := s.get(t, callback)
	path := arrived.Header.Get("Location")
	page := s.follow(t, arrived)
	require.Equal(t, http.StatusServiceUnavailable, page.StatusCode)
	require.Contains(t, page.page, `<form method="post" action="`+path+`">`)
	require.Contains(t, s.told(), "Amazon could not be reached; the page offers to try again")

	require.Contains(t, s.follow(t, s.send(t, http.MethodPost, path)).page, "Try again")
	require.Contains(t, s.follow(t, s.send(t, http.MethodPost, path)).page, "Authorization complete")
	_, err := s.end()
	require.NoError(t, err)
	require.Len(t, vault.completed, 3)
	require.Equal(t, vault.completed[0], vault.completed[2], "the same redirect again")
}

// A redirect that is loaded again, or is of a new consent, is a try as well.
func TestRedirectAgain(t *testing.T) {
	t.Parallel()
	vault := failing(503, "Amazon could not be reached")
	s := serve(t, consent.Settings{Vault: vault})
	require.Contains(t, s.follow(t, s.get(t, callback)).page, "Try again")
	vault.complete = succeeding().complete
	s.follow(t, s.get(t, strings.ReplaceAll(callback, "the-code", "the-next-code")))
	_, err := s.end()
	require.NoError(t, err)
	require.Equal(t, "the-next-code", vault.completed[1].Code.Reveal())
}

// arrival is the context of a request. The handler asks for its end once it waits
// for the exchange.
type arrival struct {
	context.Context //nolint:containedctx // is one
	waits           func()
}

func (a *arrival) Done() <-chan struct{} {
	a.waits()
	return a.Context.Done()
}

// Browsers that come with one redirect get one outcome, and are led to one page.
func TestRace(t *testing.T) {
	t.Parallel()
	const browsers = 8
	vault := succeeding()
	release := make(chan struct{})
	vault.complete = func(context.Context, consent.Redirect) (consent.Authorization, error) {
		<-release
		return authorized(), nil
	}
	s := serve(t, consent.Settings{Vault: vault})
	var arrived, answered sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, browsers)
	for i := range answers {
		answers[i] = httptest.NewRecorder()
		arrived.Add(1)
		ctx := &arrival{t.Context(), sync.OnceFunc(arrived.Done)}
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, callback, nil)
		answered.Go(func() { s.receiver.ServeHTTP(answers[i], req) })
	}
	arrived.Wait()
	close(release)
	answered.Wait()
	require.Equal(t, 1, vault.completions())
	for _, answer := range answers {
		require.Equal(t, http.StatusSeeOther, answer.Code)
		require.Equal(t, answers[0].Header().Get("Location"), answer.Header().Get("Location"))
		require.Contains(t, s.get(t, answer.Header().Get("Location")).page, "Authorization complete", "the server waits for all of them")
	}
	_, err := s.end()
	require.NoError(t, err)
}

// A browser that leaves does not stop what Vault has begun.
func TestBrowserLeaves(t *testing.T) {
	t.Parallel()
	vault := succeeding()
	entered, release := make(chan struct{}), make(chan struct{})
	vault.complete = func(ctx context.Context, _ consent.Redirect) (consent.Authorization, error) {
		close(entered)
		<-release
		return authorized(), ctx.Err()
	}
	s := serve(t, consent.Settings{Vault: vault})
	ctx, leave := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, callback, nil)
	left := make(chan struct{})
	go func() {
		defer close(left)
		s.receiver.ServeHTTP(httptest.NewRecorder(), req)
	}()
	<-entered
	leave()
	<-left
	close(release)
	done, err := s.end()
	require.NoError(t, err)
	require.Equal(t, "acme", done.Account)
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, consent.Settings{Vault: succeeding()})
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	_, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.address, "https://"))
	require.ErrorContains(t, err, "version")
}

func TestPathsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, settings := range []consent.Settings{{Path: "callback"}, {Path: "/", LoginPath: "login"}, {Path: "/login", LoginPath: "/login"}} {
		_, err := consent.NewReceiver(settings)
		require.Error(t, err)
	}
}
