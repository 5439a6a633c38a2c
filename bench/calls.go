// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
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
			"The others are for comparison: a read with min_ttl goes through the framework, a first read asks storage and Amazon.",
		Columns: []string{"kind", "reads", "storage calls", "SystemView calls", "requests to Amazon"},
	}
	b.report.Sections = append(b.report.Sections, section)
	for _, kind := range []rig.Kind{rig.Unleased, rig.Leased} {
		if err := b.callsOf(ctx, r, section, kind); err != nil {
			return err
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
	requests := r.Amazon.Requests()
	if _, err := clients.Once(ctx, reads); err != nil {
		return counted{}, err
	}
	after, err := r.SettledCalls(ctx)
	return counted{
		Calls:    rig.Calls{Storage: after.Storage - before.Storage, System: after.System - before.System},
		requests: r.Amazon.Requests() - requests,
	}, err
}

func (c counted) row(what string, reads int) []string {
	return []string{what, strconv.Itoa(reads), fmt.Sprint(c.Storage), fmt.Sprint(c.System), strconv.Itoa(c.requests)}
}

func (b *bench) callsOf(ctx context.Context, r *rig.Rig, section *figures.Section, kind rig.Kind) error {
	b.progress.say("counting the calls of %d %s reads", callsReads, kind)
	names := rig.Names(kind, "calls", callsAccounts)
	if err := r.AddAccounts(ctx, kind, names, nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, callsClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	once := r.Tokens(rig.Engine, names)
	first, err := countCalls(ctx, r, clients, once)
	if err != nil {
		return err
	}
	if first.Storage == 0 {
		return errors.New("a first read called no storage: the counter does not count")
	}
	var reads, withMinTTL [][]byte
	for i := range callsReads {
		name := names[i%len(names)]
		reads = append(reads, r.Get(rig.Engine+"/token/"+name))
		withMinTTL = append(withMinTTL, r.Get(rig.Engine+"/token/"+name+"?min_ttl=1m"))
	}
	cached, err := countCalls(ctx, r, clients, reads)
	if err != nil {
		return err
	}
	minTTL, err := countCalls(ctx, r, clients, withMinTTL)
	if err != nil {
		return err
	}
	section.Add(cached.row(string(kind), len(reads))...)
	section.Add(minTTL.row(string(kind)+", with min_ttl", len(withMinTTL))...)
	section.Add(first.row(string(kind)+", first read", len(once))...)
	for _, t := range []figures.Target{
		{Name: "storage calls", Value: float64(cached.Storage)},
		{Name: "SystemView calls", Value: float64(cached.System)},
		{Name: "requests to Amazon", Value: float64(cached.requests)},
	} {
		t.Name, t.Count = fmt.Sprintf("%s of %d cached reads, %s", t.Name, callsReads, kind), true
		b.target(t)
	}
	return nil
}
