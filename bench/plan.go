// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// plan is how much is measured.
type plan struct {
	short bool

	cachedRounds   int
	cachedRound    time.Duration
	cachedClients  map[string][]int // by storage
	otherClients   int              // of the kinds that are not read from token/
	cachedAccounts int
	profileLength  time.Duration

	burstReaders []int
	burstRounds  int

	coldAccounts int

	rolloverAccounts int
	rolloverSteady   time.Duration
	rolloverKinds    []rig.Kind

	hungAccounts int
	hungRounds   int
	hungRound    time.Duration

	sizes        []int // the largest last
	unsealRounds int
}

func fullPlan() plan {
	return plan{
		cachedRounds: 7, cachedRound: 2 * time.Second, cachedAccounts: 100,
		cachedClients: map[string][]int{vaulttest.StorageInmem: {1, 16, 64}, vaulttest.StorageRaft: {1, 16, 64}},
		otherClients:  16, profileLength: 10 * time.Second,
		burstReaders: []int{1, 100, 1000, judgedBurst}, burstRounds: 5,
		coldAccounts:     judgedCold,
		rolloverAccounts: 1000, rolloverSteady: 5 * time.Second, rolloverKinds: []rig.Kind{rig.Unleased, rig.Leased},
		hungAccounts: judgedHealthy, hungRounds: judgedRounds, hungRound: 6 * time.Second,
		sizes: []int{1000, 10_000, judgedSize}, unsealRounds: 9,
	}
}

// shortPlan takes less than 3 minutes.
func shortPlan() plan {
	p := fullPlan()
	p.short = true
	p.cachedRounds, p.cachedRound = 3, 500*time.Millisecond
	p.cachedClients = map[string][]int{vaulttest.StorageInmem: {1, 16, 64}, vaulttest.StorageRaft: {16}}
	p.burstRounds = 2
	p.coldAccounts = 2000
	p.rolloverAccounts, p.rolloverSteady, p.rolloverKinds = 300, time.Second, []rig.Kind{rig.Unleased}
	p.hungAccounts, p.hungRounds, p.hungRound = 300, 1, 3*time.Second
	p.sizes, p.unsealRounds = []int{1000, 3000}, 3
	return p
}

func (p plan) describe() string {
	if p.short {
		return "BENCH=short: fewer and shorter rounds, smaller sizes; the figures are rough, and what needs the full sizes is not judged"
	}
	return "full"
}

func (p plan) mostClients() int { return slices.Max(p.burstReaders) }

func (p plan) largest() int { return p.sizes[len(p.sizes)-1] }
