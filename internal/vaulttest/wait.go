// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"fmt"
	"time"
)

const (
	waitLimit    = 30 * time.Second
	waitInterval = 20 * time.Millisecond
)

// WaitFor calls cond until it reports true. An error of cond ends the wait at
// once. So does the end of ctx, or 30 seconds where ctx has no deadline; the
// error then says what was waited for.
func WaitFor(ctx context.Context, what string, cond func() (bool, error)) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitLimit)
		defer cancel()
	}
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	for {
		ok, err := cond()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
