// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/lwa"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

// Migration makes an account of an MWS authorization.
type Migration struct {
	Account string
	Region  string // empty: the account's or the config's
	MWS     sellingpartner.MWSAuthorization
}

// Migrate exchanges an MWS authorization for a refresh token and stores the
// account. Amazon has removed the operation that this needs: fault.Removed then.
func (i *Issuer) Migrate(ctx context.Context, m Migration) (*AccountInfo, error) {
	leave, err := i.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	config, settings, err := i.readConfig(ctx)
	if err != nil {
		return nil, err
	}
	a := &store.Authorization{Account: m.Account, Region: m.Region, SellingPartnerID: m.MWS.SellingPartnerID, Reauthorize: true}
	stored, err := i.store.Account(ctx, m.Account)
	if err != nil {
		return nil, err
	}
	if err := mayAuthorize(a, stored, settings); err != nil {
		return nil, err
	}
	region := sellingpartner.Region(m.Region)
	if stored != nil {
		region = settings.regionOf(&stored.Profile)
	} else if region == "" {
		region = settings.region
	}
	code, err := i.migrationCode(ctx, config, settings, region, m.MWS)
	var answer lwa.Token
	if err == nil {
		ctx = context.WithoutCancel(ctx) // a code works once
		answer, err = i.exchangeCode(ctx, config, settings, code, "")
	}
	if err != nil {
		failed := fault.Of(err).OfAccount(m.Account)
		i.logUnauthorized(failed)
		return nil, failed
	}
	return i.storeAuthorized(ctx, a, answer, config.ClientID, settings)
}

// migrationCode asks for the authorization code of an MWS authorization.
func (i *Issuer) migrationCode(ctx context.Context, config *store.Config, s *settings, region sellingpartner.Region, mws sellingpartner.MWSAuthorization) (code credential.Secret, err error) {
	var grantless lwa.Token
	err = i.call(ctx, s, func(ctx context.Context) (err error) {
		grantless, err = i.withSecrets(config, func(app lwa.Application) (lwa.Token, error) {
			return i.lwa.ClientCredentials(ctx, app, lwa.ScopeMigration)
		})
		return err
	})
	if isKind(err, fault.InvalidScope) {
		return credential.Secret{}, sellingpartner.MigrationRemoved(fault.Of(err))
	}
	if err != nil {
		return credential.Secret{}, err
	}
	err = i.call(ctx, s, func(ctx context.Context) (err error) {
		code, err = i.spapi.AuthorizationCode(ctx, s.endpointOf(region), grantless.AccessToken, mws)
		return err
	})
	return code, err
}
