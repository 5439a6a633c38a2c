// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-spapi/bench/rig"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

const profileClients = 16

// profileCachedReads writes CPU profiles of the engine and of Vault for each kind
// of reads, through the engine and through the reference plugin.
func (b *bench) profileCachedReads(ctx context.Context) (err error) {
	r, err := rig.Start(ctx, rig.Options{Binaries: b.Binaries, Storage: vaulttest.StorageInmem, Inspect: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	clients, err := r.Clients(ctx, profileClients)
	if err != nil {
		return err
	}
	defer clients.Close()
	for _, kind := range slices.Concat(tokenKinds(), otherKinds()) {
		contenders, err := prepareCached(ctx, r, kind, rig.Names(kind, "cached", b.cachedAccounts))
		if err != nil {
			return err
		}
		for i, mount := range []string{"engine", "reference"} {
			if _, err := clients.RunFor(ctx, time.Second, contenders[i].requests); err != nil {
				return err
			}
			if err := b.profileOne(ctx, r, clients, string(kind)+"-"+mount, contenders[i].requests, mount == "engine"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) profileOne(ctx context.Context, r *rig.Rig, clients *rig.Clients, name string, requests [][]byte, engine bool) error {
	b.progress.say("profiling %s for %s", name, b.profileLength)
	var errs [2]error
	var running sync.WaitGroup
	running.Go(func() {
		path := fmt.Sprintf("sys/pprof/profile?seconds=%d", int(b.profileLength.Seconds()))
		errs[0] = writeFile(filepath.Join(b.out, name+"-vault.pprof"), func(w io.Writer) error {
			profile, err := r.Call(ctx, http.MethodGet, path, nil)
			if err != nil {
				return err
			}
			_, err = w.Write(profile)
			return err
		})
	})
	if engine {
		running.Go(func() {
			errs[1] = writeFile(filepath.Join(b.out, name+"-plugin.pprof"), func(w io.Writer) error {
				return r.Window.Profile(ctx, b.profileLength, w)
			})
		})
	}
	load, err := clients.RunFor(ctx, b.profileLength, requests)
	running.Wait()
	if err == nil {
		b.progress.say("%s: %.0f reads/s by %d clients", name, load.PerSecond(), profileClients)
	}
	return errors.Join(err, errs[0], errs[1])
}
