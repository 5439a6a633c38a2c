// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// rootHelp is what `spapictl` alone says.
const rootHelp = `spapictl brings selling accounts into a mount of the SP-API secrets engine, and
shows how they are.

It finds Vault as the vault command does: VAULT_ADDR, VAULT_TOKEN (or the token
that "vault login" stored), VAULT_NAMESPACE, VAULT_CACERT and their sisters. Flags may
be written with one dash, as there.

Exit status: 0 all went well, 1 something failed, 2 the command line is wrong.`

// execute runs the command that args name, and returns the exit status.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRootCommand(a)
	root.SetArgs(twoDashes(args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	return a.report(root.ExecuteContext(ctx))
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "spapictl",
		Short:         "Bring selling accounts into the SP-API secrets engine",
		Long:          rootHelp,
		Version:       version + " (" + commit + ")",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			a.started = true
		},
	}
	path := root.PersistentFlags().String("mount", "spapi", "where the engine is mounted")
	if a.open == nil {
		a.open = func() (*mount.Mount, error) { return mount.Open(*path) }
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelpCommand(root))
	root.AddCommand(newAuthorizeCommand(a), newImportCommand(a), newStatusCommand(a))
	return root
}

// noSuchCommand does not repeat the word: it may be a redirected URL with an
// authorization code that was pasted too late.
func noSuchCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("there is no such command")
	}
	return nil
}

// newHelpCommand is cobra's own but for words that are no commands, which that
// repeats.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no such command")
			}
			return found.Help()
		},
	}
}

// twoDashes takes -mount=x as --mount=x, since the vault command is used that way.
func twoDashes(args []string) []string {
	oneDash := regexp.MustCompile(`^-[a-z][a-z-]+(=|$)`)
	rewritten := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(rewritten, args[i:]...)
		}
		if oneDash.MatchString(arg) && !strings.HasPrefix(arg, "--") {
			arg = "-" + arg
		}
		rewritten = append(rewritten, arg)
	}
	return rewritten
}
