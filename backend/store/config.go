// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
)

// Config is the SP-API application of a mount.
type Config struct {
	// Generation changes with everything that makes tokens issued before
	// another application's: they are not served any more.
	Generation string `json:"generation"`
	// Revision changes with every write.
	Revision string `json:"revision"`

	ClientID               string        `json:"client_id"`
	Secret                 ClientSecret  `json:"secret"`
	Previous               ClientSecret  `json:"previous,omitzero"`
	PreviousUntil          time.Time     `json:"previous_until,omitzero"` // when Amazon stops accepting Previous
	ApplicationID          string        `json:"application_id,omitempty"`
	RedirectURI            string        `json:"redirect_uri,omitempty"`
	Region                 string        `json:"region"`
	Sandbox                bool          `json:"sandbox"`
	TokenMinTTL            time.Duration `json:"token_min_ttl"`
	GenerateLease          bool          `json:"generate_lease"`
	RequestTimeout         time.Duration `json:"request_timeout"`
	MaxConcurrentExchanges int           `json:"max_concurrent_exchanges"`
	LWAEndpoint            string        `json:"lwa_endpoint"`
	SPAPIEndpoint          string        `json:"sp_api_endpoint,omitempty"` // empty: from region and sandbox
}

// ClientSecret is a client secret of the application.
type ClientSecret struct {
	Value     credential.Secret `json:"-"`
	SetAt     time.Time         `json:"set_at"`
	ExpiresAt time.Time         `json:"expires_at"`
	Proven    bool              `json:"proven"` // Amazon accepted it when it was written
}

// Defaults of a config.
const (
	DefaultRegion                 = "na"
	DefaultTokenMinTTL            = 30 * time.Minute
	DefaultRequestTimeout         = 10 * time.Second
	DefaultMaxConcurrentExchanges = 32
	DefaultGenerateLease          = true
)

// UsablePrevious is the client secret before the current one, while Amazon still
// accepts it at now.
func (c *Config) UsablePrevious(now time.Time) credential.Secret {
	if now.Before(c.PreviousUntil) {
		return c.Previous.Value
	}
	return credential.Secret{}
}

// configEntry is the stored form, the only place where the secrets are encoded.
type configEntry struct {
	versioned
	Config
	SealedSecret   string `json:"client_secret"`
	SealedPrevious string `json:"previous_client_secret,omitempty"`
}

// Config reads the config; nil if there is none.
func (s *Store) Config(ctx context.Context) (*Config, error) {
	var entry configEntry
	found, err := s.read(ctx, KeyConfig, "config", &entry)
	if err != nil || !found {
		return nil, err
	}
	config := entry.Config
	config.Secret.Value = credential.New(entry.SealedSecret)
	config.Previous.Value = credential.New(entry.SealedPrevious)
	return &config, nil
}

// UpdateConfig replaces the config by what change makes of the stored one (nil
// if there is none), then runs committed. Writers take turns; change and
// committed must not call the network.
func (s *Store) UpdateConfig(ctx context.Context, change func(stored *Config) (*Config, error), committed func(*Config)) error {
	s.configLock.Lock()
	defer s.configLock.Unlock()
	stored, err := s.Config(ctx)
	if err != nil {
		return err
	}
	config, err := change(stored)
	if err != nil {
		return err
	}
	config.Revision = NewID()
	entry := configEntry{
		versioned: currentVersion(), Config: *config,
		SealedSecret:   config.Secret.Value.Reveal(),
		SealedPrevious: config.Previous.Value.Reveal(),
	}
	if err := s.write(ctx, KeyConfig, "config", entry); err != nil {
		return err
	}
	committed(config)
	return nil
}

// DeleteConfig removes the config, then runs committed. Accounts stay.
func (s *Store) DeleteConfig(ctx context.Context, committed func()) error {
	s.configLock.Lock()
	defer s.configLock.Unlock()
	if err := s.remove(ctx, KeyConfig, "config"); err != nil {
		return err
	}
	committed()
	return nil
}
