// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// VaultBinary returns the path of a vault executable: $SPAPI_TEST_VAULT, else
// what scripts/get-vault.sh finds on PATH or in bin/, or builds there.
func VaultBinary(ctx context.Context) (string, error) {
	return FromScript(ctx, "SPAPI_TEST_VAULT", "get-vault.sh")
}

// PluginBinary returns the path of the plugin executable for tests:
// $SPAPI_TEST_PLUGIN, else a build of it with the race detector.
func PluginBinary(ctx context.Context) (string, error) {
	return FromScript(ctx, "SPAPI_TEST_PLUGIN", "build.sh", "race")
}

// PluginBinaryOf builds the plugin for tests as a version of its own (vX.Y.Z) and
// returns the path of the executable: Vault asks the plugin for its version, so
// that each needs another build.
func PluginBinaryOf(ctx context.Context, version string) (string, error) {
	return FromScript(ctx, "", "build.sh", "race", version)
}

// FromScript returns the path of an executable: what an environment variable says,
// if it is set, else what a script of the repository ends by printing.
func FromScript(ctx context.Context, variable, name string, args ...string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "scripts", name)
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.Stderr = os.Stderr // It says there what takes long.
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w", script, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1], nil
}

// repositoryRoot looks upwards from the working directory, which for a test is
// that of its package.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	module := regexp.MustCompile(`(?m)^module vault-plugin-secrets-spapi$`)
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && module.Match(content) {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("the working directory is not inside the repository")
	}
}
