// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// childAttributes makes the kernel signal a child when this process dies,
// however it dies. The server gets SIGTERM, on which it ends its plugins. (What
// counts is the thread that started the child. Go ends a thread only when a
// goroutine that is locked to it returns: such a one must not call this.)
func childAttributes(onParentDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: onParentDeath}
}

// childrenOf returns the children of a process whose executable, as they were
// called, lies in dir.
func childrenOf(pid int, dir string) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil {
			continue // The thread has ended.
		}
		for field := range strings.FieldsSeq(string(content)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", list, err)
			}
			if runsFrom(child, dir) {
				children = append(children, child)
			}
		}
	}
	return children, nil
}

func runsFrom(pid int, dir string) bool {
	// A zombie has an empty command line.
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := bytes.Cut(cmdline, []byte{0})
	return err == nil && filepath.Dir(string(name)) == dir
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	// The state follows the name, which is in parentheses and may hold any.
	_, rest, _ := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(" "))
	return len(rest) > 0 && rest[0] == 'Z'
}
