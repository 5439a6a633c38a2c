// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package endpoint decides which URLs may receive credentials: Amazon's, and
// those that whoever registered the plugin allowed in its environment.
package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

// LWA is the token endpoint of Login with Amazon, the only one for all regions.
// Source: SP-API documentation, "Connect to the Selling Partner API".
const LWA = "https://api.amazon.com" + lwaPath

const (
	lwaOrigin = "https://api.amazon.com:443"
	lwaPath   = "/auth/o2/token"
)

// EnvVar names the environment variable with further allowed endpoints, comma
// separated. Registering a plugin with it needs sudo on the plugin catalog,
// which writing a mount's config does not.
const EnvVar = "SPAPI_ALLOWED_ENDPOINTS"

// maxLength bounds an endpoint, in bytes.
const maxLength = 2048

// Policy says which endpoints may be called. The zero value allows Amazon only.
type Policy struct {
	allowed []string // origins: scheme://host:port
}

// ParsePolicy reads the value of EnvVar. Entries that are no usable URL are
// left out, and each is reported as an error.
func ParsePolicy(list string) (Policy, []error) {
	var policy Policy
	var errs []error
	for i, entry := range strings.Split(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		parsed, err := parse(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: entry %d is ignored: it %w", EnvVar, i+1, err))
			continue
		}
		policy.allowed = append(policy.allowed, origin(parsed))
	}
	return policy, errs
}

// Allowed lists what may be called beside Amazon, as scheme://host:port.
func (p Policy) Allowed() []string { return slices.Clone(p.allowed) }

// CheckLWA returns why raw may not receive LWA credentials, or nil.
func (p Policy) CheckLWA(raw string) error {
	parsed, err := parse(raw)
	if err != nil {
		return err
	}
	isAmazon := origin(parsed)+parsed.EscapedPath() == lwaOrigin+lwaPath
	if isAmazon || p.allows(parsed) {
		return nil
	}
	return fmt.Errorf("must be %s, or one that the registration of the plugin allows (-env %s=<url>)", LWA, EnvVar)
}

// CheckSellingPartner returns why raw may not serve as SP-API base URL, or nil.
func (p Policy) CheckSellingPartner(raw string) error {
	parsed, err := parse(raw)
	if err != nil {
		return err
	}
	if parsed.Path != "" && parsed.Path != "/" {
		return errors.New("must be a base URL without a path")
	}
	isAmazon := slices.ContainsFunc(sellingpartner.Endpoints(), func(known string) bool {
		return origin(parsed) == known+":443"
	})
	if isAmazon || p.allows(parsed) {
		return nil
	}
	return fmt.Errorf("must be one of %s, or one that the registration of the plugin allows (-env %s=<url>)",
		strings.Join(sellingpartner.Endpoints(), ", "), EnvVar)
}

func (p Policy) allows(u *url.URL) bool { return slices.Contains(p.allowed, origin(u)) }

// parse accepts absolute http(s) URLs with nothing but scheme, host, port and
// path. The messages do not echo the URL: it may hold a password.
func parse(raw string) (*url.URL, error) {
	if len(raw) > maxLength {
		return nil, fmt.Errorf("is longer than %d bytes", maxLength)
	}
	parsed, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case parsed.Scheme != "https" && parsed.Scheme != "http", parsed.Hostname() == "", parsed.Opaque != "":
		return nil, errors.New("must be an absolute https URL")
	case parsed.User != nil:
		return nil, errors.New("must not hold user info")
	case parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(raw, "#"):
		return nil, errors.New("must not have a query or fragment")
	}
	return parsed, nil
}

// origin spells out the default port, so that https://host and
// https://host:443 compare equal.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
