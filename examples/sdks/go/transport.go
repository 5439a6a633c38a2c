// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build ignore

// For libraries in which the URL of the token endpoint is fixed: an HTTP
// transport that leads those requests to Vault, and lets all others pass.
//
//	fond-of-vertigo/amazon-sp-api, a client for each account (RefreshToken,
//	ClientID and ClientSecret may be anything):
//
//	  sp_api.NewClient(sp_api.Config{HTTPClient: &http.Client{Transport: VaultLWA{Account: "acme"}}, …})
//
//	amzapi/selling-partner-api-sdk, which uses Go's default client: one account
//	for the whole process, before anything else runs:
//
//	  http.DefaultTransport = VaultLWA{Account: "acme", Next: http.DefaultTransport}
package main

import (
	"net/http"
	"net/url"
)

// VaultLWA gives out tokens of an account in Vault. Neither library has the other
// grant.
type VaultLWA struct {
	Account string
	Next    http.RoundTripper // http.DefaultTransport if nil
}

// RoundTrip implements http.RoundTripper.
func (v VaultLWA) RoundTrip(req *http.Request) (*http.Response, error) {
	next := v.Next
	if next == nil {
		next = http.DefaultTransport
	}
	if req.URL.Host != "api.amazon.com" {
		return next.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	req.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:8100", Path: "/v1/spapi/lwa/token/" + v.Account}
	req.Host = ""
	return next.RoundTrip(req)
}
