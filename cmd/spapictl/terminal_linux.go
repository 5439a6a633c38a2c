// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import "golang.org/x/sys/unix"

const (
	getTermios         = unix.TCGETS
	setTermiosAndFlush = unix.TCSETSF
)

// discardInput discards also what waits behind a full queue, which a change of
// settings leaves there.
func discardInput(fd int) {
	_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
}
