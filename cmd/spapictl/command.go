// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// app is what the commands share: where they read, write and find Vault.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	open        func() (*mount.Mount, error) // the mount that --mount names
	now         func() time.Time
	pause       func(ctx context.Context, d time.Duration) error
	quiet       func(pasted string) <-chan time.Time // is ready if a terminal that pasted this is done with it

	started bool // a command runs, so that an error is not one of usage
}

// usageError is a command line that makes no sense: exit status 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// flagError says what is wrong with a flag. It repeats nothing that was written: a
// redirected URL with a code may have been pasted there, or a credential.
func flagError(_ *cobra.Command, err error) error {
	value, missing := (*pflag.InvalidValueError)(nil), (*pflag.ValueRequiredError)(nil)
	switch {
	case errors.As(err, &value):
		flag := value.GetFlag()
		return usagef("--%s takes a value of type %s", flag.Name, flag.Value.Type())
	case errors.As(err, &missing):
		return usagef("--%s needs a value", missing.GetFlag().Name)
	}
	return usagef("there is no such flag")
}

// exitError ends the program with that status, and without a message: the command
// has said everything.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// report says what went wrong, and returns the exit status.
func (a *app) report(err error) int {
	status := exitError(0)
	usage := (*usageError)(nil)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage), !a.started:
		if usage == nil { // cobra's own, which repeat what was written
			usage = &usageError{"the command line makes no sense"}
		}
		fmt.Fprintf(a.errOut, "spapictl: %s\nSee: spapictl --help, spapictl COMMAND --help\n", usage)
		return 2
	default:
		fmt.Fprintf(a.errOut, "spapictl: %s\n", err)
		return 1
	}
}

// terminal is a stream, if it is a terminal.
func terminal(stream any) (file *os.File, ok bool) {
	file, ok = stream.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
