// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package main

import (
	"os"

	"golang.org/x/term"
)

// hide reads hidden lines. What follows a line is not discarded here.
func hide(in *os.File) (*hiddenTerminal, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			line, err := term.ReadPassword(fd)
			if err != nil {
				return
			}
			chunks <- append(line, '\n')
		}
	}()
	return &hiddenTerminal{chunks: chunks, discard: func() {}, show: func() { _ = term.Restore(fd, before) }}, nil
}
