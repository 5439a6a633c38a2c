// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	minLeasedRatio   = 0.97
	minUnleasedRatio = 1.0
	minOtherRatio    = 0.95
)

// tokenKinds are the kinds of reads of token/, otherKinds those of other paths.
// Those without leases come first, since leases weigh on what follows.
func tokenKinds() []rig.Kind { return []rig.Kind{rig.Unleased, rig.Leased} }

func otherKinds() []rig.Kind { return []rig.Kind{rig.LWA, rig.Restricted} }

// cachedReads compares reads that the cache serves with reads of the reference
// plugin.
func (b *bench) cachedReads(ctx context.Context) error {
	if b.profile {
		return b.profileCachedReads(ctx)
	}
	section := &figures.Section{
		Title: "Cached reads",
		Text: fmt.Sprintf("Closed-loop clients on kept-alive connections read %d accounts in turn; %d rounds of %s for engine and reference each, "+
			"in an order that turns with each round, and one for KV v1. The ratio is reads/s of the engine : reads/s of the reference in the same round: median (range). "+
			"Each number of clients has a Vault of its own, so that the leases of others do not weigh on it; those of engine and reference are about as many. KV is for orientation: it gives no leases. "+
			"lwa is a POST to lwa/token/ with the form that an SDK sends, whose raw answer cannot be leased; before each POST, Vault asks a plugin whether the path exists. "+
			"restricted is a leased read of restricted/ with a role for one operation. The reference answers both with the same fields and sizes.",
			b.cachedAccounts, b.cachedRounds, b.cachedRound),
		Columns: []string{"storage, kind, clients", "engine reads/s", "p50 ms", "p99 ms", "reference reads/s", "p50 ms", "p99 ms", "KV reads/s", "ratio"},
	}
	b.report.Sections = append(b.report.Sections, section)
	for _, storage := range []string{vaulttest.StorageInmem, vaulttest.StorageRaft} {
		for _, clients := range b.cachedClients[storage] {
			if err := b.cachedKinds(ctx, section, tokenKinds(), storage, clients); err != nil {
				return err
			}
		}
	}
	return b.cachedKinds(ctx, section, otherKinds(), vaulttest.StorageInmem, b.otherClients)
}

// cachedKinds measures kinds one after the other on one Vault.
func (b *bench) cachedKinds(ctx context.Context, section *figures.Section, kinds []rig.Kind, storage string, clients int) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: storage})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, kind := range kinds {
		what := fmt.Sprintf("%s, %s, %s", storage, kind, count(clients, "client"))
		if err := b.cachedRow(ctx, r, section, what, kind, clients); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// contender is one of those that are compared.
type contender struct {
	requests  [][]byte
	latencies []time.Duration
	rates     []float64
}

func (b *bench) cachedRow(ctx context.Context, r *rig.Rig, section *figures.Section, what string, kind rig.Kind, clients int) error {
	names := rig.Names(kind, "cached", b.cachedAccounts)
	contenders, err := prepareCached(ctx, r, kind, names)
	if err != nil {
		return err
	}
	all, err := r.Clients(ctx, clients)
	if err != nil {
		return err
	}
	defer all.Close()
	requests := r.Requests()
	compared := contenders[:2]
	for _, c := range compared { // warm up
		if _, err := all.RunFor(ctx, b.cachedRound/2, c.requests); err != nil {
			return err
		}
	}
	for round := range b.cachedRounds {
		b.progress.round(what, round, b.cachedRounds)
		for i := range compared {
			if err := compared[(i+round)%2].measure(ctx, all, b.cachedRound); err != nil {
				return err
			}
		}
	}
	for _, kv := range contenders[2:] {
		if err := kv.measure(ctx, all, b.cachedRound); err != nil {
			return err
		}
	}
	// The first to be renewed are the tokens of lwa/, after 3 minutes: a row is shorter.
	if more := r.Requests() - requests; more != 0 {
		return fmt.Errorf("%d requests to Amazon during cached reads", more)
	}
	b.addCached(section, what, kind, contenders)
	return r.CheckOwners(ctx, kind, names)
}

func (c *contender) measure(ctx context.Context, clients *rig.Clients, length time.Duration) error {
	load, err := clients.RunFor(ctx, length, c.requests)
	c.latencies, c.rates = append(c.latencies, load.Latencies...), append(c.rates, load.PerSecond())
	return err
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// prepareCached warms the cache, and returns engine, reference and KV, which has
// nothing like an exchange by a POST.
func prepareCached(ctx context.Context, r *rig.Rig, kind rig.Kind, names []string) ([]*contender, error) {
	if err := r.AddAccounts(ctx, kind, names, nil); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := r.Comparable(ctx, kind, name); err != nil {
			return nil, err
		}
	}
	mounts := []string{rig.Engine, rig.Reference}
	if kind != rig.LWA {
		mounts = append(mounts, rig.KV)
	}
	var contenders []*contender
	for _, mount := range mounts {
		contenders = append(contenders, &contender{requests: r.Tokens(kind, mount, names)})
	}
	return contenders, nil
}

func (b *bench) addCached(section *figures.Section, what string, kind rig.Kind, contenders []*contender) {
	row := []string{what}
	for _, c := range contenders[:2] {
		row = append(row, fmt.Sprintf("%.0f", figures.Of(c.rates...).Median),
			figures.Milliseconds(figures.Quantile(c.latencies, 0.5)), figures.Milliseconds(figures.Quantile(c.latencies, 0.99)))
	}
	ratio := figures.Of(figures.Ratios(contenders[0].rates, contenders[1].rates)...)
	kv := "–"
	if len(contenders) > 2 {
		kv = fmt.Sprintf("%.0f", figures.Of(contenders[2].rates...).Median)
	}
	section.Add(append(row, kv, ratio.String())...)
	b.target(figures.Target{Name: "cached reads : reference, " + what, Value: ratio.Median, Range: ratio.Range(), Bound: leastRatio(kind), AtLeast: true})
	b.progress.say("%s: ratio %s", what, ratio)
}

func leastRatio(kind rig.Kind) float64 {
	switch kind {
	case rig.Unleased:
		return minUnleasedRatio
	case rig.Leased:
		return minLeasedRatio
	}
	return minOtherRatio
}
