// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// application sees to it that the mount has the application of the sources. An
// application that the mount has already is left as it is.
func (r *run) application(ctx context.Context, config *mount.Answer) error {
	if config != nil {
		return r.existing(config)
	}
	app, secret, err := r.only()
	if err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	r.clientID = app.ClientID
	if r.DryRun {
		r.summary.Config = "would be written for " + app.String()
		return nil
	}
	data := map[string]any{"client_id": app.ClientID, "client_secret": secret.Reveal()}
	if r.Region != "" {
		data["region"] = r.Region
	}
	answer, err := r.repeat(ctx, ctx, 0, func(ctx context.Context) (*mount.Answer, error) { return r.vault.Write(ctx, "config", data, secret) })
	if err != nil {
		return fmt.Errorf("no account was written: writing the config with the client secret of %s: %w", app.Place, err)
	}
	r.summary.Config = "written for " + app.String()
	if r.Update {
		r.region = r.Region
	}
	r.configured = len(answer.Warnings) == 0
	for _, warning := range answer.Warnings {
		r.summary.Warnings = append(r.summary.Warnings, mount.Scrub(warning, secret))
	}
	return nil
}

// config reads the config; nil if there is none. The mount itself may be missing,
// too, which the list of accounts will tell.
func (r *run) config(ctx context.Context) (*mount.Answer, error) {
	config, err := r.vault.Read(ctx, "config") // not repeated: the address may be wrong
	if failed := (*mount.Error)(nil); errors.As(err, &failed) && failed.Status == http.StatusNotFound {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	return config, nil
}

func (r *run) existing(config *mount.Answer) error {
	r.clientID = config.Text("client_id")
	apps := r.apps()
	if r.ClientID != "" && r.ClientID != r.clientID || len(apps) > 0 && !slices.ContainsFunc(apps, func(a *accountfile.Application) bool { return a.ClientID == r.clientID }) {
		named := "--client-id names another"
		if len(apps) > 0 {
			named = "the sources name " + places(apps)
		}
		return fmt.Errorf("nothing was written: %s has the application %s, and %s; each application needs a mount of its own, which --mount names", r.vault.Path(), r.clientID, named)
	}
	r.summary.Config = "left as it is, for " + r.clientID
	// An account that exists may have another region than the config.
	if r.Update || r.Region != config.Text("region") {
		r.region = r.Region
	}
	for _, app := range apps {
		if app.ClientID == r.clientID && !app.Secret.IsZero() {
			r.summary.uncompared = append(r.summary.uncompared, app.Place)
		}
	}
	return nil
}

// apps are the applications of all sources.
func (r *run) apps() []*accountfile.Application {
	var all []*accountfile.Application
	for _, source := range r.Sources {
		all = append(all, source.Applications...)
	}
	return all
}

// only is the one application to write, with its one client secret.
func (r *run) only() (*accountfile.Application, credential.Secret, error) {
	var apps []*accountfile.Application
	for _, app := range r.apps() {
		if r.ClientID == "" || app.ClientID == r.ClientID {
			apps = append(apps, app)
		}
	}
	if len(apps) == 0 {
		return nil, credential.Secret{}, fmt.Errorf("%s has no config, and the sources name no application that could be written; write it with: vault write %s/config client_id=… client_secret=@file", r.vault.Path(), r.vault.Path())
	}
	if slices.ContainsFunc(apps, func(a *accountfile.Application) bool { return a.ClientID != apps[0].ClientID }) {
		return nil, credential.Secret{}, fmt.Errorf("the sources name several applications: %s; each needs a mount of its own, and --client-id says which one is meant", places(apps))
	}
	var secret *accountfile.Application
	for _, app := range apps {
		switch {
		case app.Secret.IsZero():
		case secret == nil:
			secret = app
		case !secret.Secret.Equal(app.Secret):
			return nil, credential.Secret{}, fmt.Errorf("the sources give two client secrets for %s: for %s and %s", app, secret.Place, app.Place)
		}
	}
	if secret == nil {
		return nil, credential.Secret{}, fmt.Errorf("%s has no config, and there is no client secret for the client id of %s", r.vault.Path(), apps[0].Place)
	}
	return secret, secret.Secret, nil
}

// places names each application once, with where it stands.
func places(apps []*accountfile.Application) string {
	var named, ids []string
	for _, app := range apps {
		if !slices.Contains(ids, app.ClientID) {
			ids = append(ids, app.ClientID)
			named = append(named, fmt.Sprintf("%s (%s)", app, app.Place))
		}
	}
	return strings.Join(named, ", ")
}

// foreign says why an account belongs to another application.
func (r *run) foreign(account *accountfile.Account) string {
	if app := account.Application; app != nil && app.ClientID != r.clientID {
		return fmt.Sprintf("is of another application, %s (%s), which needs a mount of its own", app, app.Place)
	}
	return ""
}
