// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

// RegisterPlugin puts a binary into the plugin directory and registers it by
// its SHA-256 as a secrets engine of that name. The version may be empty. Env
// holds "NAME=value" for the plugin's processes. Registering a name again
// replaces it; what is mounted changes with ReloadPlugin.
func (s *Server) RegisterPlugin(ctx context.Context, name, binary, version string, env []string) error {
	sum, command, err := s.InstallPlugin(name, binary)
	if err != nil {
		return fmt.Errorf("registering plugin %s: %w", name, err)
	}
	_, err = s.Client().Sys().RegisterPluginWithContextDetailed(ctx, &api.RegisterPluginInput{
		Name:    name,
		Type:    api.PluginTypeSecrets,
		Command: command,
		SHA256:  sum,
		Version: version,
		Env:     env,
	})
	if err != nil {
		return fmt.Errorf("registering plugin %s: %w", name, err)
	}
	return nil
}

// InstallPlugin is the part of RegisterPlugin that touches files: it returns
// the SHA-256 and the command to register.
func (s *Server) InstallPlugin(name, binary string) (sum, command string, err error) {
	if sum, err = fileSum(binary); err != nil {
		return "", "", err
	}
	// A name per content: processes of an earlier registration go on undisturbed.
	command = name + "-" + sum[:12]
	target := filepath.Join(s.pluginDir(), command)
	if err := os.Link(binary, target); err == nil || errors.Is(err, os.ErrExist) {
		return sum, command, nil
	}
	return sum, command, copyFile(binary, target) // From another file system.
}

// Mount enables a secrets engine. The configuration is that of sys/mounts,
// such as max_lease_ttl or passthrough_request_headers, and may be nil.
func (s *Server) Mount(ctx context.Context, path, pluginName string, cfg map[string]any) error {
	_, err := s.Client().Logical().WriteWithContext(ctx, "sys/mounts/"+path, map[string]any{
		"type":   pluginName,
		"config": cfg,
	})
	if err != nil {
		return fmt.Errorf("mounting %s at %s: %w", pluginName, path, err)
	}
	return nil
}

// Unmount disables a secrets engine, which revokes its leases.
func (s *Server) Unmount(ctx context.Context, path string) error {
	if err := s.Client().Sys().UnmountWithContext(ctx, path); err != nil {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return nil
}

// ReloadPlugin ends the processes of a plugin and starts it again from what
// is registered now.
func (s *Server) ReloadPlugin(ctx context.Context, name string) error {
	_, err := s.Client().Sys().ReloadPluginWithContext(ctx, &api.ReloadPluginInput{Plugin: name})
	if err != nil {
		return fmt.Errorf("reloading plugin %s: %w", name, err)
	}
	return nil
}

// PluginPIDs returns the process ids of this server's plugins. A registration
// runs the plugin for a moment to ask for its version: that counts too.
func (s *Server) PluginPIDs() ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pluginPIDs()
}

func (s *Server) pluginPIDs() ([]int, error) {
	if s.proc == nil {
		return nil, nil
	}
	return childrenOf(s.proc.pid(), s.pluginDir())
}

// WritePolicy writes an ACL policy.
func (s *Server) WritePolicy(ctx context.Context, name, hcl string) error {
	if err := s.Client().Sys().PutPolicyWithContext(ctx, name, hcl); err != nil {
		return fmt.Errorf("writing policy %s: %w", name, err)
	}
	return nil
}

// TokenOption changes the request that CreateToken makes.
type TokenOption func(*api.TokenCreateRequest)

// CreateToken makes a service token with these policies and no default one.
// A ttl of "" is Vault's default.
func (s *Server) CreateToken(ctx context.Context, policies []string, ttl string, opts ...TokenOption) (string, error) {
	req := &api.TokenCreateRequest{Policies: policies, TTL: ttl, NoDefaultPolicy: true}
	for _, opt := range opts {
		opt(req)
	}
	secret, err := s.Client().Auth().Token().CreateWithContext(ctx, req)
	if err != nil {
		return "", fmt.Errorf("creating a token for %v: %w", policies, err)
	}
	return secret.Auth.ClientToken, nil
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // Only read.
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // Only read.
	target, err := os.CreateTemp(filepath.Dir(to), "partial-")
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	err = errors.Join(err, target.Chmod(0o700), target.Close())
	if err != nil {
		return errors.Join(err, os.Remove(target.Name()))
	}
	return os.Rename(target.Name(), to)
}
