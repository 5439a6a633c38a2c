// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childAttributes can ask for nothing here: only Linux ties a child to the
// life of its parent. A test process that is killed leaves its Vault behind.
func childAttributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// childrenOf returns the children of a process whose executable, as they were
// called, lies in dir.
func childrenOf(pid int, dir string) ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pgrep", "-P", strconv.Itoa(pid), "-f", dir).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil // pgrep's way to say: none.
	}
	if err != nil {
		return nil, fmt.Errorf("listing the children of %d: %w", pid, err)
	}
	var children []int
	for field := range strings.FieldsSeq(string(out)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("listing the children of %d: %w", pid, err)
		}
		children = append(children, child)
	}
	return children, nil
}

func zombie(pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}
