// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package sellingpartner

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/transport"
)

const (
	// accessTokenHeader carries every kind of access token.
	// Source: SP-API documentation, "Connect to the Selling Partner API".
	accessTokenHeader     = "X-Amz-Access-Token" //nolint:gosec // the name of a header
	authorizationCodePath = "/authorization/v1/authorizationCode"
	maxCodeLength         = 2048
)

// Options configure a Client.
type Options struct {
	// Permit returns why a base URL may not receive credentials, or nil. It is
	// asked before every call.
	Permit func(endpoint string) error
	HTTP   transport.Options
}

// Client calls the SP-API. It is safe for concurrent use. Its errors are
// fault.Errors and hold no credential, whatever Amazon answers.
type Client struct {
	opts Options
	http *transport.Client
}

// New returns a Client with a connection pool of its own.
func New(opts Options) *Client { return &Client{opts: opts, http: transport.New(opts.HTTP)} }

// Close drops idle connections.
func (c *Client) Close() { c.http.Close() }

// MWSAuthorization is a selling partner's authorization of a developer for
// Amazon Marketplace Web Service, which came before the SP-API.
type MWSAuthorization struct {
	SellingPartnerID string
	DeveloperID      string
	AuthToken        credential.Secret
}

// AuthorizationCode asks for the authorization code that stands for an MWS
// authorization (getAuthorizationCode). accessToken is a grantless one of the
// migration scope. Amazon removed the operation on 2024-03-27: an answer that may
// mean so is fault.Removed.
// Source: selling-partner-api-models, Authorization API v1.
func (c *Client) AuthorizationCode(ctx context.Context, endpoint string, accessToken credential.Secret, mws MWSAuthorization) (credential.Secret, error) {
	query := url.Values{"sellingPartnerId": {mws.SellingPartnerID}, "developerId": {mws.DeveloperID}, "mwsAuthToken": {mws.AuthToken.Reveal()}}
	scrub := transport.NewScrubber(accessToken, mws.AuthToken)
	answer, err := c.do(ctx, endpoint, call{method: http.MethodGet, path: authorizationCodePath + "?" + query.Encode()}, accessToken)
	if err != nil {
		return credential.Secret{}, err
	}
	if answer.Status != http.StatusOK {
		return credential.Secret{}, migrationRefused(answer, scrub)
	}
	var body struct {
		Payload struct {
			AuthorizationCode string `json:"authorizationCode"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return credential.Secret{}, answer.Nonsense(errors.New("it is not the JSON object that was expected"), scrub)
	}
	if code := body.Payload.AuthorizationCode; code == "" || len(code) > maxCodeLength {
		return credential.Secret{}, answer.Nonsense(errors.New("authorizationCode is missing or no code"), scrub)
	}
	return credential.New(body.Payload.AuthorizationCode), nil
}

// call is a request that may be repeated: it reads, or makes what does not count.
type call struct {
	method, path string
	body         []byte // JSON, if there is one
	repeated     func() // see transport.Answer
}

// do fails where there is no whole answer.
func (c *Client) do(ctx context.Context, endpoint string, call call, accessToken credential.Secret) (*transport.Answer, error) {
	if err := c.opts.Permit(endpoint); err != nil {
		return nil, fault.New(fault.EndpointForbidden, "sp_api_endpoint %s", err)
	}
	ctx, answer := transport.Record(ctx)
	answer.Repeated = call.repeated
	req, err := http.NewRequestWithContext(ctx, call.method, endpoint+call.path, bytes.NewReader(call.body))
	if err != nil {
		return nil, fault.New(fault.Internal, "the request to the SP-API could not be made")
	}
	req.Header.Set(accessTokenHeader, accessToken.Reveal())
	req.Header.Set("Accept", "application/json")
	if len(call.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.HTTP().Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if unanswered := answer.Unanswered(ctx, err); unanswered != nil {
		return nil, unanswered
	}
	return answer, nil
}

// refusal is the first error of an answer.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details string `json:"details"`
}

func refusalOf(answer *transport.Answer) refusal {
	var body struct {
		Errors []refusal `json:"errors"`
	}
	_ = json.Unmarshal(answer.Body, &body) // need not be JSON
	if len(body.Errors) == 0 {
		return refusal{}
	}
	return body.Errors[0]
}

// migrationRefused decides what a failed getAuthorizationCode means. What Amazon
// answers now that it is gone is not documented: 404 and 410 say so, 403 is how
// the SP-API's gateway refuses paths it does not know.
func migrationRefused(answer *transport.Answer, scrub transport.Scrubber) *fault.Error {
	refused := refusalOf(answer)
	kind, message := answer.Kind(), "Amazon failed"
	switch answer.Status {
	case http.StatusTooManyRequests:
		message = "Amazon asks to slow down"
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden:
		kind, message = fault.Removed, removed
	case http.StatusBadRequest:
		kind, message = fault.InvalidMWS, "Amazon refuses the MWS authorization"
	default:
		if kind == fault.BadAnswer {
			message = "Amazon refuses the request"
		}
	}
	return answer.Refused(kind, message, refused.Code, cmp.Or(refused.Details, refused.Message), scrub)
}

const removed = "Amazon removed the migration of MWS authorizations on 2024-03-27"

// MigrationRemoved is the fault of an application that Amazon refuses the
// migration scope.
func MigrationRemoved(scopeRefused *fault.Error) *fault.Error {
	gone := *scopeRefused
	gone.Kind, gone.Message = fault.Removed, removed
	return &gone
}
