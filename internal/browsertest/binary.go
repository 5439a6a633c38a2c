// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binary returns the path of a Chromium or Chrome: $SPAPI_TEST_CHROMIUM, else
// what scripts/get-chromium.sh finds or installs.
func Binary(ctx context.Context) (string, error) {
	if path := os.Getenv("SPAPI_TEST_CHROMIUM"); path != "" {
		return path, nil
	}
	// A test runs in the directory of its package, which is in the module.
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the repository: %w", err)
	}
	script := filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "scripts", "get-chromium.sh")
	cmd := exec.CommandContext(ctx, script)
	cmd.Stderr = os.Stderr // It says there what takes long.
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w", script, err)
	}
	return strings.TrimSpace(string(path)), nil
}
