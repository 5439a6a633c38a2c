// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	hungClients = 16
	hungReaders = 4
	hungLatency = 100 * time.Millisecond
	// hungPause is how long a reader of the hung account waits after a refusal. A
	// loop of refusals would measure the cores, not what accounts share.
	hungPause = 100 * time.Millisecond
	// coldPerRound is how many healthy accounts need Amazon in each round.
	coldPerRound = 50

	// What the target of the ratio is about.
	judgedHealthy = 1000
	judgedRounds  = 5

	maxHungRatio = 1.3
	maxHungExtra = time.Second
)

// hung reads healthy accounts with and without one beside them at which Amazon
// never answers.
func (b *bench) hung(ctx context.Context) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: vaulttest.StorageInmem})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	hot := rig.Names(rig.Unleased, "hot", b.hungAccounts)
	cold := rig.Names(rig.Unleased, "cold", 2*b.hungRounds*coldPerRound)
	hanging := rig.Names(rig.Unleased, "hanging", b.hungRounds)
	if err := r.AddAccounts(ctx, rig.Unleased, slices.Concat(hot, cold, hanging), nil); err != nil {
		return err
	}
	clients, err := r.Clients(ctx, hungClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	h := &hungRounds{rig: r, clients: clients, hot: r.Tokens(rig.Unleased, rig.Engine, hot), length: b.hungRound}
	if _, err := clients.Once(ctx, h.hot); err != nil {
		return err
	}
	for round := range b.hungRounds {
		b.progress.round(fmt.Sprintf("%d healthy accounts, with and without a hung one", len(hot)), round, b.hungRounds)
		own := cold[2*round*coldPerRound:]
		order := []bool{false, true}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for i, with := range order {
			if err := h.round(ctx, own[i*coldPerRound:(i+1)*coldPerRound], hanging[round], with); err != nil {
				return err
			}
		}
	}
	b.addHung(h, len(hot))
	return r.CheckOwners(ctx, rig.Unleased, hot)
}

// hungRounds are the rounds of both sorts so far.
type hungRounds struct {
	rig     *rig.Rig
	clients *rig.Clients
	hot     [][]byte
	length  time.Duration

	with, without         []float64 // p99 of each round, in milliseconds
	slowestHot, slowestOf time.Duration
	coldReads             int
}

func (h *hungRounds) round(ctx context.Context, cold []string, hanging string, with bool) error {
	// What hung in the round before has been given up.
	if err := h.rig.Amazon.WaitIdle(ctx); err != nil {
		return err
	}
	h.rig.Latency(hungLatency)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers sync.WaitGroup
	var coldErr error
	errs := make([]error, hungReaders)
	stop, endRound := context.WithCancel(ctx)
	defer endRound()
	if with {
		h.rig.Amazon.SetAccountFault(hanging, amazontest.Fault{Kind: amazontest.FaultHang})
		for i := range hungReaders {
			readers.Go(func() { errs[i] = readHanging(stop, h.rig, hanging) })
		}
		if err := h.rig.Amazon.WaitInFlight(ctx, 1); err != nil {
			return err
		}
	}
	var coldLoad rig.Load
	readers.Go(func() { coldLoad, coldErr = readCold(ctx, h.rig, cold, h.length) })
	load, err := h.clients.RunFor(ctx, h.length, h.hot)
	endRound()
	readers.Wait()
	if err = errors.Join(err, coldErr, errors.Join(errs...)); err != nil {
		return err
	}
	p99 := milliseconds(figures.Quantile(load.Latencies, 0.99))
	if !with {
		h.without = append(h.without, p99)
		return nil
	}
	h.with = append(h.with, p99)
	h.slowestHot = max(h.slowestHot, slices.Max(load.Latencies))
	h.slowestOf = max(h.slowestOf, h.slowestHot, slices.Max(coldLoad.Latencies))
	h.coldReads += len(coldLoad.Latencies)
	return nil
}

// readCold reads accounts for the first time, one after the other, for as long as
// the round.
func readCold(ctx context.Context, r *rig.Rig, names []string, length time.Duration) (rig.Load, error) {
	client, err := r.Clients(ctx, 1)
	if err != nil {
		return rig.Load{}, err
	}
	defer client.Close()
	end, requests := time.Now().Add(length), r.Tokens(rig.Unleased, rig.Engine, names)
	return client.Run(func(int) []byte {
		if len(requests) == 0 || time.Now().After(end) {
			return nil
		}
		request := requests[0]
		requests = requests[1:]
		return request
	})
}

// readHanging reads the hung account until ctx ends. It can only be refused.
func readHanging(ctx context.Context, r *rig.Rig, name string) error {
	conn, err := r.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	pause := time.NewTicker(hungPause)
	defer pause.Stop()
	request := r.Get(rig.Engine + "/token/" + name)
	for {
		status, body, err := conn.Do(request)
		switch {
		case ctx.Err() != nil: // which closes the connection
			return nil
		case err != nil:
			return err
		case status != http.StatusServiceUnavailable:
			return fmt.Errorf("a read of the hung account: status %d: %.300s", status, body)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

func (b *bench) addHung(h *hungRounds, accounts int) {
	ratio := figures.Of(figures.Ratios(h.with, h.without)...)
	b.report.Sections = append(b.report.Sections, &figures.Section{
		Title: "One hung account",
		Text: fmt.Sprintf("%d clients read %d hot accounts for %s in each round, one more client reads accounts that need Amazon, which answers after %s. "+
			"With: %d more clients read an account at which Amazon never answers, and wait %s after each refusal. Rounds alternate, %s; medians (range). "+
			"The slowest read is that of all healthy accounts beside the hung one, of which %d needed Amazon.",
			hungClients, accounts, h.length, hungLatency, hungReaders, hungPause, count(b.hungRounds, "pair"), h.coldReads),
		Columns: []string{"healthy accounts", "p99 ms without", "p99 ms with", "with : without", "slowest hot ms", "slowest ms"},
		Rows: [][]string{{
			fmt.Sprint(accounts), figures.Of(h.without...).String(), figures.Of(h.with...).String(), ratio.String(),
			figures.Milliseconds(h.slowestHot), figures.Milliseconds(h.slowestOf),
		}},
	})
	unjudged := cmp.Or(smaller(accounts, judgedHealthy, "healthy accounts"), smaller(b.hungRounds, judgedRounds, "alternating rounds"))
	b.target(figures.Target{Name: "p99 beside a hung account : without", Value: ratio.Median, Range: ratio.Range(), Bound: maxHungRatio, Unjudged: unjudged})
	b.target(figures.Target{Name: "slowest healthy read beside a hung account", Value: milliseconds(h.slowestOf), Bound: milliseconds(hungLatency + maxHungExtra), Unit: "ms"})
}
