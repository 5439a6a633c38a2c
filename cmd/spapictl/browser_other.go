// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "os/exec"

// detach does nothing where programs are not ended with their terminal.
func detach(*exec.Cmd) {}
