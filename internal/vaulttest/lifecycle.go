// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// stopLimit is how long a process may take to end after SIGTERM when the
// caller's context says nothing stricter.
const stopLimit = 20 * time.Second

// launch starts the vault process and waits until it listens.
func (s *Server) launch(ctx context.Context) error {
	config, err := s.writeConfig()
	if err != nil {
		return err
	}
	// The path of a plugin's socket must stay short (about 100 bytes), and is
	// left behind by a kill: it gets a temporary directory of its own.
	sockets, err := os.MkdirTemp("", "vt-")
	if err != nil {
		return err
	}
	s.proc, err = startProcess(ctx, processSpec{
		path:    s.opts.VaultBinary,
		args:    []string{"server", "-config=" + config},
		env:     s.environ(append([]string{"TMPDIR=" + sockets}, s.opts.Env...)...),
		dir:     s.opts.Dir,
		log:     s.LogFile(),
		scratch: sockets,
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(sockets))
	}
	// Its own word, not an answer at the port: another server may have it.
	err = WaitFor(ctx, "vault to start", func() (bool, error) {
		if strings.Contains(s.proc.output(), "Vault server started!") {
			return true, nil
		}
		return false, s.proc.ended()
	})
	if err != nil {
		return errors.Join(err, s.killLocked())
	}
	return nil
}

// waitUnsealed waits for sys/health to say that the server is active, or a
// standby of a cluster.
func (s *Server) waitUnsealed(ctx context.Context) error {
	proc := s.proc
	return WaitFor(ctx, "vault to be unsealed", func() (bool, error) {
		if err := proc.ended(); err != nil {
			return false, err
		}
		status, err := s.health(ctx)
		return status == http.StatusOK || (s.member && status == http.StatusTooManyRequests), err
	})
}

func (s *Server) initialise(ctx context.Context) error {
	resp, err := s.ClientWithToken("").Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialising: %w", err)
	}
	s.rootToken, s.unsealKey = resp.RootToken, resp.Keys[0]
	return nil
}

func (s *Server) unseal(ctx context.Context) error {
	if _, err := s.ClientWithToken("").Sys().UnsealWithContext(ctx, s.unsealKey); err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}
	return s.waitUnsealed(ctx)
}

// Seal seals the server, whose process goes on. Its plugins end.
func (s *Server) Seal(ctx context.Context) error {
	plugins, err := s.PluginPIDs()
	if err != nil {
		return err
	}
	if err := s.Client().Sys().SealWithContext(ctx); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	return waitGone(ctx, plugins)
}

// Unseal unseals the server and returns when it is active, or a standby of its
// cluster.
func (s *Server) Unseal(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unseal(ctx)
}

// Stop ends the server in order, with everything it and StartAgent or
// StartProxy started. Its files stay. Stopping a stopped server does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.stopAgents(ctx), s.stopLocked(ctx))
}

func (s *Server) stopLocked(ctx context.Context) error {
	if s.proc == nil {
		return nil
	}
	plugins, err := s.pluginPIDs()
	proc := s.proc
	s.proc = nil
	s.transport.CloseIdleConnections()
	return errors.Join(err, proc.stop(ctx), waitGone(ctx, plugins))
}

// Kill ends the server with SIGKILL, as a crash would, and its plugins with it.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killLocked()
}

func (s *Server) killLocked() error {
	if s.proc == nil {
		return nil
	}
	plugins, err := s.pluginPIDs()
	proc := s.proc
	s.proc = nil
	s.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return errors.Join(err, proc.kill(), waitGone(ctx, plugins))
}

// Restart starts the server again on the same port with the same storage,
// after stopping it if it still runs, and unseals it.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Storage == StorageInmem {
		return errors.New("restarting vault: its storage is in memory, use raft")
	}
	if err := s.stopLocked(ctx); err != nil {
		return fmt.Errorf("restarting vault: %w", err)
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("restarting vault: %w%s", err, tail(s.LogFile(), 20))
	}
	if err := s.unseal(ctx); err != nil {
		return fmt.Errorf("restarting vault: %w%s", err, tail(s.LogFile(), 20))
	}
	return nil
}

// Close stops the server and removes its directory if Start made it.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.Stop(ctx), s.removeDir())
}

func waitGone(ctx context.Context, pids []int) error {
	return WaitFor(ctx, fmt.Sprintf("plugin processes %v to end", pids), func() (bool, error) {
		return !slices.ContainsFunc(pids, alive), nil
	})
}

func (s *Server) raftConfig() string {
	// The multiplier shortens elections, also the one that a lone node waits for.
	// A leader of several that does not hear of the others for half a second
	// times the multiplier gives up: a busy machine needs more than that.
	multiplier := 1
	if s.nodeID != loneNode {
		multiplier = 2
	}
	// Autopilot is what makes a node of a cluster a voter.
	return fmt.Sprintf(`storage "raft" {
  path                         = %q
  node_id                      = %q
  performance_multiplier       = %d
  autopilot_reconcile_interval = "500ms"
  autopilot_update_interval    = "250ms"
}`, s.storageDir(), s.nodeID, multiplier)
}

func (s *Server) writeConfig() (string, error) {
	storage := `storage "inmem" {}`
	if s.opts.Storage == StorageRaft {
		storage = s.raftConfig()
	}
	config := fmt.Sprintf(`%s

listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_disable     = true
}

api_addr         = %q
cluster_addr     = %q
plugin_directory = %q
log_level        = %q
disable_mlock    = true
ui               = false
`, storage, s.ports.listen(), s.ports.listenCluster(), s.ports.address(),
		"https://"+s.ports.listenCluster(), s.pluginDir(), s.opts.LogLevel)
	path := filepath.Join(s.opts.Dir, "vault.hcl")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return "", fmt.Errorf("writing vault's configuration: %w", err)
	}
	return path, nil
}
