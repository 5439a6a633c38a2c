// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"vault-plugin-secrets-spapi/bench/figures"
)

// facts say where and how the figures came about.
func (b *bench) facts(ctx context.Context) []figures.Fact {
	return []figures.Fact{
		{Name: "date", Value: time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{Name: "machine", Value: fmt.Sprintf("%d cores (%s), %s of memory, %s/%s; load generator, Vault, plugins and simulated Amazon share them",
			runtime.NumCPU(), firstValue("/proc/cpuinfo", "model name"), memoryTotal(), runtime.GOOS, runtime.GOARCH)},
		{Name: "Go", Value: strings.TrimPrefix(runtime.Version(), "go")},
		{Name: "Vault", Value: vaultVersion(ctx, b.Vault)},
		{Name: "run", Value: b.describe()},
	}
}

// firstValue is the value of a name in a file of "name : value" lines.
func firstValue(path, name string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(content)) {
		if found, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(found) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// memoryTotal is the machine's memory.
func memoryTotal() string {
	var kib uint64
	if _, err := fmt.Sscanf(firstValue("/proc/meminfo", "MemTotal"), "%d kB", &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

func vaultVersion(ctx context.Context, binary string) string {
	out, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Vault "))
}

// filesLimit is how many files a process may have open here. Go programs, so
// also Vault, raise their own limit to the most allowed.
func filesLimit() (uint64, error) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return limit.Max, err
}

// enoughFiles checks that so many connections can be open: here one end, in
// Vault the other.
func enoughFiles(limit uint64, connections int) error {
	// Amazon's connections are here, too, and the files of storage are in Vault.
	if need := uint64(2*connections + 1000); limit < need { //nolint:gosec // a small number of our own
		return fmt.Errorf("at most %d files may be open, %d are needed: raise the limit (ulimit -Hn)", limit, need)
	}
	return nil
}
