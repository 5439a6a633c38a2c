// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package serve makes the programs of the benchmark plugins of Vault's.
package serve

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

// Plugin serves the backends that factory makes, until Vault ends the process.
func Plugin(factory logical.Factory) {
	if err := run(factory, os.Args[1:]); err != nil {
		hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Error("the plugin is shutting down", "error", err)
		os.Exit(1)
	}
}

func run(factory logical.Factory, args []string) error {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(args); err != nil {
		return err
	}
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: factory,
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
}
