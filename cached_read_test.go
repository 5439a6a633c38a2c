// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func (m *mount) bareRead() *logical.Request {
	return &logical.Request{Operation: logical.ReadOperation, Path: "token/acme", Storage: m.storage, MountPoint: "spapi/"}
}

// A read that is answered ahead of the framework is answered as by the path's
// own handler.
func TestCachedReadsAnswerAsTheFrameworkDoes(t *testing.T) {
	t.Parallel()
	everything := map[string]any{
		"region": "eu", "selling_partner_id": "A1", "marketplace_ids": "M1,M2", "kind": "vendor", "metadata": map[string]any{"a": "b"}, "token_min_ttl": "10m",
	}
	for name, arrange := range map[string]func(m *mount){
		"leased":    func(*mount) {},
		"un-leased": func(m *mount) { m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"generate_lease": false}) },
		"everything": func(m *mount) {
			m.ok(logical.PatchOperation, "accounts/acme", everything)
			m.ok(logical.ReadOperation, "token/acme", nil) // in another region: another token
		},
		"config changed": func(m *mount) {
			m.ok(logical.PatchOperation, "config", map[string]any{"sandbox": true, "token_min_ttl": "50m", "generate_lease": false})
		},
		"authorization about to lapse": func(m *mount) {
			m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"authorization_expires_at": "2026-05-08T00:00:00Z"})
		},
		"being renewed": func(m *mount) {
			m.clock.Advance(25 * time.Minute)
			m.t.Cleanup(m.amazon.Hold())
		},
		"renewal failed": func(m *mount) {
			m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
			m.clock.Advance(25 * time.Minute)
			require.Eventually(m.t, func() bool { return len(m.ok(logical.ReadOperation, "token/acme", nil).Warnings) > 0 }, 30*time.Second, time.Millisecond)
		},
		"stale": func(m *mount) {
			m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
			m.clock.Advance(58 * time.Minute)
			require.NotEmpty(m.t, m.ok(logical.ReadOperation, "token/acme", nil).Warnings)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := configured(t)
			m.t = t
			arrange(m)
			ahead := m.backend.cachedRead(m.bareRead())
			require.NotNil(t, ahead, "answered ahead of the framework")
			byFramework, err := m.backend.Backend.HandleRequest(t.Context(), m.bareRead())
			require.NoError(t, err)
			require.Equal(t, byFramework, ahead)
			m.validate(m.bareRead(), ahead)
		})
	}
}

// Whatever is not a bare read of a cached token takes the framework's way.
func TestOtherReadsAreTheFrameworks(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(m *mount, req *logical.Request){
		"a field":        func(_ *mount, req *logical.Request) { req.Data = map[string]any{"min_ttl": "1m"} },
		"a misspelled":   func(_ *mount, req *logical.Request) { req.Data = map[string]any{"min-ttl": "1m"} },
		"an update":      func(_ *mount, req *logical.Request) { req.Operation = logical.UpdateOperation },
		"help":           func(_ *mount, req *logical.Request) { req.Operation = logical.HelpOperation },
		"an account":     func(_ *mount, req *logical.Request) { req.Path = "accounts/acme" },
		"nobody":         func(_ *mount, req *logical.Request) { req.Path = "token/nobody" },
		"no name":        func(_ *mount, req *logical.Request) { req.Path = "token/" },
		"a longer path":  func(_ *mount, req *logical.Request) { req.Path = "token/acme/" },
		"a cold account": func(m *mount, _ *logical.Request) { m.start() },
		"a config written anew": func(m *mount, _ *logical.Request) {
			m.ok(logical.DeleteOperation, "config", nil)
			m.ok(logical.UpdateOperation, "config", m.configData())
		},
		"disabled": func(m *mount, _ *logical.Request) {
			m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"enabled": false})
		},
		"deleted": func(m *mount, _ *logical.Request) { m.ok(logical.DeleteOperation, "accounts/acme", nil) },
		"too old": func(m *mount, _ *logical.Request) { m.clock.Advance(31 * time.Minute) },
		"an outage with nothing left": func(m *mount, _ *logical.Request) {
			m.clock.Advance(time.Hour)
			m.amazon.SetFault(amazontest.Fault{Kind: amazontest.FaultForbidden})
			m.refused(502, logical.ReadOperation, "token/acme", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := configured(t)
			m.t = t
			req := m.bareRead()
			require.NotNil(t, m.backend.cachedRead(req))
			arrange(m, req)
			require.Nil(t, m.backend.cachedRead(req))
		})
	}
}

// The same for tokens that are not the access token of an account.
func TestCachedReadsOfDerivedTokens(t *testing.T) {
	t.Parallel()
	for path, fields := range map[string]map[string]any{"grantless/notifications": {"scope": "notifications"}, "restricted/shipping/acme": {"role": "shipping"}} {
		m := restricted(t)
		m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"metadata": map[string]any{"a": "b"}, "authorization_expires_at": "2026-05-08T00:00:00Z"})
		req := &logical.Request{Operation: logical.ReadOperation, Path: path, Storage: m.storage, MountPoint: "spapi/"}
		require.Nil(t, m.backend.cachedRead(req), path)
		m.read(path)
		for range 2 {
			ahead := m.backend.cachedRead(req)
			require.NotNil(t, ahead, path)
			byFramework, err := m.backend.Backend.HandleRequest(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, byFramework, ahead)
			m.validate(req, ahead)
			m.ok(logical.PatchOperation, "accounts/acme", map[string]any{"generate_lease": false})
			m.ok(logical.PatchOperation, "config", map[string]any{"generate_lease": false})
			m.read(path)
		}
		calls, requests := m.system.calls.Load(), m.amazon.Requests()+m.amazon.SellingPartnerRequests()
		m.storage.Underlying().FailGet(true)
		m.read(path)
		require.Equal(t, calls, m.system.calls.Load())
		require.Equal(t, requests, m.amazon.Requests()+m.amazon.SellingPartnerRequests())
		m.storage.Underlying().FailGet(false)
		withField := *req
		withField.Data = fields
		require.Nil(t, m.backend.cachedRead(&withField))
		for _, other := range []string{"grantless/", "grantless/none", "grantless/notifications/", "restricted/shipping", "restricted/shipping/", "restricted//acme", "restricted/shipping/acme/", "restricted/none/acme", "restricted/documents/acme"} {
			misread := *req
			misread.Path = other
			require.Nil(t, m.backend.cachedRead(&misread), other)
		}
		m.ok(logical.DeleteOperation, "roles/shipping", nil)
		m.ok(logical.DeleteOperation, "config", nil)
		require.Nil(t, m.backend.cachedRead(req), path)

		m = restricted(t)
		m.replication = consts.ReplicationPerformanceStandby
		m.start()
		_, err := m.backend.HandleRequest(t.Context(), req)
		require.Equal(t, logical.ErrReadOnly, err)
	}
}

// A performance standby forwards reads of tokens, also of those that it has in
// memory, and so does a node that does not know yet what it is.
func TestCachedReadsOnAPerformanceStandby(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.replication = consts.ReplicationPerformanceStandby
	m.start()
	_, err := m.backend.issuer.Token(t.Context(), "acme", 0)
	require.NoError(t, err)
	require.NotNil(t, m.backend.issuer.Cached("acme", 0))
	require.Nil(t, m.backend.cachedRead(m.bareRead()))
	_, err = m.backend.HandleRequest(t.Context(), m.bareRead())
	require.Equal(t, logical.ErrReadOnly, err)

	m.backend.answersReads.Store(true)
	require.NotNil(t, m.backend.cachedRead(m.bareRead()), "that, and nothing else, makes the difference")
}

// A performance secondary has its own tokens, and answers.
func TestCachedReadsOnAPerformanceSecondary(t *testing.T) {
	t.Parallel()
	m := configured(t)
	m.replication = consts.ReplicationPerformanceSecondary
	m.start()
	m.ok(logical.ReadOperation, "token/acme", nil)
	require.NotNil(t, m.backend.cachedRead(m.bareRead()))
}

// A cached read calls neither storage, nor Amazon, nor Vault.
func TestCachedReadsCallNobody(t *testing.T) {
	t.Parallel()
	m := configured(t)
	calls, requests := m.system.calls.Load(), m.amazon.Requests()
	storage := m.storage.Underlying()
	for _, fail := range []func(bool){storage.FailGet, storage.FailPut, storage.FailList, storage.FailDelete} {
		fail(true)
	}
	for range 10 {
		m.ok(logical.ReadOperation, "token/acme", nil)
	}
	require.Equal(t, calls, m.system.calls.Load())
	require.Equal(t, requests, m.amazon.Requests())

	m.ok(logical.ReadOperation, "token/acme", map[string]any{"min_ttl": "1m"})
	require.Equal(t, calls+1, m.system.calls.Load(), "the framework's way is counted")
}
