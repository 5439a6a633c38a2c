// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package figures turns what the benchmark measured into medians, ratios, a
// report and a chart.
package figures

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Quantile is the smallest value that at least the share q of all values do not
// exceed (nearest rank); 0 of none. It sorts values.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}

// Spread is the middle of some rounds, and how far they differ.
type Spread struct {
	Median, Min, Max float64
	Rounds           int
}

// Of is the spread of values, one of each round. The median of an even number is
// the mean of the two in the middle.
func Of(values ...float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0], Max: sorted[n-1], Rounds: n,
	}
}

// Ratios are the ratios of each pair. What is measured in alternating rounds is
// compared round by round, so that a change of the machine's speed in between
// cancels out.
func Ratios(numerators, denominators []float64) []float64 {
	ratios := make([]float64, min(len(numerators), len(denominators)))
	for i := range ratios {
		ratios[i] = numerators[i] / denominators[i]
	}
	return ratios
}

// String is the median, and the range in parentheses where there were more
// rounds than one.
func (s Spread) String() string {
	if s.Rounds < 2 {
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// Milliseconds writes a duration for a table.
func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// MiB writes a number of bytes for a table.
func MiB(bytes uint64) string { return fmt.Sprintf("%.1f", Mebibytes(bytes)) }

// Mebibytes converts a number of bytes.
func Mebibytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// Range is the least and the most; empty if there was one round only.
func (s Spread) Range() string {
	if s.Rounds < 2 {
		return ""
	}
	return fmt.Sprintf("%.2f–%.2f", s.Min, s.Max)
}
