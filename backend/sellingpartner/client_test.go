// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/transport"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

const (
	clientID     = "amzn1.application-oa2-client.0123456789abcdef0123456789abcdef"
	clientSecret = "amzn1.oa2-cs.v1.secret"
	partner      = "A1EXAMPLE2345"
	developer    = "1234-5678"
	mwsToken     = "amzn.mws.00000000-1111-2222-3333-444444444444"
)

type fixture struct {
	t           *testing.T
	amazon      *amazontest.Server
	client      *sellingpartner.Client
	accessToken credential.Secret
	repeated    int
}

// newFixture has an Amazon that still offers the migration.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	amazon, err := amazontest.New(amazontest.Options{})
	require.NoError(t, err)
	t.Cleanup(amazon.Close)
	amazon.AddClient(clientID, clientSecret)
	amazon.OfferMigration(clientID, partner, developer, mwsToken)
	anywhere := func(string) error { return nil }
	client := sellingpartner.New(sellingpartner.Options{Permit: anywhere, HTTP: transport.Options{RetryWait: time.Microsecond, UserAgent: "test/1"}})
	t.Cleanup(client.Close)
	return &fixture{t: t, amazon: amazon, client: client, accessToken: migrationToken(t, amazon)}
}

// migrationToken is a grantless access token of the migration scope.
func migrationToken(t *testing.T, amazon *amazontest.Server) credential.Secret {
	t.Helper()
	return accessToken(t, amazon, url.Values{"grant_type": {"client_credentials"}, "scope": {"sellingpartnerapi::migration"}})
}

// accessToken asks for one.
func accessToken(t *testing.T, amazon *amazontest.Server, grant url.Values) credential.Secret {
	t.Helper()
	grant.Set("client_id", clientID)
	grant.Set("client_secret", clientSecret)
	resp, err := http.PostForm(amazon.LWAEndpoint(), grant)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(t, answer.AccessToken)
	return credential.New(answer.AccessToken)
}

func (f *fixture) code(limit time.Duration, token string) (credential.Secret, *fault.Error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), limit)
	defer cancel()
	code, err := f.client.AuthorizationCode(ctx, f.amazon.SPAPIEndpoint(), f.accessToken, sellingpartner.MWSAuthorization{
		SellingPartnerID: partner, DeveloperID: developer, AuthToken: credential.New(token),
	})
	if err == nil {
		return code, nil
	}
	require.NotContains(f.t, err.Error(), mwsToken)
	require.NotContains(f.t, err.Error(), url.QueryEscape(mwsToken))
	require.NotContains(f.t, err.Error(), f.accessToken.Reveal())
	require.NotContains(f.t, err.Error(), "127.0.0.1")
	require.True(f.t, code.IsZero())
	return code, fault.Of(err)
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	code, err := f.code(time.Minute, mwsToken)
	require.Nil(t, err)
	require.Len(t, code.Reveal(), 20)
	_, err = f.code(time.Minute, "amzn.mws.unknown")
	require.Equal(t, fault.InvalidMWS, err.Kind)
	require.Contains(t, err.Error(), "Amazon refuses the MWS authorization: InvalidInput: Invalid input. (HTTP 400, request id ")
}

func TestMigrationIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for status, code := range map[int]string{http.StatusForbidden: "MissingAuthenticationToken", http.StatusNotFound: "NotFound", http.StatusGone: "Gone"} {
		f.amazon.RemoveMigrationAPI(status, code)
		_, err := f.code(time.Minute, mwsToken)
		require.Equal(t, fault.Removed, err.Kind, status)
		require.Contains(t, err.Error(), "2024-03-27: "+code)
	}
	f.amazon.RemoveMigrationAPI(http.StatusUnsupportedMediaType, "Unsupported")
	_, err := f.code(time.Minute, mwsToken)
	require.Equal(t, fault.BadAnswer, err.Kind)
}

// succeeded stands for no fault at all.
const succeeded = fault.Kind(-1)

// outcome is what a fault of Amazon's must become, and what it may cost.
type outcome struct {
	kind  fault.Kind
	calls int
}

func outcomes() map[amazontest.FaultKind]outcome {
	return map[amazontest.FaultKind]outcome{
		amazontest.FaultServerErrorHTML:        {fault.Unavailable, 3},
		amazontest.FaultServerError:            {fault.Unavailable, 3},
		amazontest.FaultUnavailable:            {fault.Unavailable, 3},
		amazontest.FaultTemporarilyUnavailable: {fault.Unavailable, 3},
		amazontest.FaultThrottled:              {fault.RateLimited, 1},
		amazontest.FaultHang:                   {fault.Unavailable, 1},
		amazontest.FaultReset:                  {fault.Unavailable, 3},
		amazontest.FaultOKNotJSON:              {fault.BadAnswer, 1},
		amazontest.FaultOKNotObject:            {fault.BadAnswer, 1},
		amazontest.FaultRedirect:               {fault.BadAnswer, 1},
		amazontest.FaultRedirectKeepingMethod:  {fault.BadAnswer, 1},
		amazontest.FaultBadRequestNotJSON:      {fault.InvalidMWS, 1},
		amazontest.FaultForbidden:              {fault.Removed, 1},
		amazontest.FaultEcho:                   {fault.InvalidMWS, 1},
		amazontest.FaultEchoServerError:        {fault.Unavailable, 3},
		amazontest.FaultDelay:                  {succeeded, 1},
		amazontest.FaultSlowBody:               {fault.Unavailable, 1},
		amazontest.FaultTruncatedBody:          {fault.Unavailable, 3},
		amazontest.FaultTruncatedJSON:          {fault.BadAnswer, 1},
		amazontest.FaultHugeBody:               {fault.BadAnswer, 1},
		amazontest.FaultNoAccessToken:          {fault.BadAnswer, 1}, // here: no code
		amazontest.FaultEmptyAccessToken:       {fault.BadAnswer, 1},
	}
}

// The call reads, and so is repeated where Amazon may have healed meanwhile.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range amazontest.SellingPartnerFaults() {
		want, known := outcomes()[kind]
		require.True(t, known, "no expectation for fault %s", kind)
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			send, limit := amazontest.Fault{Kind: kind}, time.Minute
			switch kind {
			case amazontest.FaultHang, amazontest.FaultSlowBody:
				limit = time.Second // these only end with it
			case amazontest.FaultDelay:
				send.Delay = time.Millisecond
			}
			f.amazon.SetSellingPartnerFault(send)
			_, err := f.code(limit, mwsToken)
			require.Equal(t, want.calls, f.amazon.MigrationCalls())
			require.Zero(t, f.amazon.RedirectsFollowed())
			if want.kind == succeeded {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, want.kind, err.Kind, err)
		})
	}
}

func TestForbiddenEndpointGetsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.client = sellingpartner.New(sellingpartner.Options{Permit: func(string) error { return errors.New("is not allowed") }})
	_, err := f.code(time.Minute, mwsToken)
	require.Equal(t, fault.EndpointForbidden, err.Kind)
	require.Zero(t, f.amazon.MigrationCalls())
}

// Whatever the callback URI is, the state goes to a host of Amazon's or nowhere.
func FuzzConfirmation(f *testing.F) {
	for _, seed := range []string{
		"https://amazon.com/apps/authorize/confirm/x", "https://amazon.com@evil.example/apps/authorize/x", "https://amazon.com\\.evil.example/apps/authorize/x", "https://sellercentral.amazon.co.uk/apps/authorize/x?y=z",
		"//amazon.com", "https://amazon.com:443/apps/authorize/%2e%2e/x", "https://AMAZON.com/apps/authorize/x", "https://amazon.com./apps/authorize/x", "https://[::1]/apps/authorize/x", "https://amazon.com/apps/authorize/x?state=mine",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		link, err := sellingpartner.Consent{ApplicationID: "app", State: "the-state"}.Confirmation(raw, "their-state")
		if err != nil {
			require.NotContains(t, link, "the-state")
			return
		}
		target, err := url.Parse(link)
		require.NoError(t, err)
		host := strings.ToLower(target.Hostname())
		require.Equal(t, "https", target.Scheme)
		require.Nil(t, target.User)
		require.Regexp(t, `^((www|(seller|vendor)central(-[a-z]+)?)\.)?(amazon\.(com|[a-z]{2}|com?\.[a-z]{2})|vendorcentral\.in)$`, host)
		require.Equal(t, []string{"the-state"}, target.Query()["state"])
		require.Equal(t, []string{"their-state"}, target.Query()["amazon_state"])
	})
}
