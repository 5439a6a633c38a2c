// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"time"

	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// settings is what reads need of the config, without its secrets. Immutable.
type settings struct {
	generation    string
	revision      string
	region        sellingpartner.Region
	sandbox       bool
	spapiEndpoint string // empty: from region and sandbox
	minTTL        time.Duration
	generateLease bool
	timeout       time.Duration
	maxExchanges  int
	fault         *fault.Error // why no token may be handed out, if so
}

func (i *Issuer) newSettings(config *store.Config) *settings {
	s := &settings{
		generation: config.Generation, revision: config.Revision,
		region: sellingpartner.Region(config.Region), sandbox: config.Sandbox, spapiEndpoint: config.SPAPIEndpoint,
		minTTL: config.TokenMinTTL, generateLease: config.GenerateLease,
		timeout: config.RequestTimeout, maxExchanges: config.MaxConcurrentExchanges,
	}
	if s.spapiEndpoint != "" {
		// Readers send their access tokens there: a registration that no longer
		// allows the endpoint closes it, even where it is already stored.
		if err := i.permit(s.spapiEndpoint); err != nil {
			s.fault = fault.New(fault.EndpointForbidden, "sp_api_endpoint %s", err)
		}
	}
	return s
}

func (s *settings) regionOf(account *store.Profile) sellingpartner.Region {
	if account.Region != "" {
		return sellingpartner.Region(account.Region)
	}
	return s.region
}

func (s *settings) endpointOf(region sellingpartner.Region) string {
	if s.spapiEndpoint != "" {
		return s.spapiEndpoint
	}
	return region.Endpoint(s.sandbox)
}

func (s *settings) leaseOf(account *store.Profile) bool {
	if account.GenerateLease != nil {
		return *account.GenerateLease
	}
	return s.generateLease
}

// readConfig reads the config from storage, and keeps what readers need of it.
func (i *Issuer) readConfig(ctx context.Context) (*store.Config, *settings, error) {
	epoch := i.settingsEpoch.Load()
	config, err := i.store.Config(ctx)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		return nil, nil, fault.New(fault.NotConfigured, "the mount has no config yet")
	}
	if known := i.settings.Load(); known != nil && known.revision == config.Revision {
		return config, known, nil
	}
	s := i.newSettings(config)
	i.settingsLock.Lock()
	defer i.settingsLock.Unlock()
	if i.settingsEpoch.Load() == epoch {
		i.settings.Store(s)
	}
	return config, s, nil
}

// settingsInForce is what the config, or its defaults if there is none yet, says
// for accounts that say nothing else.
func (i *Issuer) settingsInForce(ctx context.Context) (*settings, error) {
	if known := i.settings.Load(); known != nil {
		return known, nil
	}
	config, err := i.store.Config(ctx)
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = defaultConfig()
	}
	return i.newSettings(config), nil
}

// configChanged replaces what readers know of the config: nil lets the next one
// read it from storage.
func (i *Issuer) configChanged(s *settings) {
	i.settingsLock.Lock()
	i.settingsEpoch.Add(1)
	before := i.settings.Swap(s)
	i.settingsLock.Unlock()
	if s == nil || (before != nil && before.generation != s.generation) {
		i.dropTokens()
	}
}

// dropTokens forgets all tokens. Exchanges under way are for nobody: their
// waiters ask again.
func (i *Issuer) dropTokens() {
	i.eachRecord(func(rec *record) {
		rec.supersede()
		next := rec.state()
		next.token, next.failure = nil, nil
		rec.current.Store(&next)
	})
}

// Invalidate forgets what was read from a storage key that another node wrote.
// Tokens stay; they are served again if they still belong to what is stored.
func (i *Issuer) Invalidate(key string) {
	if key == store.KeyConfig {
		i.settingsLock.Lock()
		defer i.settingsLock.Unlock()
		i.settingsEpoch.Add(1)
		i.settings.Store(nil)
		return
	}
	i.store.AuthorizationsMayExist(key)
	if name, ok := store.RoleOf(key); ok {
		i.forgetRole(name)
	}
	if name, ok := store.AccountOf(key); ok {
		if known, ok := i.records.Load(name); ok {
			rec := known.(*record)
			rec.mu.Lock()
			rec.readAgain()
			rec.mu.Unlock()
		}
		i.eachOf(name, (*record).readAgain)
	}
}
