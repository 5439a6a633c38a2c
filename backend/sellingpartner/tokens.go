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
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/transport"
)

const (
	restrictedDataTokenPath = "/tokens/2021-03-01/restrictedDataToken" //nolint:gosec // a path
	// MaxRestrictedResources is how many resources one restricted data token may
	// open. Source: selling-partner-api-models, Tokens API.
	MaxRestrictedResources = 50
	// RestrictedEvery is how often Amazon gives an application a restricted data
	// token for one account. Source: selling-partner-api-models, Tokens API.
	RestrictedEvery = time.Second
	// RestrictedBurst is how many it gives at once after a rest.
	RestrictedBurst = 10
	// maxRestrictedToken bounds a token, in bytes. Amazon names no limit, and with
	// many resources they get larger than most servers take in a header.
	maxRestrictedToken = 64 << 10
)

// RestrictedResource is an operation that a restricted data token opens.
type RestrictedResource struct {
	Method       string   `json:"method"`
	Path         string   `json:"path"`
	DataElements []string `json:"dataElements,omitempty"`
}

// RestrictedRequest is what a restricted data token is asked for. Amazon takes a
// member that is null for an error, so that there is none.
// Source: selling-partner-api-models, Tokens API.
type RestrictedRequest struct {
	TargetApplication   string               `json:"targetApplication,omitempty"` // application id it is delegated to
	RestrictedResources []RestrictedResource `json:"restrictedResources"`
}

// Body is the request as it is sent, which two requests share if and only if they
// ask for the same.
func (r RestrictedRequest) Body() []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		panic(err) // texts only
	}
	return body.Bytes()
}

// Normalized is the same request with everything in order.
func (r RestrictedRequest) Normalized() RestrictedRequest {
	r.RestrictedResources = slices.Clone(r.RestrictedResources)
	for at := range r.RestrictedResources {
		r.RestrictedResources[at].DataElements = slices.Sorted(slices.Values(r.RestrictedResources[at].DataElements))
	}
	slices.SortFunc(r.RestrictedResources, func(a, b RestrictedResource) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), slices.Compare(a.DataElements, b.DataElements))
	})
	return r
}

// RestrictedDataToken is Amazon's answer to a RestrictedRequest.
type RestrictedDataToken struct {
	Token     credential.Secret
	Lifetime  time.Duration // as Amazon said, at most 24 h
	RequestID string
}

// RestrictedDataToken asks for a token that opens restricted resources of the
// account whose access token is given (createRestrictedDataToken). repeated runs
// before each call to Amazon after the first. An answer that refuses what is asked
// for is fault.InvalidResources.
// Source: selling-partner-api-models, Tokens API.
func (c *Client) RestrictedDataToken(ctx context.Context, endpoint string, accessToken credential.Secret, request RestrictedRequest, repeated func()) (RestrictedDataToken, error) {
	scrub := transport.NewScrubber(accessToken)
	answer, err := c.do(ctx, endpoint, call{method: http.MethodPost, path: restrictedDataTokenPath, body: request.Body(), repeated: repeated}, accessToken)
	if err != nil {
		return RestrictedDataToken{}, err
	}
	if answer.Status != http.StatusOK {
		return RestrictedDataToken{}, resourcesRefused(answer, scrub)
	}
	var body struct {
		Token     string          `json:"restrictedDataToken"`
		ExpiresIn json.RawMessage `json:"expiresIn"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return RestrictedDataToken{}, answer.Nonsense(errors.New("it is not the JSON object that was expected"), scrub)
	}
	if !transport.UsableToken(body.Token, maxRestrictedToken) {
		return RestrictedDataToken{}, answer.Nonsense(errors.New("restrictedDataToken is missing or not a token"), scrub)
	}
	lifetime, err := transport.Lifetime(body.ExpiresIn, "expiresIn")
	if err != nil {
		return RestrictedDataToken{}, answer.Nonsense(err, scrub)
	}
	return RestrictedDataToken{Token: credential.New(body.Token), Lifetime: lifetime, RequestID: answer.RequestID()}, nil
}

// resourcesRefused decides what a failed createRestrictedDataToken means. What
// Amazon calls unauthorized is about the access token, if it says so, and else about
// nothing certain: the application lacks a role, or many calls fail so for a while.
// Source: SP-API documentation, "SP-API errors", and users' reports.
func resourcesRefused(answer *transport.Answer, scrub transport.Scrubber) *fault.Error {
	refused := refusalOf(answer)
	kind, message := answer.Kind(), "Amazon failed"
	switch {
	case kind == fault.RateLimited:
		message = "Amazon asks to slow down"
	case answer.IsRefusal() && refused.Code == "Unauthorized" && strings.Contains(strings.ToLower(refused.Details), "access token"):
		kind, message = fault.AccessTokenRefused, "Amazon refuses the access token"
	case answer.IsRefusal() && refused.Code == "Unauthorized":
		kind, message = fault.AccessDenied, "Amazon denies access"
	case answer.Status == http.StatusBadRequest, answer.Status == http.StatusForbidden:
		kind, message = fault.InvalidResources, "Amazon refuses the restricted resources"
	case kind == fault.BadAnswer:
		message = "Amazon refuses the request"
	}
	return answer.Refused(kind, message, refused.Code, cmp.Or(refused.Details, refused.Message), scrub)
}
