// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package lwa

import (
	"context"
	"encoding/json"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/transport"
)

// failure turns a failed exchange into an Error by what is known of it: status
// and OAuth error code, or the type of the network error.
func failure(ctx context.Context, answer *transport.Answer, err error, scrub transport.Scrubber, grant grant) *fault.Error {
	if unanswered := answer.Unanswered(ctx, err); unanswered != nil {
		return unanswered
	}
	var oauthError struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(answer.Body, &oauthError) // 5xx bodies may be HTML or empty
	kind := answer.Kind()
	if kind == fault.BadAnswer && answer.IsRefusal() {
		if kind = kindOf(oauthError.Code); kind == fault.InvalidGrant && grant == codeGrant {
			kind = fault.InvalidCode
		}
	}
	return answer.Refused(kind, messageOf(kind, grant), oauthError.Code, oauthError.Description, scrub)
}

// kindOf decides by OAuth error code. Source: RFC 6749 section 5.2 and the
// SP-API documentation, "LWA error responses".
func kindOf(code string) fault.Kind {
	switch code {
	case "invalid_grant":
		return fault.InvalidGrant
	case "invalid_client":
		return fault.InvalidClient
	case "unauthorized_client":
		return fault.UnauthorizedClient
	case "invalid_scope":
		return fault.InvalidScope
	}
	return fault.BadAnswer
}

func messageOf(kind fault.Kind, grant grant) string {
	switch kind {
	case fault.InvalidGrant:
		return "Amazon refuses the " + string(grant)
	case fault.InvalidCode: // source: SP-API documentation, "Website Authorization Workflow"
		return "Amazon refuses the authorization code, which works once, within 5 minutes"
	case fault.InvalidClient:
		return "Amazon refuses the application's client id or client secret"
	case fault.UnauthorizedClient:
		return "Amazon says that the " + string(grant) + " does not belong to this application"
	case fault.InvalidScope:
		return "Amazon refuses the scope"
	case fault.RateLimited:
		return "Amazon asks to slow down"
	case fault.Unavailable:
		return "Amazon failed"
	}
	return "Amazon refuses the request"
}
