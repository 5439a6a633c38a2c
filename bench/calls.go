// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	callsClients  = 4
	callsAccounts = 10
	callsReads    = 1000
)

// calls counts what a cached read calls.
func (b *bench) calls(ctx context.Context) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: vaulttest.StorageInmem, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	section := &figures.Section{
		Title: "Calls of a cached read",
		Text: "Calls that the engine made during reads that the cache served, counted around what Vault gives it, and requests that reached Amazon. " +
			"The others are for comparison: a read with min_ttl goes through the framework, a first read asks storage and Amazon. " +
			"lwa and lwa/grantless are POSTs to lwa/token/ and lwa/grantless/.",
		Columns: []string{"kind", "reads", "storage calls", "SystemView calls", "requests to Amazon"},
	}
	b.report.Sections = append(b.report.Sections, section)
	for _, s := range subjects(r) {
		if err := b.callsOf(ctx, r, section, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// counted is what some reads called.
type counted struct {
	rig.Calls
	requests int
}

// countCalls reads, and counts what that calls.
func countCalls(ctx context.Context, r *rig.Rig, clients *rig.Clients, reads [][]byte) (counted, error) {
	before, err := r.SettledCalls(ctx)
	if err != nil {
		return counted{}, err
	}
	requests := r.Requests()
	if _, err := clients.Once(ctx, reads); err != nil {
		return counted{}, err
	}
	after, err := r.SettledCalls(ctx)
	return counted{
		Calls:    rig.Calls{Storage: after.Storage - before.Storage, System: after.System - before.System},
		requests: r.Requests() - requests,
	}, err
}

func (c counted) row(what string, reads int) []string {
	return []string{what, strconv.Itoa(reads), fmt.Sprint(c.Storage), fmt.Sprint(c.System), strconv.Itoa(c.requests)}
}

// subject is a kind of read whose calls are counted.
type subject struct {
	name string
	once [][]byte // a read of each token
	// byFramework are the same with what only the framework's way serves; nil if
	// there is no such thing.
	byFramework [][]byte
	accounts    []string
	kind        rig.Kind
}

// subjects are all kinds of reads. Grantless tokens are of two scopes, so that
// each kind has a first read.
func subjects(r *rig.Rig) []subject {
	const minTTL = "?min_ttl=1m"
	var all []subject
	for _, kind := range slices.Concat(tokenKinds(), otherKinds()) {
		s := subject{name: string(kind), kind: kind, accounts: rig.Names(kind, "calls", callsAccounts)}
		s.once = r.Tokens(kind, rig.Engine, s.accounts)
		for _, account := range s.accounts {
			if kind != rig.LWA {
				s.byFramework = append(s.byFramework, r.Get(rig.Engine+"/"+kind.Path(account)+minTTL))
			}
		}
		all = append(all, s)
	}
	grantless := rig.Engine + "/grantless/notifications"
	exchange := r.ClientCredentials(rig.Engine+"/lwa/grantless/client-credential-rotation", amazontest.ScopeRotation)
	return append(all,
		subject{name: "grantless", once: [][]byte{r.Get(grantless)}, byFramework: [][]byte{r.Get(grantless + minTTL)}},
		subject{name: "lwa/grantless", once: [][]byte{exchange}})
}

func (b *bench) callsOf(ctx context.Context, r *rig.Rig, section *figures.Section, s subject) error {
	b.progress.say("counting the calls of %d %s reads", callsReads, s.name)
	if err := r.AddAccounts(ctx, s.kind, s.accounts, nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, callsClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	first, err := countCalls(ctx, r, clients, s.once)
	if err != nil {
		return err
	}
	if first.Storage == 0 || first.requests == 0 {
		return errors.New("a first read called no storage or no Amazon: the counter does not count")
	}
	cached, err := countCalls(ctx, r, clients, inTurn(s.once, callsReads))
	if err != nil {
		return err
	}
	section.Add(cached.row(s.name, callsReads)...)
	if s.byFramework != nil {
		minTTL, err := countCalls(ctx, r, clients, inTurn(s.byFramework, callsReads))
		if err != nil {
			return err
		}
		section.Add(minTTL.row(s.name+", with min_ttl", callsReads)...)
	}
	section.Add(first.row(s.name+", first read", len(s.once))...)
	for _, t := range []figures.Target{
		{Name: "storage calls", Value: float64(cached.Storage)},
		{Name: "SystemView calls", Value: float64(cached.System)},
		{Name: "requests to Amazon", Value: float64(cached.requests)},
	} {
		t.Name, t.Count = fmt.Sprintf("%s of %d cached reads, %s", t.Name, callsReads, s.name), true
		b.target(t)
	}
	return nil
}

// inTurn repeats requests until they are n.
func inTurn(requests [][]byte, n int) [][]byte {
	repeated := make([][]byte, n)
	for i := range repeated {
		repeated[i] = requests[i%len(requests)]
	}
	return repeated
}
