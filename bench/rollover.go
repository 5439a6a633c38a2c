// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	rolloverClients = 16
	rolloverLatency = 300 * time.Millisecond
	// rolloverAdvance brings every token of an hour to its renewal at once: one is
	// renewed when less is left than token_min_ttl (30m) and a third of the rest.
	rolloverAdvance = 21 * time.Minute
	tokenLifetime   = time.Hour
	// rolloverLimit bounds the wait for all renewals.
	rolloverLimit = 8 * time.Minute
	// rolloverMore is how many reads follow the last exchange.
	rolloverMore = 2000
)

// rollover makes all hot tokens come up for renewal while they are read.
func (b *bench) rollover(ctx context.Context) error {
	section := &figures.Section{
		Title: "Roll-over",
		Text: fmt.Sprintf("%d clients read %d hot accounts in turn, for %s, and go on while the clock is advanced so that all come up for renewal at once, "+
			"until each was exchanged exactly once more; Amazon answers after %s. A read has waited for Amazon if it took as long and came back "+
			"with a new token; one that came back with the old token has waited for a core.",
			rolloverClients, b.rolloverAccounts, b.rolloverSteady, rolloverLatency),
		Columns: []string{"kind", "steady p50 ms", "p99 ms", "slowest ms", "roll-over s", "reads", "p50 ms", "p99 ms", "slowest ms", "slowest : steady p99", "as slow as Amazon", "waited for it"},
	}
	b.report.Sections = append(b.report.Sections, section)
	for _, kind := range b.rolloverKinds {
		if err := b.rolloverOf(ctx, section, kind); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) rolloverOf(ctx context.Context, section *figures.Section, kind rig.Kind) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: vaulttest.StorageInmem, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	names := rig.Names(kind, "roll", b.rolloverAccounts)
	if err := r.AddAccounts(ctx, kind, names, nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, rolloverClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	requests := r.Tokens(kind, rig.Engine, names)
	if _, err := clients.Once(ctx, requests); err != nil {
		return err
	}
	r.Latency(rolloverLatency)
	b.progress.say("%s: %s of steady reads", kind, b.rolloverSteady)
	steady, err := clients.RunFor(ctx, b.rolloverSteady, requests)
	if err != nil {
		return err
	}
	b.progress.say("%s: rolling over", kind)
	defer b.progress.watch(r.Amazon.Requests, len(names))()
	want := r.Amazon.Requests() + len(names)
	if err := r.Advance(ctx, rolloverAdvance); err != nil {
		return err
	}
	clients.KeepFrom = rolloverLatency
	rolled, err := readUntil(ctx, r, want, clients, requests)
	if err != nil {
		return err
	}
	for _, name := range names {
		if exchanges := r.Amazon.Exchanges(name); exchanges != 2 {
			return fmt.Errorf("account %s was exchanged %d times, want once before the roll-over and once in it", name, exchanges)
		}
	}
	if err := b.addRollover(section, kind, steady, rolled); err != nil {
		return err
	}
	return r.CheckOwners(ctx, kind, names)
}

// readUntil reads in turn until Amazon had so many requests, and some reads more,
// which must not exchange any.
func readUntil(ctx context.Context, r *rig.Rig, want int, clients *rig.Clients, requests [][]byte) (rig.Load, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rolloverLimit, fmt.Errorf("the accounts were not all exchanged within %s", rolloverLimit))
	defer cancel()
	var turn, stopAt atomic.Int64
	load, err := clients.Run(func(int) []byte {
		n := turn.Add(1)
		if stop := stopAt.Load(); ctx.Err() != nil || (stop > 0 && n > stop) {
			return nil
		}
		if n%64 == 0 && r.Amazon.Requests() >= want {
			stopAt.CompareAndSwap(0, n+rolloverMore)
		}
		return requests[n%int64(len(requests))]
	})
	if got := r.Amazon.Requests(); err == nil && ctx.Err() == nil && got != want {
		err = fmt.Errorf("a roll-over caused %d exchanges more than there are accounts", got-want)
	}
	return load, errors.Join(err, context.Cause(ctx))
}

func (b *bench) addRollover(section *figures.Section, kind rig.Kind, steady, rolled rig.Load) error {
	waited, err := withNewToken(rolled.Slow)
	if err != nil {
		return err
	}
	p99, slowest := figures.Quantile(steady.Latencies, 0.99), slices.Max(rolled.Latencies)
	section.Add(string(kind),
		figures.Milliseconds(figures.Quantile(steady.Latencies, 0.5)), figures.Milliseconds(p99), figures.Milliseconds(slices.Max(steady.Latencies)),
		fmt.Sprintf("%.1f", rolled.Elapsed.Seconds()), strconv.Itoa(len(rolled.Latencies)),
		figures.Milliseconds(figures.Quantile(rolled.Latencies, 0.5)), figures.Milliseconds(figures.Quantile(rolled.Latencies, 0.99)), figures.Milliseconds(slowest),
		fmt.Sprintf("%.1f", milliseconds(slowest)/milliseconds(p99)), strconv.Itoa(len(rolled.Slow)), strconv.Itoa(waited))
	b.target(figures.Target{Name: fmt.Sprintf("reads that wait for Amazon in a roll-over, %s", kind), Value: float64(waited), Count: true})
	return nil
}

// withNewToken counts the answers whose token was issued after the clock was
// advanced.
func withNewToken(answers [][]byte) (int, error) {
	n := 0
	for _, raw := range answers {
		var answer struct {
			Data struct {
				ExpiresIn int `json:"expires_in"`
			} `json:"data"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil {
			return 0, err
		}
		if time.Duration(answer.Data.ExpiresIn)*time.Second > tokenLifetime-rolloverAdvance {
			n++
		}
	}
	return n, nil
}
