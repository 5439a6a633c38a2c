// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/fault"
)

// statusOf is the HTTP status of an error, by its kind.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.InvalidInput, fault.UnsupportedGrant, fault.UnknownAccount, fault.UnknownRole, fault.NotConfigured, fault.EndpointForbidden,
		fault.InvalidGrant, fault.InvalidCode, fault.InvalidState, fault.InvalidMWS, fault.Removed, fault.UnauthorizedClient, fault.InvalidScope, fault.InvalidResources, fault.AccessDenied, fault.InvalidClient:
		return http.StatusBadRequest
	case fault.Disabled, fault.AccountNotAllowed:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.RateLimited, fault.Full:
		return http.StatusTooManyRequests
	case fault.BadAnswer, fault.AccessTokenRefused:
		return http.StatusBadGateway
	case fault.Unavailable, fault.Canceled:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// vaultError is the one edge where an error becomes Vault's. It returns a bare
// CodedError: a wrapped one would lose its status on the way through gRPC.
func (b *backend) vaultError(req *logical.Request, err error) error {
	if errors.Is(err, logical.ErrReadOnly) {
		return logical.ErrReadOnly // Vault forwards the request to a node that may write
	}
	failed := b.knownFault(req, err)
	return logical.CodedError(statusOf(failed.Kind), message(failed, mountOf(req)))
}

// knownFault is the fault of a request. What is ours is logged with its cause.
func (b *backend) knownFault(req *logical.Request, err error) *fault.Error {
	failed := fault.Of(err)
	if failed.Kind == fault.Internal || failed.Kind == fault.Storage {
		b.Logger().Error("a request failed", "path", req.Path, "operation", req.Operation, "error", failed.Error(), "cause", failed.Cause)
	}
	return failed
}

// message is what the reader sees: what happened, and what to do next.
func message(failed *fault.Error, mount string) string {
	text := failed.Error()
	switch failed.Kind {
	case fault.UnknownAccount, fault.NotFound, fault.Disabled, fault.AccountNotAllowed: // name it themselves
	case fault.EndpointForbidden, fault.NotConfigured: // are not about it
	default:
		if failed.Account != "" {
			text = fmt.Sprintf("account %q: %s", failed.Account, text)
		}
	}
	if next := nextStep(failed, mount); next != "" {
		text += ". " + next
	}
	return text
}

// nextStep says what to do about an error.
func nextStep(failed *fault.Error, mount string) string {
	if failed.Spent {
		return fmt.Sprintf("Begin again with: vault write %sauthorize/url account=%s …", mount, cmp.Or(failed.Account, "…"))
	}
	switch failed.Kind {
	case fault.NotConfigured:
		if failed.Field != "" {
			return fmt.Sprintf("Write it first: vault write %sconfig %s=…", mount, failed.Field)
		}
		return fmt.Sprintf("Write it first: vault write %sconfig client_id=… client_secret=@file", mount)
	case fault.UnknownAccount:
		return fmt.Sprintf("Create it with: vault write %saccounts/%s refresh_token=@file", mount, failed.Account)
	case fault.Disabled:
		return fmt.Sprintf("Enable it with: vault patch %saccounts/%s enabled=true", mount, failed.Account)
	case fault.InvalidGrant:
		return fmt.Sprintf("The selling partner has to authorize the application again: vault write %[1]sauthorize/url account=%[2]s reauthorize=true marketplace=…, or with a refresh token that you have: vault write %[1]saccounts/%[2]s refresh_token=@file", mount, failed.Account)
	case fault.InvalidMWS, fault.Removed:
		return fmt.Sprintf("Have the selling partner authorize the application instead: vault write %sauthorize/url account=%s marketplace=…", mount, failed.Account)
	case fault.Full:
		return "Try again when some have been completed or expired"
	case fault.UnauthorizedClient:
		return fmt.Sprintf("Compare the application that the selling partner authorized with client_id of: vault read %sconfig", mount)
	case fault.UnknownRole:
		return fmt.Sprintf("Create it with: vault write %sroles/%s restricted_resources=@file allowed_accounts=…", mount, failed.Role)
	case fault.AccountNotAllowed:
		return fmt.Sprintf("Allow it with: vault patch %sroles/%s allowed_accounts=…", mount, failed.Role)
	case fault.InvalidResources:
		return fmt.Sprintf("Compare restricted_resources of: vault read %sroles/%s with the documentation of the Tokens API. The application needs the role for them in Seller Central, and the selling partner's authorization must be younger than that", mount, failed.Role)
	case fault.InvalidScope:
		return "The application lacks the role for it; see its registration in Seller Central"
	case fault.InvalidClient:
		if failed.Field != "" {
			return "Compare both with the application's LWA credentials in Seller Central; an application id is not a client id"
		}
		return fmt.Sprintf("The application is at fault, not the account: write its current client secret with: vault write %sconfig client_secret=@file", mount)
	case fault.EndpointForbidden:
		return fmt.Sprintf("Write another to %sconfig, or register the plugin anew and reload it", mount)
	case fault.AccessDenied:
		return "Try again later. If it stays so, the application may lack the role for it in Seller Central, or the selling partner's authorization may be older than that"
	case fault.RateLimited, fault.Unavailable, fault.BadAnswer, fault.AccessTokenRefused:
		return "Try again later"
	case fault.Unsaved:
		return "Do not seal or restart Vault, nor reload the plugin, until it is stored; see the log of Vault for the cause"
	case fault.Storage:
		return "Nothing was half done; see the log of Vault for the cause"
	}
	return ""
}

// mountOf is where the engine is mounted, as the commands in messages need it.
func mountOf(req *logical.Request) string {
	if req.MountPoint == "" {
		return "spapi/"
	}
	return req.MountPoint
}
