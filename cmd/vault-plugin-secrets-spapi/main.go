// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command vault-plugin-secrets-spapi is the plugin binary that Vault starts.
package main

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/plugin"

	spapi "vault-plugin-secrets-spapi"
)

// Set when a release is built: -ldflags "-X main.version=v1.2.3 -X main.commit=…".
var (
	version = "v0.0.0-dev"
	commit  = "unknown"
)

func main() {
	logger := hclog.New(&hclog.LoggerOptions{})
	if err := serve(os.Args[1:], logger); err != nil {
		logger.Error("the plugin is shutting down", "error", err)
		os.Exit(1)
	}
}

func serve(args []string, logger hclog.Logger) error {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(args); err != nil {
		return err
	}
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: spapi.Factory(spapi.Options{Version: version, Commit: commit}),
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
		Logger:             logger,
	})
}
