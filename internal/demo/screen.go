// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// screen shows commands as they are typed, and what they really answered.
type screen struct {
	out     io.Writer
	server  *vaulttest.Server
	secrets secrets
	step    int
}

// heading begins the next step.
func (s *screen) heading(text string) {
	s.step++
	fmt.Fprintf(s.out, "\n%d. %s\n\n", s.step, text)
}

func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

// typed shows a command line.
func (s *screen) typed(line string) { fmt.Fprintf(s.out, "   $ %s\n", line) }

// answer shows output, set in from the text, unless it holds a secret.
func (s *screen) answer(text string) error {
	if err := s.secrets.check(text); err != nil {
		return err
	}
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(s.out, "   %s\n", strings.TrimRight(line, " \n"))
	}
	fmt.Fprintln(s.out)
	return nil
}

// vault types and runs a vault command with the root token, and returns what
// it wrote.
func (s *screen) vault(ctx context.Context, args ...string) (string, error) {
	return s.vaultAs(ctx, "", s.server.RootToken(), args...)
}

// vaultAs is vault with another token. The variable that holds it is shown in
// its place.
func (s *screen) vaultAs(ctx context.Context, variable, token string, args ...string) (string, error) {
	line := "vault " + quoted(args)
	if variable != "" {
		line = "VAULT_TOKEN=$" + variable + " " + line
	}
	s.typed(line)
	out, err := s.server.Command(ctx, token, args...).CombinedOutput()
	if leak := s.answer(string(out)); leak != nil {
		return "", fmt.Errorf("vault %s: %w", args[0], leak)
	}
	if err != nil {
		return string(out), fmt.Errorf("%s: %w", line, err)
	}
	return string(out), nil
}

// quoted joins arguments as a shell takes them, over several lines if long.
func quoted(args []string) string {
	const width = 100
	plain := regexp.MustCompile(`^[-\w@%+=:,./]+$`)
	var line strings.Builder
	column := 0
	for i, arg := range args {
		if !plain.MatchString(arg) {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		switch column += len(arg) + 1; {
		case i == 0:
		case column > width:
			line.WriteString(" \\\n       ")
			column = len(arg)
		default:
			line.WriteString(" ")
		}
		line.WriteString(arg)
	}
	return line.String()
}

// field finds a value in the table that `vault read` prints.
func field(table, name string) (string, error) {
	match := regexp.MustCompile(`(?m)^` + name + `\s+(\S+)\s*$`).FindStringSubmatch(table)
	if match == nil {
		return "", fmt.Errorf("the answer has no %s", name)
	}
	return match[1], nil
}
