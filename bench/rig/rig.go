// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package rig puts up what the benchmark measures: a real Vault with the engine,
// the reference plugin and KV side by side, and a simulated Amazon.
package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// The mounts. Their names are of one length, which goes into the answers.
const (
	Engine    = "spapi"
	Reference = "plain"
	KV        = "store"
)

const (
	clientID     = "amzn1.application-oa2-client.bench"
	clientSecret = "amzn1.oa2-cs.v1.bench"
	// role is what restricted data tokens are read with.
	role = "shipping"
)

// Binaries are the executables of a run.
type Binaries struct{ Vault, Plugin, Inspected, Reference string }

// Options say what is put up.
type Options struct {
	Binaries
	Storage string // vaulttest.StorageInmem or StorageRaft
	// Inspect runs the build of the engine with a window instead of the one that
	// is released.
	Inspect bool
	// Config is added to the engine's config.
	Config map[string]any
}

// Rig is a running Vault with all mounts.
type Rig struct {
	Server *vaulttest.Server
	Amazon *amazontest.Server
	// Window is nil without Options.Inspect.
	Window *Window

	host     string
	dir      string
	advanced atomic.Int64 // how far Amazon's clock is ahead, in nanoseconds
}

// Start puts up a rig. Close it after use.
func Start(ctx context.Context, opts Options) (rig *Rig, err error) {
	// Short: the path of a unix socket has about 100 bytes.
	dir, err := os.MkdirTemp("", "spapi-bench-")
	if err != nil {
		return nil, err
	}
	r := &Rig{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("putting up Vault: %w", err), r.Close())
		}
	}()
	r.Amazon, err = amazontest.New(amazontest.Options{Now: r.amazonNow})
	if err != nil {
		return nil, err
	}
	r.Amazon.AddClient(clientID, clientSecret)
	r.Server, err = vaulttest.Start(ctx, vaulttest.Options{
		Dir: filepath.Join(dir, "vault"), Storage: opts.Storage, VaultBinary: opts.Vault, LogLevel: "warn",
	})
	if err != nil {
		return nil, err
	}
	r.host = strings.TrimPrefix(r.Server.Address(), "http://")
	if err := r.mount(ctx, opts); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Rig) amazonNow() time.Time { return time.Now().Add(time.Duration(r.advanced.Load())) }

func (r *Rig) mount(ctx context.Context, opts Options) error {
	engine, env := opts.Plugin, []string{"SPAPI_ALLOWED_ENDPOINTS=" + r.Amazon.URL()}
	if opts.Inspect {
		socket := filepath.Join(r.dir, "window")
		engine, env = opts.Inspected, append(env, "SPAPI_BENCH_SOCKET="+socket)
		r.Window = newWindow(socket)
	}
	for _, plugin := range []struct {
		mount, name, binary string
		env                 []string
	}{{Engine, "engine", engine, env}, {Reference, "reference", opts.Reference, nil}} {
		if err := r.Server.RegisterPlugin(ctx, plugin.name, plugin.binary, "", plugin.env); err != nil {
			return err
		}
		if err := r.Server.Mount(ctx, plugin.mount, plugin.name, nil); err != nil {
			return err
		}
	}
	if err := r.Server.Mount(ctx, KV, "kv", nil); err != nil {
		return err
	}
	if err := r.writeConfig(ctx, opts.Config); err != nil {
		return err
	}
	return r.writeRole(ctx)
}

// writeConfig writes the engine's config, with more fields.
func (r *Rig) writeConfig(ctx context.Context, more map[string]any) error {
	config := map[string]any{
		"client_id": clientID, "client_secret": clientSecret, "verify": false,
		"lwa_endpoint": r.Amazon.LWAEndpoint(), "sp_api_endpoint": r.Amazon.SPAPIEndpoint(),
	}
	maps.Copy(config, more)
	_, err := r.Call(ctx, http.MethodPost, Engine+"/config", config)
	return err
}

func (r *Rig) writeRole(ctx context.Context) error {
	_, err := r.Call(ctx, http.MethodPost, Engine+"/roles/"+role, map[string]any{
		"restricted_resources": []map[string]string{{"method": http.MethodGet, "path": "/orders/v0/orders/{orderId}/address"}},
		"allowed_accounts":     "*",
	})
	return err
}

// Requests counts what reached Amazon.
func (r *Rig) Requests() int { return r.Amazon.Requests() + r.Amazon.SellingPartnerRequests() }

// Latency makes Amazon answer after that long; 0 is at once. It heals all faults.
func (r *Rig) Latency(latency time.Duration) {
	r.Amazon.ClearFaults()
	if latency > 0 {
		r.Amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultDelay, Delay: latency})
	}
}

// Advance moves the clocks of the engine and of Amazon.
func (r *Rig) Advance(ctx context.Context, by time.Duration) error {
	// Amazon's last: a token that the engine takes for good is good at Amazon.
	if err := r.Window.Advance(ctx, by); err != nil {
		return err
	}
	r.advanced.Add(int64(by))
	return nil
}

// EnginePID is the process id of the engine.
func (r *Rig) EnginePID() (int, error) {
	pids, err := r.Server.PluginPIDs()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return 0, err
		}
		name, _, _ := strings.Cut(string(cmdline), "\x00")
		if strings.HasPrefix(filepath.Base(name), "engine-") {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("none of the processes %v is the engine", pids)
}

// Close takes everything down. Vault is killed, since an orderly end can take it
// longer than a scenario does, and nothing of it is kept.
func (r *Rig) Close() error {
	var err error
	if r.Server != nil {
		err = r.Server.Kill()
	}
	if r.Amazon != nil {
		r.Amazon.Close()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}
