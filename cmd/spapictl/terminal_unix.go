// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// hide turns off the echo of a terminal, and its editing of lines, which would cut
// long ones. Signals such as Ctrl-C stay.
func hide(in *os.File) (*hiddenTerminal, error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON
	hidden.Cc[unix.VMIN], hidden.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTermiosAndFlush, &hidden); err != nil {
		return nil, err
	}
	chunks, done := make(chan []byte), make(chan struct{})
	go func() {
		defer close(chunks)
		for {
			chunk := make([]byte, 4096)
			n, err := in.Read(chunk)
			if err != nil {
				return
			}
			select {
			case chunks <- chunk[:n]:
			case <-done:
				return
			}
		}
	}()
	return &hiddenTerminal{
		chunks: chunks,
		discard: func() {
			discardInput(fd)
			select {
			case <-chunks:
			default:
			}
		},
		show: sync.OnceFunc(func() {
			close(done)
			discardInput(fd)
			_ = unix.IoctlSetTermios(fd, setTermiosAndFlush, before)
		}),
	}, nil
}
