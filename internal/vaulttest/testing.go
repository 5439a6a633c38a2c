// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import "context"

// TB is the part of testing.TB that New needs. (The package testing itself
// stays out of the demo, which uses this package too.)
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// New starts a server for one test, in the test's temporary directory unless
// opts name another, and stops it when the test ends. A failed test shows the
// end of the server's log.
func New(t TB, opts Options) *Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	stopWith(t, s.Stop, s)
	return s
}

// NewCluster is New for a cluster.
func NewCluster(t TB, opts Options) *Cluster {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	c, err := StartCluster(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	stopWith(t, c.Stop, c.nodes...)
	return c
}

func stopWith(t TB, stop func(context.Context) error, servers ...*Server) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range servers {
				t.Logf("%s", tail(s.LogFile(), 40))
			}
		}
		// The test's own context has ended by now.
		if err := stop(context.Background()); err != nil {
			t.Logf("stopping vault: %v", err)
		}
	})
}
