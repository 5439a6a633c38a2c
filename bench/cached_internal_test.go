// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
)

func TestEachKindHasItsTarget(t *testing.T) {
	t.Parallel()
	b := &bench{progress: progress{out: io.Discard, begin: time.Now()}, report: &figures.Report{}}
	section := &figures.Section{}
	engine, reference, kv := &contender{rates: []float64{98, 96}}, &contender{rates: []float64{100, 100}}, &contender{rates: []float64{200}}
	for kind, want := range map[rig.Kind]struct {
		contenders []*contender
		verdict    string
		kv         string
	}{
		rig.Unleased:   {[]*contender{engine, reference, kv}, "missed", "200"},
		rig.Leased:     {[]*contender{engine, reference, kv}, "met", "200"},
		rig.Restricted: {[]*contender{reference, engine, kv}, "met", "200"},
		rig.LWA:        {[]*contender{{rates: []float64{94, 94}}, reference}, "missed", "–"},
	} {
		b.report.Targets, section.Rows = nil, nil
		b.addCached(section, "inmem, "+string(kind), kind, want.contenders)
		require.Len(t, b.report.Targets, 1)
		require.Equal(t, "cached reads : reference, inmem, "+string(kind), b.report.Targets[0].Name)
		require.Equal(t, want.verdict, b.report.Targets[0].Verdict(), kind)
		row := section.Rows[0]
		require.Equal(t, want.kv, row[len(row)-2], kind)
	}
	require.InDelta(t, 0.95, leastRatio(rig.LWA), 1e-9)
	require.InDelta(t, 0.95, leastRatio(rig.Restricted), 1e-9)
}

func TestInTurn(t *testing.T) {
	t.Parallel()
	a, b := []byte("a"), []byte("b")
	require.Equal(t, [][]byte{a, b, a, b, a}, inTurn([][]byte{a, b}, 5))
}
