// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// write writes or patches random fields of an account of the client's own.
func (c *mixedClient) write(ctx context.Context, own *knownAccount, method string) error {
	operation, patch := "write", method == http.MethodPatch
	if patch {
		operation = "patch"
	}
	body, written := c.change(own, patch)
	statuses := []int{http.StatusNoContent, http.StatusOK}
	switch {
	case own.exists:
	case patch:
		statuses = []int{http.StatusNotFound}
	case body["refresh_token"] == nil:
		statuses = []int{http.StatusBadRequest}
	}
	a, err := c.do(ctx, operation, method, "accounts/"+own.name, body, statuses...)
	if err != nil {
		return err
	}
	if a.Status >= http.StatusMultipleChoices {
		return nil
	}
	if !own.exists || body["refresh_token"] != nil || own.region != written.region || own.enabled != written.enabled {
		own.drop()
	}
	*own = written
	return nil
}

// change returns the body of a write, and the account as it is after it.
func (c *mixedClient) change(own *knownAccount, patch bool) (body map[string]any, written knownAccount) {
	body, written = map[string]any{}, *own
	if !own.exists {
		written.enabled, written.region, written.partner, written.metadata, written.lease = true, "", "", map[string]any{}, nil
	}
	if needed := !own.exists && !patch; needed && c.often(90) || !needed && c.often(20) {
		if written.refreshToken == "" || c.often(70) {
			written.refreshToken = c.amazon.Authorize(c.clientID, own.name)
		}
		body["refresh_token"], body["verify"] = written.refreshToken, c.often(30)
	}
	if c.often(20) {
		written.region = pick(c, "na", "eu", "fe", "")
		body["region"] = written.region
		if written.region == "" {
			if patch {
				body["region"] = nil
			} else {
				delete(body, "region")
				written.region = own.region
				if !own.exists {
					written.region = ""
				}
			}
		}
	}
	if c.often(40) {
		written.partner = c.next()
		body["selling_partner_id"] = written.partner
	}
	if c.often(30) {
		written.metadata = c.changeMetadata(body, written.metadata, patch)
	}
	if !own.enabled || c.often(15) {
		written.enabled = !own.enabled || !own.exists || c.often(40)
		body["enabled"] = written.enabled
	}
	if c.often(30) {
		written.lease = c.often(50)
		body["generate_lease"] = written.lease
	}
	written.exists = true
	return body, written
}

// changeMetadata: a write replaces them all, a patch those that it names.
func (c *mixedClient) changeMetadata(body, before map[string]any, patch bool) map[string]any {
	named := map[string]any{pick(c, "a", "b", "c"): c.next()}
	body["metadata"] = named
	if !patch {
		return named
	}
	after := maps.Clone(before)
	maps.Copy(after, named)
	if gone := pick(c, "a", "b", "c"); named[gone] == nil {
		body["metadata"] = map[string]any{gone: nil}
		maps.Copy(body["metadata"].(map[string]any), named)
		delete(after, gone)
	}
	return after
}

func (c *mixedClient) delete(ctx context.Context, own *knownAccount) error {
	_, err := c.do(ctx, "delete", http.MethodDelete, "accounts/"+own.name, nil, http.StatusNoContent)
	if err == nil {
		own.exists = false
		own.drop()
	}
	return err
}

func (c *mixedClient) read(ctx context.Context, own *knownAccount) error {
	if !own.exists {
		_, err := c.do(ctx, "read", http.MethodGet, "accounts/"+own.name, nil, http.StatusNotFound)
		return err
	}
	a, err := c.do(ctx, "read", http.MethodGet, "accounts/"+own.name, nil, http.StatusOK)
	if err != nil {
		return err
	}
	states := []string{"active", "unverified"}
	if !own.enabled {
		states = []string{"disabled"}
	}
	fingerprint := a.text("refresh_token_fingerprint")
	switch known := c.writes[own.refreshToken]; {
	case !slices.Contains(states, a.text("status")), a.Data["enabled"] != own.enabled, own.lease != nil && a.Data["generate_lease"] != own.lease:
		return fmt.Errorf("%s is %+v, but was answered as %s", own.name, own, a.Raw)
	case known == "" && slices.Contains(slices.Collect(maps.Values(c.writes)), fingerprint), known != "" && known != fingerprint:
		return fmt.Errorf("%s has the refresh token of another write: %s", own.name, a.Raw)
	case strings.Contains(string(a.Raw), own.refreshToken):
		return fmt.Errorf("%s shows its refresh token", own.name)
	}
	c.writes[own.refreshToken] = fingerprint
	return own.matches(a)
}

func (c *mixedClient) list(ctx context.Context) error {
	a, err := c.do(ctx, "list", "LIST", "accounts", nil, http.StatusOK)
	if err != nil {
		return err
	}
	keys, _ := a.Data["keys"].([]any)
	info, _ := a.Data["key_info"].(map[string]any)
	for _, account := range c.shared {
		if !slices.Contains(keys, any(account)) {
			return fmt.Errorf("%s is not listed: %v", account, keys)
		}
	}
	for _, own := range c.accounts {
		of, _ := info[own.name].(map[string]any)
		if slices.Contains(keys, any(own.name)) != own.exists || (of != nil) != own.exists {
			return fmt.Errorf("%s exists: %v, but is listed as %s", own.name, own.exists, a.Raw)
		}
		if own.exists && (of["selling_partner_id"] != own.partner || own.region != "" && of["region"] != own.region) {
			return fmt.Errorf("%s is %+v, but is listed as %v", own.name, own, of)
		}
	}
	return nil
}

// configField is the field of the config that only this client writes, and a new
// value for it, as a read shows it.
func (c *mixedClient) configField() (field string, value any) {
	number := func(from, count int) json.Number { return json.Number(fmt.Sprint(from + c.random.IntN(count))) }
	switch c.id {
	case 0:
		return "application_id", "amzn1.sp.solution." + c.next()
	case 1:
		return "redirect_uri", "https://example.com/" + c.next()
	case 2:
		return "max_concurrent_exchanges", number(4, 60)
	case 3:
		return "request_timeout", number(3, 2)
	case 4:
		return "client_secret_expires_at", time.Now().UTC().Add(time.Duration(1000+c.random.IntN(1000)) * time.Hour).Format(time.RFC3339)
	case 5:
		return "token_min_ttl", number(60, 3000)
	case 6:
		return "generate_lease", c.often(50)
	default: // which drops all tokens, if it is another one
		return "region", pick(c, "na", "eu", "fe")
	}
}

// useConfig reads the config, or changes the client's own field of it.
func (c *mixedClient) useConfig(ctx context.Context) error {
	field, value := c.configField()
	body := map[string]any{field: value}
	var err error
	switch c.random.IntN(4) {
	case 0:
		if c.often(50) { // the same again, which is proven again
			body["client_secret"], body["verify"] = c.clientSecret, c.often(50)
		}
		_, err = c.do(ctx, "config write", http.MethodPost, "config", body, http.StatusNoContent, http.StatusOK)
	case 1:
		_, err = c.do(ctx, "config patch", http.MethodPatch, "config", body, http.StatusNoContent)
	default:
		return c.readConfig(ctx, field)
	}
	if err == nil {
		c.config = value
	}
	return err
}

func (c *mixedClient) readConfig(ctx context.Context, field string) error {
	a, err := c.do(ctx, "config read", http.MethodGet, "config", nil, http.StatusOK)
	switch {
	case err != nil:
		return err
	case c.config != nil && a.Data[field] != c.config:
		return fmt.Errorf("client %d wrote %v to %s, which is %v", c.id, c.config, field, a.Data[field])
	case a.text("client_id") != c.clientID, a.text("lwa_endpoint") != c.amazon.LWAEndpoint():
		return fmt.Errorf("the config changed: %s", a.Raw)
	}
	return nil
}

// settle checks once more, when all is quiet, everything that the client knows.
func (c *mixedClient) settle(ctx context.Context) error {
	for _, own := range c.accounts {
		if err := c.read(ctx, own); err != nil {
			return err
		}
		if err := c.readToken(ctx, own); err != nil {
			return err
		}
	}
	for account := range c.noted {
		if err := c.readSharedToken(ctx, account); err != nil {
			return err
		}
	}
	field, _ := c.configField()
	if err := c.readConfig(ctx, field); err != nil {
		return err
	}
	return c.list(ctx)
}
