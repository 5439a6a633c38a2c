// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// WriteJSON writes the accounts for machines.
func WriteJSON(out io.Writer, accounts []Account) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(accounts)
}

// WriteTable writes the accounts for people, and a line that counts them.
func WriteTable(out io.Writer, accounts []Account) error {
	var text strings.Builder
	if len(accounts) > 0 {
		table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "ACCOUNT\tREGION\tSTATUS\tSELLING PARTNER\tDAYS LEFT")
		for _, account := range accounts {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", plain(account.Name), plain(account.Region), plain(account.Status),
				plain(account.SellingPartnerID), daysLeft(account))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(&text)
	}
	fmt.Fprintln(&text, summary(accounts))
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func daysLeft(account Account) string {
	switch {
	case account.DaysLeft == nil:
		return ""
	case *account.DaysLeft < 0:
		return "expired"
	}
	return strconv.Itoa(*account.DaysLeft)
}

// summary counts each account once, under what is most urgent about it.
func summary(accounts []Account) string {
	counts := make(map[urgency]int)
	for _, account := range accounts {
		counts[account.urgency()]++
	}
	var parts []string
	for _, kind := range []struct {
		urgency urgency
		text    string
	}{
		{reauthorize, "to be authorized again"},
		{expired, "expired"},
		{expiring, fmt.Sprintf("with less than %d days left", soon)},
		{unverified, "unverified"},
		{unknown, "of unknown status"},
		{disabled, "disabled"},
		{fine, "active"},
	} {
		if count := counts[kind.urgency]; count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, kind.text))
		}
	}
	switch len(accounts) {
	case 0:
		return "No accounts."
	case 1:
		return "1 account: " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%d accounts: %s", len(accounts), strings.Join(parts, ", "))
}

// plain keeps whatever Vault answers from steering the terminal.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}
