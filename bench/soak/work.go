// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/amazontest"
)

// read reads a token, leased or not, now and then with a min_ttl.
func (w *worker) read(context.Context) error {
	names, what := w.unleased, "read, un-leased"
	if w.random.IntN(5) == 0 {
		names, what = w.leased, "read, leased"
	}
	path, account := "", w.pick(names)
	if w.random.IntN(10) == 0 {
		what += ", min_ttl"
		path = fmt.Sprintf("?min_ttl=%dm", 1+w.random.IntN(50))
	}
	return w.readToken(what, account, path)
}

// readToken reads a token and checks that it is the account's and alive.
func (w *worker) readToken(what, account, query string) error {
	before := w.clock.Load()
	status, raw, err := w.call(what, http.MethodGet, rig.Engine+"/token/"+account+query, nil)
	if err != nil || status != http.StatusOK {
		return err
	}
	var answer struct {
		LeaseID string `json:"lease_id"`
		Data    struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"`
		} `json:"data"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	owner, alive := w.rig.Amazon.AccountOf(answer.Data.AccessToken)
	// An advance of the clock in between may have ended the token's life.
	aged := before%2 == 1 || w.clock.Load() != before
	switch {
	case alive && owner != account:
		return fmt.Errorf("%s: %s was given a token of %s", what, account, owner)
	case !alive && !aged, answer.Data.ExpiresIn < 1:
		return fmt.Errorf("%s: %s was given a token that is expired or unknown, said to live for %d s", what, account, answer.Data.ExpiresIn)
	case alive:
		w.tally.checked.Add(1)
	}
	if len(answer.Warnings) > 0 {
		w.tally.warned.Add(1)
	}
	if answer.LeaseID != "" {
		select {
		case w.leases <- answer.LeaseID:
		default: // there are enough to revoke
		}
	}
	return nil
}

// write changes an account: what is returned with tokens, or its refresh token,
// proven or not, or whether it is enabled.
func (w *worker) write(context.Context) error {
	account := w.pick(w.accounts())
	kind := rig.Unleased
	if slices.Contains(w.leased, account) {
		kind = rig.Leased
	}
	fields := map[string]any{"metadata": map[string]string{"step": fmt.Sprint(w.step)}}
	switch w.random.IntN(6) {
	case 0:
		fields = w.rig.AccountFields(kind, account)
	case 1:
		fields = w.rig.AccountFields(kind, account)
		fields["verify"] = true
	case 2:
		fields = map[string]any{"enabled": w.random.IntN(2) == 0}
	case 3:
		fields = map[string]any{"enabled": true, "region": []string{"na", "eu", "fe"}[w.random.IntN(3)]}
	}
	_, _, err := w.call("write of an account", http.MethodPost, rig.Engine+"/accounts/"+account, fields)
	return err
}

// comeAndGo creates an account under a new name, reads it, and deletes one of
// those that were created before. Now and then it lists all.
func (w *worker) comeAndGo(context.Context) error {
	name := func(i int) string { return rig.Names(rig.Unleased, fmt.Sprintf("passing%d", i), 1)[0] }
	account := name(w.step)
	if _, _, err := w.call("create an account", http.MethodPost, rig.Engine+"/accounts/"+account, w.rig.AccountFields(rig.Unleased, account)); err != nil {
		return err
	}
	if err := w.readToken("read of a new account", account, ""); err != nil {
		return err
	}
	if w.step%50 == 0 {
		if _, _, err := w.call("list", http.MethodGet, rig.Engine+"/accounts?list=true", nil); err != nil {
			return err
		}
	}
	if w.step <= passing {
		return nil
	}
	_, _, err := w.call("delete an account", http.MethodDelete, rig.Engine+"/accounts/"+name(w.step-passing), nil)
	return err
}

// revoke revokes a lease, and every now and then all of them: Vault would keep
// them for an hour of its own clock.
func (w *worker) revoke(context.Context) error {
	if w.step%200 == 0 {
		_, _, err := w.call("revoke all leases", http.MethodPost, "sys/leases/revoke-prefix/"+rig.Engine+"/token", map[string]any{})
		return err
	}
	select {
	case lease := <-w.leases:
		_, _, err := w.call("revoke a lease", http.MethodPost, "sys/leases/revoke", map[string]any{"lease_id": lease})
		return err
	default:
		return nil
	}
}

func (w *worker) writeConfig(context.Context) error {
	_, _, err := w.call("write of the config", http.MethodPost, rig.Engine+"/config", map[string]any{
		"token_min_ttl":            fmt.Sprintf("%dm", 20+w.random.IntN(20)),
		"max_concurrent_exchanges": 16 << w.random.IntN(3),
	})
	return err
}

// switchFault makes Amazon fail for every second step, for all accounts or one.
func (w *worker) switchFault(context.Context) error {
	w.rig.Amazon.ClearFaults()
	if w.step%2 == 0 {
		return nil
	}
	// What lies about the life of a token, no client can see through.
	kinds := slices.DeleteFunc(amazontest.Faults(), func(kind amazontest.FaultKind) bool { return kind == amazontest.FaultExpiresInHuge })
	fault := amazontest.Fault{Kind: kinds[w.random.IntN(len(kinds))], Delay: 100 * time.Millisecond}
	if w.random.IntN(2) == 0 {
		w.rig.Amazon.SetFault(fault)
		return nil
	}
	w.rig.Amazon.SetAccountFault(w.pick(w.accounts()), fault)
	return nil
}

// advance moves the clocks, so that tokens roll over and what nobody reads any
// more is forgotten.
func (w *worker) advance(ctx context.Context) error {
	w.clock.Add(1)
	defer w.clock.Add(1)
	return w.rig.Advance(ctx, advanceBy)
}
