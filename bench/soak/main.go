// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command soak runs a mixed load against the engine in a real Vault for a while,
// with failures of Amazon, and looks whether memory and goroutines stay level and
// every token is the right account's and alive. `make soak` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

func main() {
	var binaries rig.Binaries
	var length time.Duration
	flag.StringVar(&binaries.Vault, "vault", "", "the vault executable")
	flag.StringVar(&binaries.Inspected, "inspected", "", "the plugin with a window")
	flag.StringVar(&binaries.Reference, "reference", "", "the reference plugin")
	flag.DurationVar(&length, "for", 10*time.Minute, "how long; at least 20s")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, binaries, length, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nsoak failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binaries rig.Binaries, length time.Duration, out io.Writer) (err error) {
	if length < 20*time.Second {
		return fmt.Errorf("-for is %s, must be 20s or more", length)
	}
	r, err := rig.Start(ctx, rig.Options{Binaries: binaries, Storage: vaulttest.StorageRaft, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l := newLoad(r)
	fmt.Fprintf(out, "writing %d accounts\n", len(l.accounts()))
	if err := l.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s of mixed load; memory is what a garbage collection leaves, resident is VmRSS\n", length)
	samples, err := l.runFor(ctx, length, out)
	if ctx.Err() != nil {
		return errors.New("interrupted; Vault and Amazon have been stopped")
	}
	if err != nil {
		return err
	}
	l.tally.summary(out)
	return samples.judge(out)
}
