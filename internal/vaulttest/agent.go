// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Agent is a running `vault agent` or `vault proxy`.
type Agent struct {
	mode string
	log  string

	mu   sync.Mutex
	proc *process
}

// StartAgent runs `vault agent` with this configuration (HCL) and returns when
// it says that it has started. VAULT_ADDR points it at this server. What it
// renders or answers is for the caller to wait for.
func (s *Server) StartAgent(ctx context.Context, config string) (*Agent, error) {
	return s.startAgent(ctx, "agent", config)
}

// StartProxy is StartAgent for `vault proxy`.
func (s *Server) StartProxy(ctx context.Context, config string) (*Agent, error) {
	return s.startAgent(ctx, "proxy", config)
}

func (s *Server) startAgent(ctx context.Context, mode, config string) (*Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agentSeq++
	base := filepath.Join(s.opts.Dir, fmt.Sprintf("%s-%d", mode, s.agentSeq))
	if err := os.WriteFile(base+".hcl", []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("starting vault %s: %w", mode, err)
	}
	agent := &Agent{mode: mode, log: base + ".log"}
	var err error
	agent.proc, err = startProcess(ctx, processSpec{
		path: s.opts.VaultBinary,
		args: []string{mode, "-config=" + base + ".hcl", "-log-level=" + s.opts.LogLevel},
		env:  s.environ(),
		dir:  s.opts.Dir,
		log:  agent.log,
	})
	if err != nil {
		return nil, fmt.Errorf("starting vault %s: %w", mode, err)
	}
	err = WaitFor(ctx, "vault "+mode+" to start", func() (bool, error) {
		if strings.Contains(agent.Logs(), " started! ") {
			return true, nil
		}
		return false, agent.proc.ended()
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w%s", err, tail(agent.log, 20)), agent.proc.kill())
	}
	s.agents = append(s.agents, agent)
	return agent, nil
}

func (s *Server) stopAgents(ctx context.Context) error {
	var errs error
	for _, agent := range s.agents {
		errs = errors.Join(errs, agent.Stop(ctx))
	}
	s.agents = nil
	return errs
}

// Stop ends the process in order. Stopping a stopped one does nothing.
func (a *Agent) Stop(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proc == nil {
		return nil
	}
	proc := a.proc
	a.proc = nil
	if err := proc.stop(ctx); err != nil {
		return fmt.Errorf("stopping vault %s: %w", a.mode, err)
	}
	return nil
}

// Kill ends the process with SIGKILL.
func (a *Agent) Kill() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proc == nil {
		return nil
	}
	proc := a.proc
	a.proc = nil
	return proc.kill()
}

// Ended reports whether the process no longer runs, by itself or by us.
func (a *Agent) Ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proc == nil || a.proc.ended() != nil
}

// LogFile is where the process writes both its output streams.
func (a *Agent) LogFile() string { return a.log }

// Logs returns all that the process has written so far.
func (a *Agent) Logs() string {
	log, err := os.ReadFile(a.log)
	if err != nil {
		return ""
	}
	return string(log)
}
