// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"fmt"
	"net"
)

// ports are where a server listens: its API, and raft.
type ports struct{ api, cluster int }

func (p ports) address() string       { return "http://" + p.listen() }
func (p ports) listen() string        { return fmt.Sprintf("127.0.0.1:%d", p.api) }
func (p ports) listenCluster() string { return fmt.Sprintf("127.0.0.1:%d", p.cluster) }

func freePorts(ctx context.Context) (ports, error) {
	var found [2]int
	for i := range found {
		// Both stay open until the end: else the second may be the first again.
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("looking for a free port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // Nothing was written.
		addr, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return ports{}, fmt.Errorf("looking for a free port: got address %s", listener.Addr())
		}
		found[i] = addr.Port
	}
	return ports{api: found[0], cluster: found[1]}, nil
}
