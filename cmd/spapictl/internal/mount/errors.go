// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/api"

	"vault-plugin-secrets-spapi/backend/credential"
)

// longestMessage bounds what is shown of an answer: a proxy may answer a page.
const longestMessage = 2000

// Error is a request that failed. It holds nothing of the request but its path.
type Error struct {
	Status   int      // of HTTP; 0 if there was no answer
	Messages []string // of Vault; or why there was no answer
	Foreign  bool     // the answer is not in the form of Vault's, so that a proxy may have given it

	capability, path string
	anonymous        bool // no token was sent
	cause            error
}

// Error says what Vault said, and for 403 also which path it denied.
func (e *Error) Error() string {
	said := strings.Join(e.Messages, "; ")
	switch {
	case e.Status == 0:
		return "no answer from Vault: " + said
	case e.Status == http.StatusForbidden && e.anonymous:
		return fmt.Sprintf("Vault denied it, as no token was sent: set VAULT_TOKEN or log in with `vault login` (%s on %s; %s)", e.capability, e.path, said)
	case e.Status == http.StatusForbidden && e.badToken():
		return fmt.Sprintf("Vault denied it: %s (the token has expired, was revoked or is of another Vault: log in with `vault login`, or set VAULT_TOKEN)", said)
	case e.Status == http.StatusForbidden:
		return fmt.Sprintf("Vault denied it: %s (the policy needs the capability %q on the path %q)", said, e.capability, e.path)
	case said == "":
		return fmt.Sprintf("Vault answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return said
}

// Unwrap gives the cause where there was no answer, such as context.Canceled.
func (e *Error) Unwrap() error { return e.cause }

// Unsent reports that Vault could not be reached, so that nothing happened.
func (e *Error) Unsent() bool {
	dialled := (*net.OpError)(nil)
	return e.Status == 0 && errors.As(e.cause, &dialled) && dialled.Op == "dial"
}

// badToken reports whether Vault does not know the token, so that no policy is at
// fault.
func (e *Error) badToken() bool {
	return slices.ContainsFunc(e.Messages, func(message string) bool {
		return strings.Contains(message, "invalid token") || strings.Contains(message, "bad token")
	})
}

// failure makes the error of a request in which the secrets were.
func (m *Mount) failure(capability, path string, err error, secrets ...credential.Secret) *Error {
	failed := &Error{capability: capability, path: path, anonymous: m.client.Token() == ""}
	answered := (*api.ResponseError)(nil)
	if errors.As(err, &answered) {
		failed.Status, failed.Foreign = answered.StatusCode, answered.RawError || len(answered.Errors) == 0
		for _, message := range answered.Errors {
			if message = tidy(message, secrets); message != "" {
				failed.Messages = append(failed.Messages, message)
			}
		}
		return failed
	}
	// The text of this one holds the URL.
	if wrapper := (*url.Error)(nil); errors.As(err, &wrapper) {
		err = wrapper.Err
	}
	failed.cause, failed.Messages = err, []string{tidy(err.Error(), secrets)}
	return failed
}

// tidy makes a message one line of text, without the frame that Vault puts
// around some ("1 error occurred:\n\t* permission denied\n\n"), and without the
// secrets: Vault does not repeat them, but something between here and there might.
func tidy(message string, secrets []credential.Secret) string {
	if _, listed, ok := strings.Cut(message, " occurred:\n\t* "); ok {
		message = strings.ReplaceAll(strings.TrimSpace(listed), "\n\t* ", "; ")
	}
	message = strings.Join(strings.Fields(message), " ")
	message = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, message)
	message = Scrub(message, secrets...)
	if runes := []rune(message); len(runes) > longestMessage {
		message = string(runes[:longestMessage]) + "…"
	}
	return message
}
