// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/bench/figures"
)

func TestOnlyHasToChooseSomething(t *testing.T) {
	t.Parallel()
	b := &bench{plan: shortPlan(), out: t.TempDir()}
	require.ErrorContains(t, b.run(t.Context(), "nothing", io.Discard), "chooses none of cached, calls, ")
	require.ErrorContains(t, b.run(t.Context(), "(", io.Discard), "-only")
}

func TestReportIsWritten(t *testing.T) {
	t.Parallel()
	b := &bench{out: t.TempDir(), progress: progress{out: io.Discard, begin: time.Now()}, report: &figures.Report{Title: "Benchmark"}}
	require.NoError(t, b.write(io.Discard))
	require.FileExists(t, filepath.Join(b.out, reportFile))
	require.NoFileExists(t, filepath.Join(b.out, chartFile), "there is nothing to draw")

	b.target(figures.Target{Name: "a", Value: 1, Bound: 1})
	require.NoError(t, b.write(io.Discard))
	require.FileExists(t, filepath.Join(b.out, chartFile))
	report, err := os.ReadFile(filepath.Join(b.out, reportFile))
	require.NoError(t, err)
	require.Contains(t, string(report), "("+chartFile+")")
}

func TestEnoughFiles(t *testing.T) {
	t.Parallel()
	require.NoError(t, enoughFiles(5000, 2000))
	require.ErrorContains(t, enoughFiles(4999, 2000), "raise the limit")
}
