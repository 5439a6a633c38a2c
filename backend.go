// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package spapi is a Vault secrets engine for the Amazon Selling Partner API.
// It keeps an application's Login with Amazon credentials and one refresh token
// per selling account, and hands out only short-lived access tokens.
package spapi

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/endpoint"
	"vault-plugin-secrets-spapi/backend/issuer"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
	"vault-plugin-secrets-spapi/backend/transport"
)

// operationPrefix begins the names of this engine's operations in OpenAPI.
const operationPrefix = "spapi"

const backendHelp = `
The spapi secrets engine hands out access tokens for the Amazon Selling Partner
API (SP-API). One mount is one application. It keeps the application's Login
with Amazon (LWA) client secret and one refresh token per authorized selling
account; neither ever comes out again.

After the application was written to "config" and an account to
"accounts/<account>", read "token/<account>".
`

// Options are what a plugin binary tells the engine about itself. The zero value
// serves.
type Options struct {
	Version string // with a leading v, as the plugin is registered
	Commit  string
	// AllowedEndpoints is a comma separated list of endpoints that may receive
	// credentials beside Amazon's; the environment's SPAPI_ALLOWED_ENDPOINTS if
	// nil.
	AllowedEndpoints *string
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// RetryWait is the wait before a failed exchange is repeated; see
	// transport.Options.
	RetryWait time.Duration
}

// backend is one mount.
type backend struct {
	*framework.Backend

	opts   Options
	policy endpoint.Policy
	store  *store.Store
	lwa    *lwa.Client
	spapi  *sellingpartner.Client
	issuer *issuer.Issuer
	// answersReads is set where this node answers reads of tokens itself: a
	// performance standby forwards them. It is learned once, in initialize.
	answersReads atomic.Bool
}

// Factory returns the function with which Vault makes the backend of a mount.
// Nothing is read from or written to storage there.
func Factory(opts Options) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		if conf == nil {
			return nil, errors.New("the configuration of the backend is missing")
		}
		b := newBackend(opts, conf)
		if err := b.Setup(ctx, conf); err != nil {
			return nil, err
		}
		return b, nil
	}
}

func newBackend(opts Options, conf *logical.BackendConfig) *backend {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	allowed := os.Getenv(endpoint.EnvVar)
	if opts.AllowedEndpoints != nil {
		allowed = *opts.AllowedEndpoints
	}
	b := &backend{opts: opts, store: store.New(conf.StorageView)}
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: opts.Version,
		PathsSpecial:   &logical.Paths{SealWrapStorage: store.SealWrapped()},
		Secrets:        []*framework.Secret{b.accessTokenSecret(), b.restrictedTokenSecret()},
		InitializeFunc: b.initialize,
		Invalidate:     func(_ context.Context, key string) { b.issuer.Invalidate(key) },
		PeriodicFunc:   b.periodic,
		Clean:          b.clean,
	}
	b.Paths = framework.PathAppend(b.configPaths(), b.accountPaths(), b.authorizePaths(), b.migratePaths(), b.tokenPaths(), b.grantlessPaths(),
		b.rolePaths(), b.restrictedPaths(), b.lwaPaths(), b.infoPaths())

	policy, errs := endpoint.ParsePolicy(allowed)
	for _, err := range errs {
		conf.Logger.Error("an allowed endpoint cannot be used", "error", err)
	}
	b.policy = policy
	http := transport.Options{
		RetryWait: opts.RetryWait,
		UserAgent: "vault-plugin-secrets-spapi/" + strings.TrimPrefix(opts.Version, "v") + " (Language=" + runtime.Version() + ")",
	}
	b.lwa = lwa.New(lwa.Options{Permit: policy.CheckLWA, Now: opts.Now, HTTP: http})
	b.spapi = sellingpartner.New(sellingpartner.Options{Permit: policy.CheckSellingPartner, HTTP: http})
	b.issuer = issuer.New(issuer.Options{
		Store: b.store, LWA: b.lwa, SellingPartner: b.spapi, PermitEndpoint: policy.CheckSellingPartner, Logger: conf.Logger, Now: opts.Now,
	})
	return b
}

// initialize runs after a mount, an unseal or a reload. It scans nothing: a
// mount with many accounts is up as soon as one without any.
func (b *backend) initialize(context.Context, *logical.InitializationRequest) error {
	b.answersReads.Store(!b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby))
	if allowed := b.policy.Allowed(); len(allowed) > 0 {
		b.Logger().Warn("credentials may be sent to other endpoints than Amazon's, as the registration of this plugin allows", "endpoints", allowed)
	}
	return nil
}

// periodic runs about once a minute, and must be quick.
func (b *backend) periodic(ctx context.Context, _ *logical.Request) error {
	b.issuer.Tidy()
	b.issuer.TidyAuthorizations(ctx)
	return nil
}

// clean runs when the mount is disabled, Vault is sealed or the plugin reloaded.
func (b *backend) clean(context.Context) {
	b.issuer.Close()
	b.lwa.Close()
	b.spapi.Close()
}
