// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package vaulttest runs real Vault servers, agents and proxies as child
// processes, for tests, the demo and benchmarks.
//
// Everything it starts ends with the process that started it, listens on
// 127.0.0.1 only, and keeps its files in one directory.
package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// The values of Options.Storage. There is no "file": the small build of Vault
// that scripts/get-vault.sh makes does not know it.
const (
	StorageInmem = "inmem"
	StorageRaft  = "raft"
)

// loneNode is the raft node id of a server without a cluster.
const loneNode = "vaulttest"

// Options say how a Vault server is started. The zero value is a server with
// storage in memory in a new temporary directory.
type Options struct {
	// Dir holds everything the server writes. Left out, it is a new temporary
	// directory, which Close removes.
	Dir string
	// Storage is StorageInmem (the default), or StorageRaft, which survives
	// Restart.
	Storage string
	// LogLevel is Vault's, "info" if empty.
	LogLevel string
	// Audit turns on a file audit device.
	Audit bool
	// VaultBinary is the vault executable, VaultBinary() if empty.
	VaultBinary string
	// Env is added to the server's environment, as "NAME=value". VAULT_* and
	// SPAPI_* variables of the calling process never reach the server.
	Env []string
}

// Server is a running, initialised and unsealed Vault. Its methods may be
// called from several goroutines.
type Server struct {
	// Set by Start, and never again.
	opts      Options
	ownsDir   bool
	transport *http.Transport
	ports     ports
	rootToken string
	unsealKey string
	nodeID    string  // in raft
	joins     *Server // a node of the cluster to join, nil for others than joining nodes
	member    bool    // of a cluster: it may be a standby when it is unsealed

	mu       sync.Mutex // guards what follows, and serializes Stop, Kill and Restart
	proc     *process   // nil when stopped
	agents   []*Agent
	agentSeq int
}

// Start starts a Vault server and returns when it answers as an active,
// unsealed server. The server outlives ctx: that bounds the start only.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := newServer(opts)
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func newServer(opts Options) *Server {
	return &Server{opts: opts, nodeID: loneNode, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

func (s *Server) start(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("starting vault: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.startFirst(ctx); err != nil {
		err = fmt.Errorf("starting vault: %w%s", err, tail(s.LogFile(), 20))
		return errors.Join(err, s.killLocked(), s.removeDir())
	}
	return nil
}

func (s *Server) prepare(ctx context.Context) error {
	switch s.opts.Storage {
	case "":
		s.opts.Storage = StorageInmem
	case StorageInmem, StorageRaft:
	default:
		return fmt.Errorf("unknown storage %q, want %s or %s", s.opts.Storage, StorageInmem, StorageRaft)
	}
	if s.opts.LogLevel == "" {
		s.opts.LogLevel = "info"
	}
	if s.opts.VaultBinary == "" {
		binary, err := VaultBinary(ctx)
		if err != nil {
			return err
		}
		s.opts.VaultBinary = binary
	}
	// Absolute, since the processes run in Dir.
	binary, err := exec.LookPath(s.opts.VaultBinary)
	if err != nil {
		return err
	}
	if s.opts.VaultBinary, err = filepath.Abs(binary); err != nil {
		return err
	}
	return s.makeDir()
}

func (s *Server) makeDir() error {
	if s.opts.Dir == "" {
		dir, err := os.MkdirTemp("", "vaulttest-")
		if err != nil {
			return err
		}
		s.opts.Dir, s.ownsDir = dir, true
	}
	for _, sub := range []string{s.pluginDir(), s.storageDir(), s.homeDir()} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return errors.Join(err, s.removeDir())
		}
	}
	// Vault refuses a plugin directory that is reached through a symbolic link.
	dir, err := filepath.EvalSymlinks(s.opts.Dir)
	if err != nil {
		return errors.Join(err, s.removeDir())
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return errors.Join(err, s.removeDir())
	}
	s.opts.Dir = dir
	return nil
}

// startFirst launches the server and makes it the first of its storage, or a
// node of a cluster.
func (s *Server) startFirst(ctx context.Context) error {
	if err := s.launchAnywhere(ctx); err != nil {
		return err
	}
	found := s.initialise
	if s.joins != nil {
		found = s.join
	}
	if err := found(ctx); err != nil {
		return err
	}
	if err := s.unseal(ctx); err != nil {
		return err
	}
	if !s.opts.Audit {
		return nil
	}
	device := &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": s.AuditFile()}}
	if err := s.Client().Sys().EnableAuditWithOptionsWithContext(ctx, "file", device); err != nil {
		return fmt.Errorf("enabling the audit device: %w", err)
	}
	return nil
}

// launchAnywhere launches the server on free ports. They may be taken by
// somebody else before Vault binds them: then others are tried.
func (s *Server) launchAnywhere(ctx context.Context) error {
	const attempts = 5
	var err error
	for range attempts {
		if s.ports, err = freePorts(ctx); err != nil {
			return err
		}
		if err = s.launch(ctx); err == nil {
			return nil
		}
		if !strings.Contains(tail(s.LogFile(), 20), "address already in use") {
			return err
		}
	}
	return err
}

// Client returns a new client with the root token. It repeats nothing by
// itself, so that its caller sees what Vault answered.
func (s *Server) Client() *api.Client { return s.ClientWithToken(s.rootToken) }

// ClientWithToken is Client with another Vault token.
func (s *Server) ClientWithToken(token string) *api.Client {
	client, err := api.NewClient(&api.Config{
		Address:    s.ports.address(),
		HttpClient: s.httpClient(),
		Timeout:    time.Minute,
	})
	if err != nil {
		// Only a malformed VAULT_* variable in the caller's own environment.
		panic(fmt.Sprintf("vaulttest: making a Vault client: %v", err))
	}
	client.ClearNamespace()
	client.SetToken(token)
	return client
}

func (s *Server) httpClient() *http.Client {
	return &http.Client{
		Transport:     s.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Address is the server's URL, without a trailing slash.
func (s *Server) Address() string { return s.ports.address() }

// RootToken is the token that initialising the server gave.
func (s *Server) RootToken() string { return s.rootToken }

// PID is the process id of the vault process, 0 when it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.pid()
}

// Dir is the directory that holds all the server's files.
func (s *Server) Dir() string { return s.opts.Dir }

// LogFile is the server's log. It is kept over restarts.
func (s *Server) LogFile() string { return filepath.Join(s.opts.Dir, "vault.log") }

// AuditFile is where the audit device writes, if Options.Audit asked for one.
func (s *Server) AuditFile() string { return filepath.Join(s.opts.Dir, "audit.log") }

func (s *Server) pluginDir() string  { return filepath.Join(s.opts.Dir, "plugins") }
func (s *Server) storageDir() string { return filepath.Join(s.opts.Dir, "storage") }
func (s *Server) homeDir() string    { return filepath.Join(s.opts.Dir, "home") }

func (s *Server) removeDir() error {
	if !s.ownsDir {
		return nil
	}
	return os.RemoveAll(s.opts.Dir)
}

// environ is the environment of all vault processes: the caller's, without
// what would point them at another Vault or at the user's own files, or would
// configure the plugin behind its registration's back.
func (s *Server) environ(extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "VAULT_") || strings.HasPrefix(kv, "SPAPI_")
	})
	env = append(env, "HOME="+s.homeDir(), "VAULT_ADDR="+s.ports.address())
	return append(env, extra...)
}
