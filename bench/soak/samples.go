// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
)

// What the end may exceed the beginning by. A leak of any size passes these
// bounds if only it runs for long enough; what comes and goes does not: an
// outage has some exchanges and readers waiting when the sample is taken.
const (
	maxHeapRatio      = 1.25
	maxHeapMore       = 4 << 20
	maxGoroutineRatio = 1.5
	maxGoroutinesMore = 100
)

// sample is the state of the engine's process at one time.
type sample struct {
	at       time.Duration
	memory   rig.Memory
	resident uint64
}

// samples are taken during a run, evenly.
type samples struct {
	length, every, settled time.Duration
	taken                  []sample
}

// newSamples plans a sample every 30 seconds, or more often in a short run. The
// beginning is at minute two, by when everything was read and rolled over, or at
// two fifths of a short run.
func newSamples(length time.Duration) *samples {
	return &samples{length: length, every: min(30*time.Second, length/10), settled: min(2*time.Minute, length*2/5)}
}

func (s *samples) takeUntil(ctx context.Context, l *load, out io.Writer) error {
	begin := time.Now()
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		// Also at the end: the last sample is of the load that still runs.
		now, err := take(context.WithoutCancel(ctx), l.rig, time.Since(begin))
		if err != nil {
			return err
		}
		s.taken = append(s.taken, now)
		fmt.Fprintf(out, "[%5s] %s; %d answers so far\n", now.at.Round(time.Second), now, l.tally.total())
		if ctx.Err() != nil {
			return nil
		}
	}
}

func take(ctx context.Context, r *rig.Rig, at time.Duration) (sample, error) {
	memory, err := r.Window.Memory(ctx)
	if err != nil {
		return sample{}, err
	}
	pid, err := r.EnginePID()
	if err != nil {
		return sample{}, err
	}
	resident, _, err := rig.Resident(pid)
	return sample{at: at, memory: memory, resident: resident}, err
}

func (s sample) String() string {
	return fmt.Sprintf("live heap %s MiB, %d goroutines, resident %s MiB", figures.MiB(s.memory.HeapAlloc), s.memory.Goroutines, figures.MiB(s.resident))
}

// judge compares the end of a run with its beginning.
func (s *samples) judge(out io.Writer) error {
	var first *sample
	for i := range s.taken {
		// The ticker and the sample itself take their time.
		if s.taken[i].at >= s.settled-s.every/2 {
			first = &s.taken[i]
			break
		}
	}
	if first == nil || first == &s.taken[len(s.taken)-1] {
		return errors.New("there are too few samples to compare the end with the beginning")
	}
	last := s.taken[len(s.taken)-1]
	fmt.Fprintf(out, "\nafter %s: %s\nafter %s: %s\nratio: live heap %.2f, goroutines %.2f, resident %.2f\n",
		first.at.Round(time.Second), first, last.at.Round(time.Second), last,
		float64(last.memory.HeapAlloc)/float64(first.memory.HeapAlloc), float64(last.memory.Goroutines)/float64(first.memory.Goroutines),
		float64(last.resident)/float64(first.resident))
	var errs []error
	if most := maxHeapRatio*float64(first.memory.HeapAlloc) + maxHeapMore; float64(last.memory.HeapAlloc) > most {
		errs = append(errs, fmt.Errorf("the live heap grew to more than %.2f times and %d MiB above what it was", maxHeapRatio, maxHeapMore>>20))
	}
	if most := maxGoroutineRatio*float64(first.memory.Goroutines) + maxGoroutinesMore; float64(last.memory.Goroutines) > most {
		errs = append(errs, fmt.Errorf("there are more goroutines than %.1f times and %d above what there were", maxGoroutineRatio, maxGoroutinesMore))
	}
	return errors.Join(errs...)
}
