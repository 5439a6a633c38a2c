// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// UnknownError is the end of a callback of which nobody knows whether Vault stored
// the authorization.
type UnknownError struct{ Cause error }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s; so it is unknown whether the authorization was stored: see spapictl status", e.Cause)
}

// Unwrap gives what happened.
func (e *UnknownError) Unwrap() error { return e.Cause }

// Unknown reports whether it is unknown what came of a callback.
func Unknown(err error) bool {
	unknown := (*UnknownError)(nil)
	return errors.As(err, &unknown)
}

// Repeatable reports whether the same callback may be sent again, and later may
// do: Vault gave the state back, as Amazon did not look at the code; or Vault could
// not be reached, or not serve.
func Repeatable(err error) bool {
	failed := (*mount.Error)(nil)
	if !errors.As(err, &failed) {
		return false
	}
	return givenBack(failed) || failed.Status == http.StatusServiceUnavailable || failed.Status == http.StatusTooManyRequests || failed.Unsent()
}

// Attempts completes one authorization, in one attempt after the other. An attempt
// without a clear answer makes those after it unclear, too.
type Attempts struct {
	Vault   Vault
	unclear bool
}

// Complete is one attempt. It returns an UnknownError where Vault may have stored
// the authorization in spite of the error.
func (a *Attempts) Complete(ctx context.Context, redirect Redirect) (Authorization, error) {
	done, err := a.Vault.Complete(ctx, redirect)
	failed := (*mount.Error)(nil)
	if !errors.As(err, &failed) {
		return done, err
	}
	if unclear(failed) || (a.unclear && !provesNothingStored(failed)) {
		a.unclear = true
		return done, &UnknownError{err}
	}
	return done, err
}

// unclear reports whether Vault may have done what was asked: it, or a proxy before
// it, gave no answer that says.
func unclear(failed *mount.Error) bool {
	switch failed.Status {
	case 0:
		return !failed.Unsent()
	case http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError: // storage, or a plugin that died: the write may have been done
		return !givenBack(failed)
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return failed.Foreign
	}
	return false
}

// provesNothingStored reports whether the engine refused an attempt for what it
// says, and not because the state is gone, which an earlier attempt may have used.
func provesNothingStored(failed *mount.Error) bool {
	gone := says(failed, "the state is unknown") || says(failed, "the state was used before")
	return givenBack(failed) || (failed.Status == http.StatusBadRequest && !failed.Foreign && !gone)
}

// givenBack reports whether the engine says that the state is as before.
func givenBack(failed *mount.Error) bool {
	return !failed.Foreign && says(failed, "the state can be used again")
}

func says(failed *mount.Error, text string) bool {
	return slices.ContainsFunc(failed.Messages, func(message string) bool { return strings.Contains(message, text) })
}
