// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command inspected is the engine with a window for the benchmark: a unix socket
// that tells its memory, profiles and calls to Vault, and moves its clock. The
// product has no such window.
package main

import (
	"context"
	"os"
	"sync"

	"github.com/hashicorp/vault/sdk/helper/pluginutil"
	"github.com/hashicorp/vault/sdk/logical"

	spapi "vault-plugin-secrets-spapi"
	"vault-plugin-secrets-spapi/bench/serve"
)

// socketVariable names the socket, in the environment of the registration.
const socketVariable = "SPAPI_BENCH_SOCKET"

func main() {
	w := &window{}
	engine := spapi.Factory(spapi.Options{Version: "v0.0.0-inspected", Now: w.now})
	// Not before there is a mount: Vault also runs the binary for a moment to ask
	// for its version, and that process must not take the socket over.
	open := sync.OnceValue(func() error { return w.open(os.Getenv(socketVariable)) })
	factory := func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		if !pluginutil.InMetadataMode() {
			if err := open(); err != nil {
				return nil, err
			}
		}
		return w.watch(ctx, conf, engine)
	}
	serve.Plugin(factory)
}
