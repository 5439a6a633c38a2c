// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	// SecretLifetime is how long a client secret lives, and secretOverlap how
	// long the one before it goes on working after a rotation.
	// Source: SP-API documentation, "Rotate your app's LWA credentials".
	SecretLifetime = 180 * 24 * time.Hour
	secretOverlap  = 7 * 24 * time.Hour
)

// ConfigChange is a write of the config.
type ConfigChange struct {
	MustExist    bool              // refuse to create one
	ClientSecret credential.Secret // zero: keep the stored one
	Verify       bool              // prove ClientSecret before it is stored
	Force        bool              // change the client id although accounts exist
	// Apply sets the other fields that the write names. It runs on the stored
	// config, or on the defaults, and may run more than once.
	Apply func(*store.Config) error
}

func defaultConfig() *store.Config {
	return &store.Config{
		Region: store.DefaultRegion, TokenMinTTL: store.DefaultTokenMinTTL, GenerateLease: store.DefaultGenerateLease,
		RequestTimeout: store.DefaultRequestTimeout, MaxConcurrentExchanges: store.DefaultMaxConcurrentExchanges,
		LWAEndpoint: endpoint.LWA,
	}
}

// WriteConfig stores a change of the config. unproven is why the new client
// secret could not be proven and was stored all the same, if so. A secret that
// Amazon refuses is not stored.
func (i *Issuer) WriteConfig(ctx context.Context, change ConfigChange) (written *store.Config, unproven *fault.Error, err error) {
	stored, err := i.store.Config(ctx)
	if err != nil {
		return nil, nil, err
	}
	// What can be refused without Amazon is refused before Amazon is asked.
	merged, err := i.mergeConfig(ctx, stored, change)
	if err != nil {
		return nil, nil, err
	}
	prove := change.Verify && !change.ClientSecret.IsZero()
	if prove {
		if unproven, err = i.proveConfig(ctx, merged); err != nil {
			return nil, nil, err
		}
	}
	err = i.store.UpdateConfig(ctx, func(stored *store.Config) (*store.Config, error) {
		config, err := i.mergeConfig(ctx, stored, change)
		if err != nil {
			return nil, err
		}
		if prove && (config.ClientID != merged.ClientID || config.LWAEndpoint != merged.LWAEndpoint) {
			return nil, fault.New(fault.Conflict, "another request changed client_id or lwa_endpoint while client_secret was being proven; nothing was stored, write again")
		}
		if prove && merged.Secret.Proven {
			config.Secret.Proven = true
		}
		return config, nil
	}, func(config *store.Config) {
		written = config
		i.configChanged(i.newSettings(config))
	})
	if err != nil {
		i.Invalidate(store.KeyConfig) // it may have been stored all the same
	}
	return written, unproven, err
}

// DeleteConfig removes the config and all cached tokens. Accounts stay.
func (i *Issuer) DeleteConfig(ctx context.Context) error {
	err := i.store.DeleteConfig(ctx, func() { i.configChanged(nil) })
	if err != nil {
		i.Invalidate(store.KeyConfig) // it may be gone all the same
	}
	return err
}

func (i *Issuer) mergeConfig(ctx context.Context, stored *store.Config, change ConfigChange) (*store.Config, error) {
	config := defaultConfig()
	if stored != nil {
		copied := *stored
		config = &copied
	} else if change.MustExist {
		return nil, fault.New(fault.NotFound, "the mount has no config yet")
	}
	if !change.ClientSecret.IsZero() {
		i.replaceSecret(config, change.ClientSecret)
	}
	if err := change.Apply(config); err != nil {
		return nil, err
	}
	switch {
	case config.ClientID == "":
		return nil, fault.BadField("client_id", "is required")
	case config.Secret.Value.IsZero():
		return nil, fault.BadField("client_secret", "is required to create the config")
	}
	if stored == nil || config.ClientID != stored.ClientID || config.LWAEndpoint != stored.LWAEndpoint || config.Region != stored.Region {
		config.Generation = store.NewID()
	}
	if stored != nil && config.ClientID != stored.ClientID {
		config.Previous, config.PreviousUntil = store.ClientSecret{}, time.Time{} // of another client id
		config.Secret.Proven = false
		if !change.Force {
			return config, i.refuseWithAccounts(ctx)
		}
	}
	return config, nil
}

// refuseWithAccounts fails if there are accounts: their refresh tokens belong
// to the client id for which they were issued.
func (i *Issuer) refuseWithAccounts(ctx context.Context) error {
	names, err := i.store.AccountNames(ctx)
	if err == nil && len(names) > 0 {
		return fault.BadField("client_id", "cannot change while the mount has accounts (%d): a refresh token belongs to the client id it was issued for, and Amazon will refuse all of them; mount a second engine for another application, or write force=true if you mean it", len(names))
	}
	return err
}

// replaceSecret makes secret the current one and keeps the one before it for as
// long as Amazon does. The same secret again changes nothing, so that its age
// is not forgotten.
func (i *Issuer) replaceSecret(config *store.Config, secret credential.Secret) {
	now := i.now().UTC()
	switch {
	case secret.Equal(config.Secret.Value):
		return
	case secret.Equal(config.Previous.Value): // back to the one before
		config.Secret, config.Previous = config.Previous, config.Secret
		config.PreviousUntil = now.Add(secretOverlap)
		return
	case i.isKnownToWork(config) || config.UsablePrevious(now).IsZero():
		// Otherwise the one before stays: a secret that nobody ever saw working
		// must not push out the one that works.
		config.Previous, config.PreviousUntil = config.Secret, now.Add(secretOverlap)
	}
	config.Secret = store.ClientSecret{Value: secret, SetAt: now, ExpiresAt: now.Add(SecretLifetime)}
}

// isKnownToWork reports whether Amazon has accepted the current client secret.
func (i *Issuer) isKnownToWork(config *store.Config) bool {
	return config.Secret.Proven || i.workedLast(config.Secret.Value)
}

// proveConfig asks Amazon for a grantless token with the new client secret
// alone. It fails where Amazon refuses the client or the request was given up.
func (i *Issuer) proveConfig(ctx context.Context, config *store.Config) (unproven *fault.Error, err error) {
	limits := i.newSettings(config)
	if inForce := i.settings.Load(); inForce != nil {
		limits.maxExchanges = inForce.maxExchanges
	}
	release, err := i.admit(ctx, limits)
	switch {
	case isKind(err, fault.Canceled):
		return nil, err
	case err != nil:
		return fault.Of(err), nil
	}
	defer release()
	exchange, cancel := context.WithTimeout(ctx, limits.timeout)
	defer cancel()
	app := lwa.Application{Endpoint: config.LWAEndpoint, ClientID: config.ClientID, ClientSecret: config.Secret.Value}
	if _, err = i.lwa.ClientCredentials(exchange, app, lwa.ScopeNotifications); err == nil {
		config.Secret.Proven = true
		return nil, nil
	}
	if isKind(err, fault.InvalidClient) {
		refused := *fault.Of(err)
		refused.Field = "client_secret"
		return nil, &refused
	}
	if isKind(err, fault.Canceled) {
		return nil, err
	}
	return fault.Of(err), nil
}
