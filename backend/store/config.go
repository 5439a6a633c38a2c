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

	ClientID               string            `json:"client_id"`
	ClientSecret           credential.Secret `json:"-"`
	ClientSecretSetAt      time.Time         `json:"client_secret_set_at"`
	ClientSecretExpiresAt  time.Time         `json:"client_secret_expires_at"`
	PreviousClientSecret   credential.Secret `json:"-"`
	PreviousSecretExpires  time.Time         `json:"previous_client_secret_expires_at,omitzero"`
	ApplicationID          string            `json:"application_id,omitempty"`
	RedirectURI            string            `json:"redirect_uri,omitempty"`
	Region                 string            `json:"region"`
	Sandbox                bool              `json:"sandbox"`
	TokenMinTTL            time.Duration     `json:"token_min_ttl"`
	GenerateLease          bool              `json:"generate_lease"`
	RequestTimeout         time.Duration     `json:"request_timeout"`
	MaxConcurrentExchanges int               `json:"max_concurrent_exchanges"`
	LWAEndpoint            string            `json:"lwa_endpoint"`
	SPAPIEndpoint          string            `json:"sp_api_endpoint,omitempty"` // empty: from region and sandbox
}

// Defaults of a config.
const (
	DefaultRegion                 = "na"
	DefaultTokenMinTTL            = 30 * time.Minute
	DefaultRequestTimeout         = 10 * time.Second
	DefaultMaxConcurrentExchanges = 32
	DefaultGenerateLease          = true
)

// UsablePreviousSecret is the client secret before the current one, while
// Amazon still accepts it at now.
func (c *Config) UsablePreviousSecret(now time.Time) credential.Secret {
	if now.Before(c.PreviousSecretExpires) {
		return c.PreviousClientSecret
	}
	return credential.Secret{}
}

// configEntry is the stored form, the only place where the secrets are encoded.
type configEntry struct {
	versioned
	Config
	SealedClientSecret         string `json:"client_secret"`
	SealedPreviousClientSecret string `json:"previous_client_secret,omitempty"`
}

// Config reads the config; nil if there is none.
func (s *Store) Config(ctx context.Context) (*Config, error) {
	var entry configEntry
	found, err := s.read(ctx, KeyConfig, "config", &entry)
	if err != nil || !found {
		return nil, err
	}
	config := entry.Config
	config.ClientSecret = credential.New(entry.SealedClientSecret)
	config.PreviousClientSecret = credential.New(entry.SealedPreviousClientSecret)
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
		SealedClientSecret:         config.ClientSecret.Reveal(),
		SealedPreviousClientSecret: config.PreviousClientSecret.Reveal(),
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
