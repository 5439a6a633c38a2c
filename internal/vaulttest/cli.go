// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// CLI runs the vault command line program against this server with the root
// token. The error of a command that fails holds what it wrote to stderr.
func (s *Server) CLI(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	return s.CLIWithToken(ctx, s.rootToken, args...)
}

// CLIWithToken is CLI with another Vault token.
func (s *Server) CLIWithToken(ctx context.Context, token string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	stdout, stderr, err = run(ctx, s.Command(ctx, token, args...))
	if err != nil {
		err = fmt.Errorf("vault %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr))
	}
	return stdout, stderr, err
}

// Command prepares a run of the vault program against this server, for a
// caller that wants its streams. The token may be empty.
func (s *Server) Command(ctx context.Context, token string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.opts.VaultBinary, args...)
	cmd.Env = s.environ("VAULT_TOKEN=" + token)
	cmd.Dir = s.opts.Dir
	cmd.SysProcAttr = childAttributes(syscall.SIGKILL)
	return cmd
}
