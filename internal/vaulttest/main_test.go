// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// roleVariable makes this test binary play another part than running tests:
// "plugin", a secrets engine, or "parent", a program that starts a Vault.
const roleVariable = "VAULTTEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "plugin":
		err = plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: echoFactory})
	case "parent":
		err = startAndHang()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// echoFactory makes an engine whose one path tells its process's environment
// variable GREETING.
func echoFactory(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	backend := &framework.Backend{
		BackendType: logical.TypeLogical,
		Paths: []*framework.Path{{
			Pattern: "greeting",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
						return &logical.Response{Data: map[string]any{"greeting": os.Getenv("GREETING")}}, nil
					},
				},
			},
		}},
	}
	return backend, backend.Setup(ctx, config)
}

// startAndHang prints the pids of a Vault and its plugin, and waits to be
// killed.
func startAndHang() error {
	ctx := context.Background()
	server, err := vaulttest.Start(ctx, vaulttest.Options{Dir: os.Getenv("VAULTTEST_DIR")})
	if err != nil {
		return err
	}
	if err := mountEcho(ctx, server, "hello"); err != nil {
		return err
	}
	pids, err := server.PluginPIDs()
	if err != nil {
		return err
	}
	fmt.Println(server.PID(), pids[0])
	select {}
}

func mountEcho(ctx context.Context, server *vaulttest.Server, greeting string) error {
	if err := registerEcho(ctx, server, greeting); err != nil {
		return err
	}
	return server.Mount(ctx, "echo", "echo", nil)
}

func registerEcho(ctx context.Context, server *vaulttest.Server, greeting string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := []string{roleVariable + "=plugin", "GREETING=" + greeting}
	return server.RegisterPlugin(ctx, "echo", self, "", env)
}
