// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	burstLatency = 300 * time.Millisecond
	// maxBurstRatio is how much longer than Amazon the slowest reader may take, in
	// multiples of the reference's p99.
	maxBurstRatio = 3.0
	// judgedBurst is the size that the targets are about.
	judgedBurst = 2000
)

// coldBurst lets many readers ask at once for a token that is not there yet.
func (b *bench) coldBurst(ctx context.Context) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: vaulttest.StorageInmem})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	section := &figures.Section{
		Title: "Cold burst",
		Text: fmt.Sprintf("All readers, on open connections, ask at once for the token of one account that was never read (un-leased); Amazon answers after %s. "+
			"%d rounds, each with a new account, beside bursts of the same size on the reference plugin. Medians of the rounds (range).", burstLatency, b.burstRounds),
		Columns: []string{"readers", "exchanges", "slowest ms", "reference p99 ms", "(slowest - latency) : reference p99"},
	}
	b.report.Sections = append(b.report.Sections, section)
	for _, readers := range b.burstReaders {
		if err := b.burstOf(ctx, r, section, readers); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) burstOf(ctx context.Context, r *rig.Rig, section *figures.Section, readers int) error {
	names := rig.Names(rig.Unleased, fmt.Sprintf("burst%d", readers), b.burstRounds)
	if err := r.AddAccounts(ctx, rig.Unleased, names, nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, readers)
	if err != nil {
		return err
	}
	defer clients.Close()
	r.Latency(burstLatency)
	warm := r.Get(rig.Reference + "/token/" + names[0])
	if _, err := clients.Burst(warm); err != nil {
		return err
	}
	var slowest, over, p99 []float64
	for round, name := range names {
		b.progress.round(count(readers, "reader"), round, len(names))
		engine, reference, err := burstPair(r, clients, name, round)
		if err != nil {
			return err
		}
		if exchanges := r.Amazon.Exchanges(name); exchanges != 1 {
			return fmt.Errorf("a burst of %d readers caused %d exchanges", readers, exchanges)
		}
		worst := slices.Max(engine.Latencies)
		slowest = append(slowest, milliseconds(worst))
		over = append(over, milliseconds(worst-burstLatency))
		p99 = append(p99, milliseconds(figures.Quantile(reference.Latencies, 0.99)))
	}
	ratio := figures.Of(figures.Ratios(over, p99)...)
	section.Add(strconv.Itoa(readers), "1", figures.Of(slowest...).String(), figures.Of(p99...).String(), ratio.String())
	if readers == judgedBurst {
		b.target(figures.Target{Name: fmt.Sprintf("exchanges in a cold burst of %d", readers), Value: 1, Bound: 1, Count: true})
		b.target(figures.Target{
			Name: fmt.Sprintf("cold burst of %d: (slowest - latency) : reference p99", readers), Value: ratio.Median, Range: ratio.Range(), Bound: maxBurstRatio,
		})
	}
	return nil
}

// burstPair is a burst on each, in an order that turns with each round.
func burstPair(r *rig.Rig, clients *rig.Clients, name string, round int) (engine, reference rig.Load, err error) {
	bursts := []struct {
		mount string
		into  *rig.Load
	}{{rig.Engine, &engine}, {rig.Reference, &reference}}
	if round%2 == 1 {
		slices.Reverse(bursts)
	}
	for _, burst := range bursts {
		if *burst.into, err = clients.Burst(r.Get(burst.mount + "/token/" + name)); err != nil {
			return engine, reference, err
		}
		if burst.mount == rig.Engine {
			if err = r.CheckLast(clients, name); err != nil {
				return engine, reference, err
			}
		}
	}
	return engine, reference, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
