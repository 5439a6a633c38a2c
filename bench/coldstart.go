// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	coldClients = 64
	coldLatency = 50 * time.Millisecond
	// slots is the config's max_concurrent_exchanges, which is its default.
	slots = 32
	// judgedCold is the size that the targets are about.
	judgedCold = 10_000
)

// coldStart reads many accounts for the first time.
func (b *bench) coldStart(ctx context.Context) (err error) {
	r, err := rig.Start(ctx, rig.Options{
		Binaries: b.Binaries, Storage: vaulttest.StorageInmem, Config: map[string]any{"max_concurrent_exchanges": slots},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	names := rig.Names(rig.Unleased, "cold", b.coldAccounts)
	b.progress.say("writing %d accounts", len(names))
	if err := r.AddAccounts(ctx, rig.Unleased, names, nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, coldClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	r.Latency(coldLatency)
	b.progress.say("reading each once")
	stop := b.progress.watch(r.Amazon.Requests, len(names))
	load, err := clients.Once(ctx, r.Tokens(rig.Unleased, rig.Engine, names))
	stop()
	if err != nil {
		return err
	}
	if err := r.CheckOwners(ctx, rig.Unleased, names); err != nil {
		return err
	}
	for _, name := range names {
		if exchanges := r.Amazon.Exchanges(name); exchanges != 1 {
			return fmt.Errorf("account %s was exchanged %d times", name, exchanges)
		}
	}
	exchanges, inFlight := r.Amazon.Requests(), r.Amazon.MaxInFlight()
	possible := slots / coldLatency.Seconds()
	b.report.Sections = append(b.report.Sections, &figures.Section{
		Title: "Cold start",
		Text: fmt.Sprintf("%d clients read all accounts once, none of which has a token; Amazon answers after %s, and max_concurrent_exchanges is %d: %.0f accounts/s are possible.",
			coldClients, coldLatency, slots, possible),
		Columns: []string{"accounts", "exchanges", "most in flight", "accounts/s", "of the possible"},
		Rows: [][]string{{
			strconv.Itoa(len(names)), strconv.Itoa(exchanges), strconv.Itoa(inFlight),
			fmt.Sprintf("%.0f", load.PerSecond()), fmt.Sprintf("%.2f", load.PerSecond()/possible),
		}},
	})
	unjudged := smaller(len(names), judgedCold, "accounts")
	b.target(figures.Target{Name: fmt.Sprintf("exchanges in a cold start of %d accounts", len(names)), Value: float64(exchanges), Bound: float64(len(names)), Count: true, Unjudged: unjudged})
	b.target(figures.Target{Name: "most exchanges in flight in a cold start", Value: float64(inFlight), Bound: slots, Count: true, Unjudged: unjudged})
	return nil
}

// smaller says why a target is not judged by what was measured with less.
func smaller(measured, judged int, of string) string {
	if measured >= judged {
		return ""
	}
	return fmt.Sprintf("only %d %s", measured, of)
}
