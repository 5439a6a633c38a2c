// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package consent takes a selling partner through Amazon's consent: the link
// there, the redirect back, and the pages that say what happened.
package consent

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// LongestURL bounds a redirected URL that somebody pastes.
const LongestURL = 64 << 10

// longestParameter bounds a parameter of a redirect: what Amazon documents as
// long (2,048 bytes), twice.
const longestParameter = 4096

// Redirect is what Amazon tells the application about an authorization, through
// the browser of the selling partner.
type Redirect struct {
	State            credential.Secret
	Code             credential.Secret
	SellingPartnerID string
}

// RefusedError is a redirect by which Amazon says that there is no authorization.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string {
	return "Amazon did not authorize the application: " + e.Reason
}

// ParseURL reads the address to which Amazon sent a browser, as it was pasted.
// The errors do not repeat it.
func ParseURL(pasted string) (Redirect, error) {
	// An address has no white space; where it has some, lines were wrapped.
	pasted = strings.Trim(strings.Join(strings.Fields(pasted), ""), `"'<>`)
	switch {
	case pasted == "":
		return Redirect{}, errors.New("nothing was pasted")
	case len(pasted) > LongestURL:
		return Redirect{}, fmt.Errorf("the address is longer than %d bytes", LongestURL)
	}
	address, err := url.Parse(pasted)
	if err != nil || address.Host == "" || (address.Scheme != "https" && address.Scheme != "http") {
		return Redirect{}, errors.New("that is no address of a page: paste all of it, from https:// on")
	}
	query, err := url.ParseQuery(address.RawQuery)
	if err != nil {
		return Redirect{}, errors.New("the address has a query that cannot be read: paste all of it, unchanged")
	}
	if query.Has("application_id") || query.Has("amazon_callback_uri") {
		return Redirect{}, errors.New("that is the way to Amazon: paste the address to which Amazon sent the browser after the consent")
	}
	return FromQuery(query)
}

// FromQuery reads the parameters of Amazon's redirect. Where they are incomplete
// the state is given with the error, so that a caller can tell whose they are.
// Source: SP-API documentation, "Website Authorization Workflow". Others, such as
// mws_auth_token of hybrid applications, are not needed.
func FromQuery(query url.Values) (Redirect, error) {
	var redirect Redirect
	state, err := parameter(query, "state")
	if err != nil {
		return redirect, err
	}
	redirect.State = credential.New(state)
	if query.Has("error") {
		return redirect, &RefusedError{reason(query)}
	}
	code, err := parameter(query, "spapi_oauth_code")
	if err != nil {
		return redirect, err
	}
	redirect.Code = credential.New(code)
	redirect.SellingPartnerID, err = parameter(query, "selling_partner_id")
	return redirect, err
}

// parameter is a parameter that must be there once.
func parameter(query url.Values, name string) (string, error) {
	values := query[name]
	switch {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("the address has no parameter %q, which Amazon adds after the consent", name)
	case len(values) > 1:
		return "", fmt.Errorf("the address has more than one parameter %q", name)
	case len(values[0]) > longestParameter:
		return "", fmt.Errorf("the parameter %q is longer than %d bytes", name, longestParameter)
	case strings.ContainsFunc(values[0], func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fmt.Errorf("the parameter %q has unprintable characters", name)
	}
	return values[0], nil
}

// reason is the OAuth error of a redirect, of which anybody could have written
// anything, but for the secrets of the same redirect.
func reason(query url.Values) string {
	const longest = 200
	text := query.Get("error")
	if description := query.Get("error_description"); description != "" {
		text += " (" + description + ")"
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	var secrets []credential.Secret
	for _, name := range []string{"state", "spapi_oauth_code"} {
		for _, value := range query[name] {
			secrets = append(secrets, credential.New(value))
		}
	}
	runes := []rune(mount.Scrub(text, secrets...)) // before it is cut
	if len(runes) > longest {
		runes = append(runes[:longest], '…')
	}
	if len(runes) == 0 {
		return "no reason given"
	}
	return string(runes)
}
