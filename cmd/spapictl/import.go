// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/importing"
)

const importHelp = `Reads the files in which applications keep refresh tokens, and writes the
application and its accounts into Vault:

  .env             AMAZON_…, LWA_…, SP_API_REFRESH_TOKEN, SELLING_PARTNER_APP_…;
                   a suffix names the account: SP_API_REFRESH_TOKEN_ACME
  credentials.yml  of python-amazon-sp-api
  CSV              with a header: account,refresh_token and, where wanted,
                   region,selling_partner_id,marketplace_ids,kind,metadata,…
  JSON lines       objects with the columns of CSV as members

"-" reads standard input, and needs --type.

Accounts that exist are left as they are, so that an import which was interrupted
can be run again. A config that exists is left as it is, too; if it is of another
application, nothing is written. A line that is rejected stops no other, and is
listed at the end. No credential is printed.`

// importFlags are the flags of import.
type importFlags struct {
	kind, account, clientID, region, format string
	parallel                                int
	update, ignoreUnknown, fromEnv, dryRun  bool
}

func newImportCommand(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Write the accounts of .env, credentials.yml, CSV and JSON files into Vault",
		Long:  importHelp,
		Example: `  spapictl import --dry-run sellers.csv
  spapictl import app.env sellers.csv
  spapictl import --account acme --region eu .env`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := f.check(files); err != nil {
				return err
			}
			return a.importFiles(cmd.Context(), f, files)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "type", "", "type of the files: "+strings.Join(accountfile.Types(), ", ")+" (default: by name and content)")
	flags.StringVar(&f.account, "account", "", "name of the account, where the file names none")
	flags.StringVar(&f.clientID, "client-id", "", "which application to import, where the files name several")
	flags.StringVar(&f.region, "region", "", "region of a config that is written, and of accounts that name none: "+sellingpartner.RegionNames())
	flags.IntVar(&f.parallel, "parallel", 8, fmt.Sprintf("accounts written at once, 1 to %d", importing.MaxParallel))
	flags.BoolVar(&f.update, "update", false, "write accounts that exist, too")
	flags.BoolVar(&f.ignoreUnknown, "ignore-unknown", false, "leave out columns, members and keys that are not known")
	flags.BoolVar(&f.fromEnv, "from-env", false, "read the variables of .env files from the environment")
	flags.BoolVar(&f.dryRun, "dry-run", false, "read the files and what Vault has, and write nothing")
	flags.StringVar(&f.format, "format", "text", "of the summary: text or json")
	return cmd
}

func (f *importFlags) check(files []string) error {
	stdin := 0
	for _, file := range files {
		if looksPasted(file) {
			return usagef("an argument looks like a credential or a URL; import takes names of files")
		}
		if file == "-" {
			stdin++
		}
	}
	switch {
	case len(files) == 0 && !f.fromEnv:
		return usagef("name a file, or use --from-env")
	case stdin > 1:
		return usagef("standard input can be read once only")
	case stdin == 1 && f.kind == "":
		return usagef("standard input needs --type: %s", strings.Join(accountfile.Types(), ", "))
	case f.kind != "" && !slices.Contains(accountfile.Types(), f.kind):
		return usagef("--type must be one of %s", strings.Join(accountfile.Types(), ", "))
	case f.region != "" && !sellingpartner.Region(f.region).Valid():
		return usagef("--region must be one of %s", sellingpartner.RegionNames())
	case f.parallel < 1 || f.parallel > importing.MaxParallel:
		return usagef("--parallel must be from 1 to %d", importing.MaxParallel)
	case f.format != "text" && f.format != "json":
		return usagef("--format must be text or json")
	}
	if f.account != "" {
		if err := accountfile.CheckName(f.account); err != nil {
			return usagef("--account: %s", err)
		}
	}
	return nil
}

func (a *app) importFiles(ctx context.Context, f importFlags, files []string) error {
	vault, err := a.open()
	if err != nil {
		return err
	}
	opts := importing.Options{
		ClientID: f.clientID, Region: f.region, Parallel: f.parallel, Update: f.update, DryRun: f.dryRun,
		Order: append([]string{"-"}, files...), Pause: a.pause,
	}
	if err := a.openSources(ctx, &opts, f, files); err != nil {
		return err
	}
	total := 0
	for _, source := range opts.Sources {
		total += source.Accounts
		for _, note := range source.Notes {
			fmt.Fprintf(a.errOut, "note: %s: %s\n", note.Place, note.Text)
		}
		defer source.Close() //nolint:errcheck // only read
	}
	if _, ok := terminal(a.errOut); ok {
		opts.Progress = importing.Bar(a.errOut, total)
	} else {
		opts.Progress = importing.Lines(a.errOut)
	}
	summary := importing.Run(ctx, vault, opts)
	opts.Progress.Close()
	return a.reportImport(summary, f.format, vault.Path())
}

// openSources opens all sources. What cannot be opened is reported with the rest.
func (a *app) openSources(ctx context.Context, opts *importing.Options, f importFlags, files []string) error {
	how := accountfile.Options{Type: accountfile.Type(f.kind), Account: f.account, IgnoreUnknown: f.ignoreUnknown}
	add := func(source *accountfile.Source, problem *accountfile.Problem) {
		if problem != nil {
			opts.Broken = append(opts.Broken, problem)
			return
		}
		opts.Sources = append(opts.Sources, source)
	}
	if f.fromEnv {
		add(accountfile.Environment(os.Environ(), how))
	}
	for _, file := range files {
		// Standard input and pipes may have nothing to say yet, and never have.
		opened := make(chan func(), 1)
		go func() {
			source, problem := a.openSource(file, how)
			opened <- func() { add(source, problem) }
		}()
		select {
		case done := <-opened:
			done()
		case <-ctx.Done():
			return fmt.Errorf("interrupted while opening %s: nothing was written", accountfile.Place{File: file})
		}
	}
	return nil
}

func (a *app) openSource(file string, how accountfile.Options) (*accountfile.Source, *accountfile.Problem) {
	if file != "-" {
		return accountfile.Open(file, how)
	}
	source, problem := accountfile.Read(file, a.in, how)
	if source != nil {
		source.Endless = true
	}
	return source, problem
}

func (a *app) reportImport(summary *importing.Summary, format, mountPath string) error {
	if err := a.printImport(summary, format); err != nil {
		return fmt.Errorf("the summary cannot be written: %w", err)
	}
	summary.PrintLeftovers(a.errOut, mountPath)
	if !summary.OK() {
		return exitError(1)
	}
	return nil
}

// printImport writes the summary.
func (a *app) printImport(summary *importing.Summary, format string) error {
	if format != "json" {
		return summary.Print(a.out)
	}
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(summary)
}

// looksPasted recognizes what should not be repeated, as the name of a file would
// be: credentials, and URLs.
func looksPasted(arg string) bool {
	plain, err := url.QueryUnescape(arg)
	if err != nil {
		plain = arg
	}
	return accountfile.LooksSecret(plain) || pastedShape.MatchString(arg)
}

var pastedShape = regexp.MustCompile(`://|spapi_oauth_code|^hv[sbr]\.`)
