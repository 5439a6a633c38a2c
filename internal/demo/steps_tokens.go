// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

const shippingResources = `[{"method": "GET", "path": "/orders/v0/orders/{orderId}/address"}]
`

// openPersonalData writes a role and uses its restricted data token, where an
// access token is not enough.
func (s *show) openPersonalData(ctx context.Context, accessToken string) error {
	s.heading("Personal data takes a restricted data token, and a role says of what")
	path := filepath.Join(s.dir, "shipping.json")
	if err := os.WriteFile(path, []byte(shippingResources), 0o600); err != nil {
		return err
	}
	s.say("An access token does not open the address of an order:\n")
	if err := s.callAmazon(ctx, addressPath, "access_token spapi/token/acme", accessToken, http.StatusForbidden); err != nil {
		return err
	}
	s.typed("cat " + path)
	if err := s.answer(shippingResources); err != nil {
		return err
	}
	if _, err := s.vault(ctx, "write", "spapi/roles/shipping", "restricted_resources=@"+path, "allowed_accounts=acme"); err != nil {
		return err
	}
	table, err := s.vault(ctx, "read", "spapi/restricted/shipping/acme")
	if err != nil {
		return err
	}
	token, err := field(table, "restricted_data_token")
	if err != nil {
		return err
	}
	return s.callAmazon(ctx, addressPath, "restricted_data_token spapi/restricted/shipping/acme", token, http.StatusOK)
}

// askAsSDK makes the request that an SDK makes of Login with Amazon.
func (s *show) askAsSDK(ctx context.Context) error {
	s.heading("An SDK asks as it asks Login with Amazon, and needs no refresh token")
	s.say("What it submits is ignored: the path says which account, and the policy who may.")
	s.say("Vault Proxy adds the Vault token, so that the SDK itself has none.\n")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"acme"}, "client_id": {"none"}, "client_secret": {"none"}}
	s.typed(`curl -H "X-Vault-Token: $VAULT_TOKEN" -d grant_type=refresh_token -d refresh_token=acme \` +
		"\n       -d client_id=none -d client_secret=none $VAULT_ADDR/v1/spapi/lwa/token/acme")
	status, answer, err := call(ctx, http.MethodPost, s.server.Address()+"/v1/spapi/lwa/token/acme", http.Header{
		"X-Vault-Token": {s.server.RootToken()}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, []byte(form.Encode()))
	if err != nil {
		return err
	}
	if err := s.answer(string(answer)); err != nil {
		return err
	}
	var token struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if status != http.StatusOK || json.Unmarshal(answer, &token) != nil {
		return fmt.Errorf("it was answered with status %d", status)
	}
	if token.AccessToken == "" || token.ExpiresIn <= 0 {
		return errors.New("the answer is not that of Login with Amazon")
	}
	return nil
}
