// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const (
	sizeClients = 64
	// fewAccounts is what the first read after an unseal is compared with.
	fewAccounts = 10
	// judgedSize is the size that the targets are about.
	judgedSize = 100_000
	// pageSize is the longest page of a list that shows more than names.
	pageSize  = 1000
	sizeLists = 5

	maxLiveHeap      = 160 // MiB
	maxResident      = 350 // MiB
	maxUnsealRatio   = 1.2
	sizeRollLatency  = 20 * time.Millisecond
	sizeRollClients  = 4
	sizeStorage      = vaulttest.StorageInmem
	unsealReadsLimit = time.Minute
)

// size measures how memory, lists and the first read after an unseal grow with
// the number of accounts.
func (b *bench) size(ctx context.Context) (err error) {
	few, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: sizeStorage, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, few.Close()) }()
	if err := few.AddAccounts(ctx, rig.Unleased, rig.Names(rig.Unleased, "size", fewAccounts), nil); err != nil {
		return err
	}
	memory := &figures.Section{
		Title: "Memory of the plugin by number of accounts",
		Text: fmt.Sprintf("All accounts are hot: each was read, and again. Live heap is what a garbage collection leaves; resident is VmRSS, and its peak (VmHWM) during a roll-over "+
			"of all accounts: %d clients read each once, so that all come up for renewal at once, and %d go on reading until each was exchanged again, while Amazon answers after %s. MiB.",
			sizeClients, sizeRollClients, sizeRollLatency),
		Columns: []string{"accounts", "live heap", "resident", "peak in a roll-over", "live heap after it", "goroutines", "roll-over s"},
	}
	access := &figures.Section{
		Title: "Lists, and the first read after an unseal, by number of accounts",
		Text: fmt.Sprintf("Storage in memory, since raft takes fewer writes per second and the largest size would take too long. LIST of all names, and of a page of %d with key_info: medians of %d. First read: from the return of the unseal call to the "+
			"first token that is given, which Amazon issues at once; total: from the beginning of the unseal call, within which Vault starts the plugin. %d seals and unseals, in turn with those of a Vault with %d accounts: medians (range). Un-leased, so that Vault has no leases to restore.",
			pageSize, sizeLists, b.unsealRounds, fewAccounts),
		Columns: []string{"accounts", "writes/s", "LIST ms", "first page ms", "first read ms", fmt.Sprintf("with %d", fewAccounts), "ratio", "total ms", fmt.Sprintf("with %d", fewAccounts), "ratio"},
	}
	b.report.Sections = append(b.report.Sections, memory, access)
	for _, accounts := range b.sizes {
		if err := b.sizeOf(ctx, few, accounts, memory, access); err != nil {
			return fmt.Errorf("%d accounts: %w", accounts, err)
		}
	}
	return nil
}

func (b *bench) sizeOf(ctx context.Context, few *rig.Rig, accounts int, memory, access *figures.Section) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: sizeStorage, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	names := rig.Names(rig.Unleased, "size", accounts)
	b.progress.say("writing %d accounts", accounts)
	begin := time.Now()
	err = r.AddAccounts(ctx, rig.Unleased, names, func(done int) {
		if done%10_000 == 0 {
			b.progress.say("%d of %d accounts are written", done, accounts)
		}
	})
	if err != nil {
		return err
	}
	writes := float64(accounts) / time.Since(begin).Seconds()
	if err := b.memoryOf(ctx, r, names, memory); err != nil {
		return err
	}
	if err := r.CheckOwners(ctx, rig.Unleased, names); err != nil {
		return err
	}
	list, page, err := b.listsOf(ctx, r, accounts)
	if err != nil {
		return err
	}
	many, little, err := b.unsealsOf(ctx, r, few, accounts)
	if err != nil {
		return err
	}
	row := []string{fmt.Sprint(accounts), fmt.Sprintf("%.0f", writes), fmt.Sprintf("%.1f", list), fmt.Sprintf("%.1f", page)}
	for _, figure := range []struct {
		name         string
		many, little []float64
	}{{"first read after unseal", many.read, little.read}, {"unseal and first read", many.total, little.total}} {
		ratio := figures.Of(figures.Ratios(figure.many, figure.little)...)
		row = append(row, figures.Of(figure.many...).String(), figures.Of(figure.little...).String(), ratio.String())
		if accounts == b.largest() {
			b.target(figures.Target{
				Name: fmt.Sprintf("%s: %d accounts : %d", figure.name, accounts, fewAccounts), Value: ratio.Median, Range: ratio.Range(), Bound: maxUnsealRatio,
				Unjudged: smaller(accounts, judgedSize, "accounts"),
			})
		}
	}
	access.Add(row...)
	return nil
}

// memoryOf makes all accounts hot, and rolls them over.
func (b *bench) memoryOf(ctx context.Context, r *rig.Rig, names []string, section *figures.Section) error {
	clients, err := r.Clients(ctx, sizeClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	requests := r.Tokens(rig.Unleased, rig.Engine, names)
	b.progress.say("reading %d accounts, twice", len(names))
	if err := b.readTwice(ctx, r, clients, requests); err != nil {
		return err
	}
	pid, err := r.EnginePID()
	if err != nil {
		return err
	}
	before, err := r.Window.Memory(ctx)
	if err != nil {
		return err
	}
	resident, _, err := rig.Resident(pid)
	if err != nil {
		return err
	}
	b.progress.say("rolling %d accounts over", len(names))
	if err := rig.ResetPeak(pid); err != nil {
		return err
	}
	r.Latency(sizeRollLatency)
	stop := b.progress.watch(r.Amazon.Requests, len(names))
	took, err := rollAll(ctx, r, clients, requests)
	stop()
	if err != nil {
		return err
	}
	r.Latency(0)
	_, peak, err := rig.Resident(pid)
	if err != nil {
		return err
	}
	after, err := r.Window.Memory(ctx)
	if err != nil {
		return err
	}
	section.Add(fmt.Sprint(len(names)), figures.MiB(before.HeapAlloc), figures.MiB(resident), figures.MiB(peak), figures.MiB(after.HeapAlloc),
		fmt.Sprint(after.Goroutines), fmt.Sprintf("%.1f", took.Seconds()))
	if accounts := len(names); accounts == b.largest() {
		unjudged := smaller(accounts, judgedSize, "accounts")
		b.target(figures.Target{Name: fmt.Sprintf("live heap with %d hot accounts", accounts), Value: figures.Mebibytes(before.HeapAlloc), Bound: maxLiveHeap, Unit: "MiB", Unjudged: unjudged})
		b.target(figures.Target{Name: fmt.Sprintf("resident in a roll-over of %d accounts", accounts), Value: figures.Mebibytes(peak), Bound: maxResident, Unit: "MiB", Unjudged: unjudged})
	}
	return nil
}

// readTwice makes all accounts hot.
func (b *bench) readTwice(ctx context.Context, r *rig.Rig, clients *rig.Clients, requests [][]byte) error {
	defer b.progress.watch(r.Amazon.Requests, len(requests))()
	for range 2 {
		if _, err := clients.Once(ctx, requests); err != nil {
			return err
		}
	}
	return nil
}

// rollAll makes all accounts come up for renewal at once, reads each, and goes on
// reading with few clients, which leave the cores to the renewals.
func rollAll(ctx context.Context, r *rig.Rig, clients *rig.Clients, requests [][]byte) (time.Duration, error) {
	want, begin := r.Amazon.Requests()+len(requests), time.Now()
	if err := r.Advance(ctx, rolloverAdvance); err != nil {
		return 0, err
	}
	if _, err := clients.Once(ctx, requests); err != nil {
		return 0, err
	}
	few, err := r.Clients(ctx, sizeRollClients)
	if err != nil {
		return 0, err
	}
	defer few.Close()
	_, err = readUntil(ctx, r, want, few, requests)
	return time.Since(begin), err
}

// listsOf measures lists, in milliseconds.
func (b *bench) listsOf(ctx context.Context, r *rig.Rig, accounts int) (all, page float64, err error) {
	b.progress.say("listing %d accounts", accounts)
	var alls, pages []float64
	for range sizeLists {
		for path, into := range map[string]*[]float64{"accounts?list=true": &alls, fmt.Sprintf("accounts?list=true&limit=%d", pageSize): &pages} {
			begin := time.Now()
			if _, err := r.Call(ctx, http.MethodGet, rig.Engine+"/"+path, nil); err != nil {
				return 0, 0, err
			}
			*into = append(*into, milliseconds(time.Since(begin)))
		}
	}
	return figures.Of(alls...).Median, figures.Of(pages...).Median, nil
}

// unseals are how long unseals took, in milliseconds.
type unseals struct{ read, total []float64 }

// unsealsOf measures the first read after an unseal of two Vaults in turn.
func (b *bench) unsealsOf(ctx context.Context, r, few *rig.Rig, accounts int) (many, little unseals, err error) {
	for round := range b.unsealRounds {
		b.progress.round(fmt.Sprintf("seal and unseal with %d accounts and with %d", accounts, fewAccounts), round, b.unsealRounds)
		for i := range 2 {
			of, into := r, &many
			if (i+round)%2 == 1 {
				of, into = few, &little
			}
			if err := into.measure(ctx, of); err != nil {
				return many, little, err
			}
		}
	}
	return many, little, nil
}

// measure seals and unseals, and reads until a token is given.
func (u *unseals) measure(ctx context.Context, r *rig.Rig) error {
	ctx, cancel := context.WithTimeout(ctx, unsealReadsLimit)
	defer cancel()
	if err := r.Server.Seal(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := r.Server.Unseal(ctx); err != nil {
		return err
	}
	unsealed := time.Now()
	request := r.Token(rig.Unleased, rig.Engine, rig.Names(rig.Unleased, "size", 1)[0])
	for {
		conn, err := r.Dial(ctx)
		if err != nil {
			return err
		}
		err = conn.Token(request)
		conn.Close()
		if err == nil {
			u.read, u.total = append(u.read, milliseconds(time.Since(unsealed))), append(u.total, milliseconds(time.Since(begin)))
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no token was given after the unseal: %w", err)
		}
	}
}
