// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command vault-plugin-secrets-spapi is the plugin binary that Vault starts.
package main

import (
	"fmt"
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
	if err := serve(os.Args[1:]); err != nil {
		// Vault reads the log of a plugin as JSON; text would count as debug.
		hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Error("the plugin is shutting down", "error", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	meta := &api.PluginAPIClientMeta{}
	flags := meta.FlagSet()
	printVersion := flags.Bool("version", false, "print the version to register the plugin as, and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *printVersion {
		_, err := fmt.Println(version)
		return err
	}
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: spapi.Factory(spapi.Options{Version: version, Commit: commit}),
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
}
