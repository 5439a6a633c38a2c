// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// An import that is interrupted finishes what it began; run again, it writes the
// rest, and nothing twice.
func TestImportInterruptedAndResumed(t *testing.T) {
	v := newImportVault(t).configured()
	csv := file(t, "s.csv", sellers(100))
	ctx, cancel := context.WithCancel(t.Context())
	var begun atomic.Int32
	v.write = func(string) (int, map[string]any) {
		if begun.Add(1) == 40 {
			cancel()
		}
		return 0, nil
	}
	i := newImporting(t)
	require.Equal(t, 1, i.run(ctx, "-parallel=4", csv))
	before := len(v.accounts)
	require.GreaterOrEqual(t, before, 40)
	require.Less(t, before, 100)
	require.Len(t, v.written(), before, "what was begun was finished, and counted")
	require.Contains(t, i.stdout.String(), "not tried\n")
	require.Contains(t, i.stdout.String(), "Stopped: interrupted\n")

	again := newImporting(t)
	require.Equal(t, 0, again.run(t.Context(), "-parallel=4", csv), again.stdout.String())
	require.Len(t, v.accounts, 100)
	require.Len(t, v.written(), 100, "no account was written twice")
	for name, account := range v.accounts {
		require.Equal(t, tokenOf(name), account["refresh_token"])
	}
}

// No more accounts than --parallel are written at once, and as many are.
func TestImportParallel(t *testing.T) {
	v := newImportVault(t).configured()
	const parallel = 5
	var begun atomic.Int32
	arrived := make([]sync.WaitGroup, 60/parallel)
	for n := range arrived {
		arrived[n].Add(parallel)
	}
	v.write = func(string) (int, map[string]any) {
		// Each five wait for each other, so that there are always five.
		five := &arrived[(begun.Add(1)-1)/parallel]
		five.Done()
		five.Wait()
		return 0, nil
	}
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "-parallel=5", file(t, "s.csv", sellers(60))))
	require.Len(t, v.accounts, 60)
	require.Equal(t, parallel, v.most)
}

func TestImportStopsWhenDenied(t *testing.T) {
	v := newImportVault(t).configured()
	v.write = answers(http.StatusForbidden, "permission denied")
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), "-parallel=2", file(t, "s.csv", sellers(50))))
	require.LessOrEqual(t, len(v.written()), 4)
	require.Contains(t, i.stdout.String(), "Stopped: Vault denied it: permission denied (the policy needs the capability \"update\" on the path \"spapi/accounts/seller-00")
	require.Contains(t, i.stdout.String(), "not tried\n")
	require.Empty(t, i.waited, "asking again would not help")
}

// A Vault that answers nobody is not asked for each account.
func TestImportStopsWhenVaultIsGone(t *testing.T) {
	v := newImportVault(t).configured()
	v.write = answers(http.StatusServiceUnavailable, "Vault is sealed")
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), "-parallel=1", file(t, "s.csv", sellers(50))))
	require.Len(t, v.written(), 10*5, "10 accounts, 5 times each")
	require.Contains(t, i.stdout.String(), "     10 failed\n     40 not tried\n")
	require.Contains(t, i.stdout.String(), "Stopped: 10 accounts in a row failed; the last answer: Vault is sealed\n")
}

func TestImportRepeatsWhatMayPass(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		v := newImportVault(t).configured()
		left := 4
		v.write = func(string) (int, map[string]any) {
			if left--; left >= 0 {
				return status, map[string]any{"errors": []string{"not now"}}
			}
			return 0, nil
		}
		i := newImporting(t)
		require.Equal(t, 0, i.run(t.Context(), file(t, "s.csv", sellers(1))), status)
		require.Len(t, v.written(), 5)
		require.Len(t, i.waited, 4)
		for n := 1; n < len(i.waited); n++ {
			require.Equal(t, 2*i.waited[n-1], i.waited[n], "the back-off doubles")
		}
	}
}

// Failures here and there are no row.
func TestImportGoesOnAfterFailures(t *testing.T) {
	v := newImportVault(t).configured()
	v.write = func(name string) (int, map[string]any) {
		if strings.HasSuffix(name, "5") {
			return http.StatusServiceUnavailable, map[string]any{"errors": []string{"not now"}}
		}
		if strings.HasSuffix(name, "6") {
			return http.StatusBadRequest, map[string]any{"errors": []string{"invalid_grant"}}
		}
		return 0, nil
	}
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), "-parallel=1", file(t, "s.csv", sellers(200))))
	require.Len(t, v.accounts, 160)
	require.Contains(t, i.stdout.String(), "    160 stored\n     20 rejected\n     20 failed\n")
}

func TestImportIntoAMountThatIsMissing(t *testing.T) {
	v := newImportVault(t)
	v.missing = true
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), file(t, "s.csv", sellers(3))))
	require.Contains(t, i.stdout.String(), "Stopped: nothing was written: listing the accounts that exist: no handler for route")
}

func TestImportWithoutAnswer(t *testing.T) {
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_TOKEN", tokenOfTest)
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), file(t, "s.csv", sellers(3))))
	require.Contains(t, i.stdout.String(), "Stopped: nothing was written: no answer from Vault: ")
}

// Writes that hang after an interruption are given up at the end of the grace.
func TestImportGivesUpWhatHangs(t *testing.T) {
	v := newImportVault(t).configured()
	ctx, cancel := context.WithCancel(t.Context())
	released := make(chan struct{})
	v.write = func(string) (int, map[string]any) {
		cancel()
		<-released
		return 0, nil
	}
	t.Cleanup(func() { close(released) })
	i := newImporting(t)
	i.graceless = true
	require.Equal(t, 1, i.run(ctx, "-parallel=1", file(t, "s.csv", sellers(3))))
	require.Contains(t, i.stdout.String(), "      1 failed\n      2 not tried\n")
	require.Contains(t, i.stdout.String(), "Stopped: interrupted\n")
}

func TestImportProgress(t *testing.T) {
	newImportVault(t).configured()
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "-parallel=64", file(t, "s.csv", sellers(2100))))
	require.True(t, strings.HasPrefix(i.stderr.String(), "1000 accounts done\n2000 accounts done\nThese files still hold"), i.stderr.String())
}
