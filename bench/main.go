// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the engine in real Vault servers, against a plugin that
// does nothing. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
	"vault-plugin-secrets-spapi/bench/rig"
)

const (
	reportFile = "report.md"
	chartFile  = "report.svg"
)

// bench is a run.
type bench struct {
	rig.Binaries
	plan
	out      string
	profile  bool
	report   *figures.Report
	progress progress
}

// scenario is one thing that is measured.
type scenario struct {
	name string
	run  func(*bench, context.Context) error
}

func scenarios() []scenario {
	return []scenario{
		{"cached", (*bench).cachedReads},
		{"calls", (*bench).calls},
		{"burst", (*bench).coldBurst},
		{"coldstart", (*bench).coldStart},
		{"rollover", (*bench).rollover},
		{"hung", (*bench).hung},
		{"size", (*bench).size},
	}
}

func main() {
	b := &bench{progress: progress{out: os.Stderr, begin: time.Now()}}
	var short bool
	var only string
	flag.StringVar(&b.Vault, "vault", "", "the vault executable")
	flag.StringVar(&b.Plugin, "plugin", "", "the plugin as it is released")
	flag.StringVar(&b.Inspected, "inspected", "", "the plugin with a window")
	flag.StringVar(&b.Reference, "reference", "", "the reference plugin")
	flag.StringVar(&b.out, "out", ".", "the directory for the report")
	flag.BoolVar(&short, "short", false, "measure less, within 3 minutes")
	flag.StringVar(&only, "only", "", "the scenarios to run, a regular expression; they are "+scenarioNames())
	flag.BoolVar(&b.profile, "profile", false, "write CPU profiles of the plugin and of Vault during cached reads, instead of measuring those")
	flag.Parse()
	b.plan = fullPlan()
	if short {
		b.plan = shortPlan()
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := b.run(ctx, only, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nbench failed:", err)
		os.Exit(1)
	}
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// run runs the scenarios and writes the report. One that fails does not keep the
// others from running.
func (b *bench) run(ctx context.Context, only string, out io.Writer) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if !slices.ContainsFunc(scenarios(), func(s scenario) bool { return chosen.MatchString(s.name) }) {
		return fmt.Errorf("-only %s chooses none of %s", only, scenarioNames())
	}
	if err := os.MkdirAll(b.out, 0o750); err != nil {
		return err
	}
	limit, err := filesLimit()
	if err != nil {
		return err
	}
	if err := enoughFiles(limit, b.mostClients()); err != nil {
		return err
	}
	b.report = &figures.Report{Title: "Benchmark", Facts: b.facts(ctx)}
	var errs error
	for _, s := range scenarios() {
		if !chosen.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		b.progress.scenario(s.name)
		if err := s.run(b, ctx); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			errs = errors.Join(errs, err)
			b.report.Failures = append(b.report.Failures, err.Error())
		}
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; Vault and Amazon have been stopped")
	}
	b.report.Facts = append(b.report.Facts, figures.Fact{Name: "took", Value: b.progress.elapsed().String()})
	return errors.Join(errs, b.write(out))
}

// write writes the report to files and to out.
func (b *bench) write(out io.Writer) error {
	chart := ""
	if len(b.report.Charted()) > 0 {
		chart = chartFile
		if err := writeFile(filepath.Join(b.out, chartFile), b.report.Chart); err != nil {
			return err
		}
	}
	err := writeFile(filepath.Join(b.out, reportFile), func(w io.Writer) error { return b.report.Markdown(w, chart) })
	if err != nil {
		return err
	}
	b.progress.say("wrote %s", filepath.Join(b.out, reportFile))
	return b.report.Markdown(out, "")
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// target adds a figure with its target to the report.
func (b *bench) target(t figures.Target) { b.report.Targets = append(b.report.Targets, t) }
