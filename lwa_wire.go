// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
)

// The grant types that are served. Source: RFC 6749, sections 4.4.2 and 6.
const (
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
)

// lwaSuccess is a successful answer of Login with Amazon's token endpoint, with the
// members in its order. Source: SP-API documentation, "Connect to the Selling
// Partner API".
type lwaSuccess struct {
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
}

// lwaError is a failure. SDKs look into both members.
type lwaError struct {
	Description string `json:"error_description"`
	Code        string `json:"error"`
}

// lwaAnswer is a raw answer, which cannot be a lease.
func lwaAnswer(status int, body any) *logical.Response {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		panic(err) // texts and numbers only
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode:  status,
		logical.HTTPContentType: "application/json",
		// Vault takes a text that is Base64 for one; an object never is.
		logical.HTTPRawBody:            text.String(),
		logical.HTTPCacheControlHeader: "no-store",
		logical.HTTPPragmaHeader:       "no-cache",
	}}
}

// lwaFailure is a failure as Login with Amazon would tell it, in the words of this
// engine.
func (b *backend) lwaFailure(req *logical.Request, err error) *logical.Response {
	failed := b.knownFault(req, err)
	status, code := lwaStatusOf(failed)
	return lwaAnswer(status, lwaError{Description: message(failed, mountOf(req)), Code: code})
}

// lwaStatusOf is the HTTP status and the error code of a fault. Statuses of 429
// and 5xx mean that it is worth to try again: SDKs and Vault Proxy do.
// Source: RFC 6749, section 5.2; SP-API documentation, "LWA error responses".
func lwaStatusOf(failed *fault.Error) (status int, code string) {
	switch failed.Kind {
	case fault.UnknownAccount, fault.InvalidGrant:
		return http.StatusBadRequest, "invalid_grant"
	case fault.Disabled:
		return http.StatusBadRequest, "access_denied"
	case fault.UnauthorizedClient:
		return http.StatusBadRequest, "unauthorized_client"
	case fault.InvalidScope:
		return http.StatusBadRequest, "invalid_scope"
	case fault.UnsupportedGrant:
		return http.StatusBadRequest, "unsupported_grant_type"
	case fault.InvalidClient, fault.NotConfigured:
		return http.StatusUnauthorized, "invalid_client"
	case fault.InvalidInput:
		switch failed.Field {
		case "account":
			return http.StatusBadRequest, "invalid_grant"
		case "scope":
			return http.StatusBadRequest, "invalid_scope"
		}
		return http.StatusBadRequest, "invalid_request"
	case fault.EndpointForbidden:
		return http.StatusBadRequest, "invalid_request"
	case fault.RateLimited, fault.Unavailable, fault.Canceled:
		return statusOf(failed.Kind), "temporarily_unavailable"
	}
	return statusOf(failed.Kind), "server_error"
}

// checkGrant refuses other grants than the one that a path serves.
func checkGrant(req *logical.Request, served string) error {
	switch req.Data["grant_type"] {
	case served:
		return nil
	case nil:
		return fault.New(fault.UnsupportedGrant, "grant_type is missing: this path serves %s, as form or JSON", served)
	}
	return fault.New(fault.UnsupportedGrant, "this path serves grant_type %s only", served)
}
