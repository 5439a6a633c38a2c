// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/overview"
)

const statusHelp = `List the accounts of the mount: those that need somebody first, then the rest. They
need somebody if Amazon refuses their authorization, if it has expired or expires within
30 days, or if it has not been proven yet.`

const statusExamples = `  spapictl status
  spapictl status --expires-before 60d
  spapictl status --status reauthorization_required --format json`

func newStatusCommand(a *app) *cobra.Command {
	var status, expiresBefore, format string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the accounts, those that need somebody first",
		Long:    statusHelp,
		Example: statusExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("status takes flags only")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usagef("--format is table or json")
			}
			filter := overview.Filter{Status: status}
			var err error
			if filter.ExpiresBefore, err = parseDate(expiresBefore, a.now()); err != nil {
				return err
			}
			return a.status(cmd.Context(), filter, format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only accounts that are active, unverified, reauthorization_required or disabled")
	flags.StringVar(&expiresBefore, "expires-before", "", "only accounts whose authorization ends within 30d or 12h, or before a time such as 2027-01-31T00:00:00Z")
	flags.StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) status(ctx context.Context, filter overview.Filter, format string) error {
	opened, err := a.open()
	if err != nil {
		return err
	}
	accounts, warnings, err := overview.Read(ctx, opened, filter, a.now())
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintf(a.errOut, "spapictl: warning: %s\n", warning)
	}
	if format == "json" {
		return overview.WriteJSON(a.out, accounts)
	}
	return overview.WriteTable(a.out, accounts)
}

// parseDate takes days or a duration from now, or a time. Nothing is the zero time.
func parseDate(text string, now time.Time) (time.Time, error) {
	const farthest = 100 * 365 // days: what a time in RFC 3339 can still be
	if text == "" {
		return time.Time{}, nil
	}
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.Atoi(number)
		if err == nil && days >= 0 && days <= farthest {
			return now.AddDate(0, 0, days), nil
		}
	} else if duration, err := time.ParseDuration(text); err == nil && duration >= 0 {
		return now.Add(duration), nil
	} else if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, usagef("--expires-before takes days (30d), a duration (12h) or a time in RFC 3339 (2027-01-31T00:00:00Z)")
}
