// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

const authorizeHelp = `Take a selling partner through Amazon's consent, and have Vault store the
authorization as ACCOUNT.

Without --listen it prints a link and asks for the address to which Amazon sends the
browser after the consent. The input is hidden, because the address holds an
authorization code. An address that was wrapped over several lines may be pasted so.

With --listen it is the application's redirect URI itself: it serves HTTPS, takes
Amazon's redirect, and shows the selling partner what came of it. What stands before it
on the internet has to pass the redirect URI's path, and all beneath it, on to it.

With --appstore, too, it also serves the application's log-in URI, on the same host, for
authorizations that begin in Amazon's Appstore. Everybody can open that address, so it
first prints an invitation for the selling partner. One browser can take it; no other is
let in at the log-in URI and the redirect URI.

No refresh token, access token or code is shown, here or in the browser.`

const authorizeExamples = `  spapictl authorize acme --marketplace DE
  spapictl authorize acme --marketplace DE --listen :8443 --tls-cert tls.crt --tls-key tls.key
  spapictl authorize acme --appstore --selling-partner-id A1EXAMPLE2345 \
      --listen :8443 --tls-cert tls.crt --tls-key tls.key`

// authorization is a run of the command.
type authorization struct {
	*app
	account                              string
	marketplace, kind, region            string
	redirectURI, sellingPartner          string
	stateTTL                             string
	marketplaceIDs, metadata             []string
	draft, reauthorize, force, noBrowser bool
	appstore                             bool
	listen, certFile, keyFile, loginPath string
}

func newAuthorizeCommand(a *app) *cobra.Command {
	run := &authorization{app: a}
	cmd := &cobra.Command{
		Use:     "authorize ACCOUNT",
		Short:   "Have a selling partner authorize the application",
		Long:    authorizeHelp,
		Example: authorizeExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("authorize takes the name of one account")
			}
			if err := accountfile.CheckName(args[0]); err != nil {
				return usagef("%s", err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			run.account = args[0]
			return run.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&run.marketplace, "marketplace", "", "country code, such as DE, or id of the marketplace in whose central the partner consents")
	flags.StringVar(&run.kind, "kind", "", "seller or vendor (default: the account's, or seller)")
	flags.BoolVar(&run.draft, "draft", false, "the application is a draft that was not published yet")
	flags.StringVar(&run.region, "region", "", "region of the account: na, eu or fe (default: the marketplace's; with --appstore the account's or the config's)")
	flags.StringVar(&run.redirectURI, "redirect-uri", "", "where Amazon sends the browser after the consent, and with --appstore the host of the invitation (default: the mount's config)")
	flags.StringSliceVar(&run.marketplaceIDs, "marketplace-ids", nil, "ids to store with the account, separated by commas")
	flags.StringArrayVar(&run.metadata, "metadata", nil, "`key=value` to store with the account (repeatable)")
	flags.StringVar(&run.sellingPartner, "selling-partner-id", "", "the selling partner who is meant, so that an honest one does not connect another account; it is what the browser says, and proves nothing; required with --appstore")
	flags.BoolVar(&run.reauthorize, "reauthorize", false, "the account exists, and gets a new authorization; its settings stay")
	flags.BoolVar(&run.force, "force", false, "with --reauthorize: also if the account is of another selling partner or region")
	flags.StringVar(&run.stateTTL, "state-ttl", "", "how long the link can be used (default 15m)")
	flags.BoolVar(&run.noBrowser, "no-browser", false, "do not open the link in a browser")
	flags.StringVar(&run.listen, "listen", "", "receive Amazon's redirect at this `address`, such as :8443")
	flags.StringVar(&run.certFile, "tls-cert", "", "`file` with the certificate of --listen, PEM")
	flags.StringVar(&run.keyFile, "tls-key", "", "`file` with its key, PEM")
	flags.BoolVar(&run.appstore, "appstore", false, "with --listen: the authorization begins in Amazon's Appstore")
	flags.StringVar(&run.loginPath, "login-path", "/login", "with --appstore: path of the application's log-in URI, which is on the host of the redirect URI")
	return cmd
}

func (r *authorization) run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	fields, err := r.fields()
	if err != nil {
		return err
	}
	opened, err := r.open()
	if err != nil {
		return err
	}
	if r.listen != "" {
		return r.receive(ctx, opened, fields)
	}
	return r.paste(ctx, consent.Flow{Mount: opened}, fields)
}

// check refuses flags that make no sense together.
func (r *authorization) check() error {
	switch {
	case r.appstore && r.listen == "":
		return usagef("--appstore needs --listen: Amazon's Appstore opens the log-in URI")
	case r.appstore && r.sellingPartner == "":
		return usagef("--appstore needs --selling-partner-id: it keeps the selling partner from connecting another account by mistake")
	case r.appstore && !path.IsAbs(r.loginPath):
		return usagef("--login-path must begin with a slash")
	case r.appstore && r.marketplace != "":
		return usagef("--marketplace has no meaning with --appstore: the selling partner is at Amazon already; --region says where the account is")
	case !r.appstore && r.marketplace == "":
		return usagef("--marketplace is needed: the country code or id of a marketplace, such as DE")
	case r.listen != "" && (r.certFile == "" || r.keyFile == ""):
		return usagef("--listen needs --tls-cert and --tls-key: Amazon redirects to https only")
	case r.listen == "" && (r.certFile != "" || r.keyFile != ""):
		return usagef("--tls-cert and --tls-key belong to --listen")
	}
	return nil
}

// fields are those of authorize/url. What was not asked for is left out, since a
// policy may forbid that a field is there at all.
func (r *authorization) fields() (map[string]any, error) {
	fields := map[string]any{"account": r.account}
	for name, value := range map[string]string{
		"marketplace": r.marketplace, "kind": r.kind, "region": r.region, "redirect_uri": r.redirectURI,
		"selling_partner_id": r.sellingPartner, "state_ttl": r.stateTTL,
	} {
		if value != "" {
			fields[name] = value
		}
	}
	for name, value := range map[string]bool{"draft": r.draft, "reauthorize": r.reauthorize, "force": r.force} {
		if value {
			fields[name] = true
		}
	}
	if len(r.marketplaceIDs) > 0 {
		fields["marketplace_ids"] = r.marketplaceIDs
	}
	if len(r.metadata) > 0 {
		pairs := make(map[string]string, len(r.metadata))
		for _, pair := range r.metadata {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				return nil, usagef("--metadata takes key=value")
			}
			pairs[key] = value
		}
		fields["metadata"] = pairs
	}
	return fields, nil
}

// tellLink prints the link, and what to do with it on the other stream, so that the
// link can be taken from standard output alone.
func (r *authorization) tellLink(link consent.Link) (forget func(), err error) {
	fmt.Fprintf(r.errOut, "Have the selling partner open this link by %s, sign in, and give consent:\n", link.ExpiresAt.UTC().Format("15:04:05 MST"))
	if _, err := fmt.Fprintln(r.out, link.URL); err != nil {
		return nil, fmt.Errorf("the link could not be printed: %w", err)
	}
	if _, ok := terminal(r.out); !ok || r.noBrowser {
		return func() {}, nil
	}
	return openInBrowser(link.URL), nil
}

// tellDone prints what Vault stored.
func (r *authorization) tellDone(done consent.Authorization) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Account %s is authorized.\n", done.Account)
	for _, line := range []struct{ name, value string }{
		{"region", done.Region},
		{"selling partner", done.SellingPartnerID},
		{"authorized at", done.AuthorizedAt},
		{"authorization expires at", done.ExpiresAt},
	} {
		if line.value != "" {
			fmt.Fprintf(&text, "  %-25s %s\n", line.name, line.value)
		}
	}
	if _, err := io.WriteString(r.out, text.String()); err != nil {
		return fmt.Errorf("account %s is authorized, but that could not be printed: %w", done.Account, err)
	}
	return nil
}
