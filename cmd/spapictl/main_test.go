// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// argsOfTest has this program of tests run as spapictl, with these arguments.
const argsOfTest = "SPAPICTL_ARGS_OF_TEST"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(argsOfTest); ok {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main() // and ends
	}
	m.Run()
}
