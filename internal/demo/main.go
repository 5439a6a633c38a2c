// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Command demo shows the plugin at work: in a real Vault, with a simulated
// Amazon, through the commands that a user would type. `make demo` runs it.
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
	"syscall"
	"time"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// stepsLimit bounds everything before "what to try", on a slow machine.
const stepsLimit = 3 * time.Minute

type settings struct {
	vault, plugin, amazon string
	oneshot               bool
}

func main() {
	var s settings
	flag.StringVar(&s.vault, "vault", "", "the vault executable")
	flag.StringVar(&s.plugin, "plugin", "", "the plugin's executable")
	flag.StringVar(&s.amazon, "amazon", "", "the simulated Amazon's executable")
	flag.BoolVar(&s.oneshot, "oneshot", false, "end after the steps instead of waiting for Ctrl-C")
	flag.Parse()

	// Caught until the end: whatever comes, the cleaning up gets done. SIGPIPE
	// comes from `make demo | head`.
	ctx, stop := signal.NotifyContext(context.Background(),
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, s, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

// run plays the demo and leaves neither a process nor a file behind, however
// it ends.
func run(ctx context.Context, s settings, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "spapi-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	err = play(ctx, s, dir, out)
	if err != nil && ctx.Err() != nil {
		// Whatever failed, failed because of that.
		return errors.New("interrupted; Vault and Amazon have been stopped")
	}
	return err
}

func play(ctx context.Context, s settings, dir string, out io.Writer) (err error) {
	steps, cancel := context.WithTimeout(ctx, stepsLimit)
	defer cancel()

	secrets := newSecrets()
	amazon, err := startAmazon(steps, s.amazon, secrets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, amazon.stop()) }()

	server, err := vaulttest.Start(steps, vaulttest.Options{Dir: filepath.Join(dir, "vault"), VaultBinary: s.vault})
	if err != nil {
		return err
	}
	defer func() {
		// Stopping goes on after an interrupt, which ended ctx.
		err = errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}()

	show := &show{
		screen:      screen{out: out, server: server, secrets: secrets},
		vaultBinary: s.vault,
		plugin:      s.plugin,
		dir:         dir,
		amazon:      amazon,
	}
	if err := show.steps(steps); err != nil {
		return err
	}
	if s.oneshot {
		fmt.Fprintln(out, "\nAll steps worked.")
		return nil
	}
	show.whatToTry()
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping Vault and Amazon.")
	return nil
}
