// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

// tally is what became of the accounts of one source.
type tally struct {
	source   *accountfile.Source
	outcomes map[Outcome]int
	accounts []named  // that Vault has
	secrets  []string // variables or keys of client secrets that were stored in this run
}

// named is an account without its credential: a long file is not kept in memory.
type named struct {
	name, token string
	line        int
}

// tally begins to count for a source.
func (r *run) tally(source *accountfile.Source) *tally {
	t := &tally{source: source, outcomes: map[Outcome]int{}}
	for _, app := range source.Applications {
		if r.configured && app.ClientID == r.clientID {
			t.secrets = append(t.secrets, app.SecretNames...)
		}
	}
	r.summary.tallies = append(r.summary.tallies, t)
	return t
}

func (t *tally) add(outcome Outcome, account *accountfile.Account) {
	t.outcomes[outcome]++
	switch outcome { //nolint:exhaustive // the others are not in Vault
	case Stored, Unverified, AlreadyThere, Duplicate:
		t.accounts = append(t.accounts, named{account.Name, account.TokenName, account.Place.Line})
	}
}

func (t *tally) total() int {
	total := 0
	for _, n := range t.outcomes {
		total += n
	}
	return total
}

// shownNames bounds a list of variables or keys.
const shownNames = 20

// PrintLeftovers says what the files still hold, and what can be removed from
// them. A file may be the only place of a credential: it can go only if all that
// is in it was stored in this run, and Amazon took it.
func (s *Summary) PrintLeftovers(w io.Writer, mountPath string) {
	if s.DryRun {
		return
	}
	if n := s.Outcomes[AlreadyThere]; n > 0 {
		fmt.Fprintf(w, "%s already there; the refresh tokens of the files were not compared with theirs: --update writes them\n", accounts(n, "was", "were"))
	}
	if n := s.Outcomes[Unverified]; n > 0 {
		fmt.Fprintf(w, "%s stored without Amazon having confirmed the refresh token; to verify, read a token (vault read %s/token/ACCOUNT), or import again with --update\n", accounts(n, "was", "were"), mountPath)
	}
	for _, place := range s.uncompared {
		fmt.Fprintf(w, "The config was left as it is; the client secret of %s was not compared with it\n", place)
	}
	var removable []string
	for _, t := range s.tallies {
		if s.removable(t) {
			removable = append(removable, t.source.Name)
			continue
		}
		s.printLeftover(w, t)
	}
	if len(removable) > 0 {
		fmt.Fprintf(w, "These files still hold the credentials, all of which are in Vault and verified now. Remove them once nothing reads them any more: shred -u --%s\n", quoted(removable))
	}
}

func accounts(n int, one, many string) string {
	if n == 1 {
		return "1 account " + one
	}
	return fmt.Sprintf("%d accounts %s", n, many)
}

// removable reports whether the file holds nothing but what was stored in this run
// and verified.
func (s *Summary) removable(t *tally) bool {
	unusual := accountfile.Place{File: t.source.Name}.String() != t.source.Name
	return !unusual && t.source.OnlyAccounts() && s.allVerified(t)
}

func (s *Summary) allVerified(t *tally) bool {
	return t.total() > 0 && len(s.verified(t)) == t.total()
}

// verified are the accounts of a source that were stored in this run and verified,
// also those that were repeated with the same values, in the order of the file.
func (s *Summary) verified(t *tally) []named {
	verified := slices.DeleteFunc(slices.Clone(t.accounts), func(a named) bool { return s.became[a.name] != Stored })
	slices.SortFunc(verified, func(a, b named) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.token, b.token)) })
	return verified
}

// printLeftover says what to do about a file that cannot be removed as a whole.
func (s *Summary) printLeftover(w io.Writer, t *tally) {
	if len(t.accounts)+len(t.secrets) == 0 || !t.source.Stays {
		return
	}
	names := slices.Clone(t.secrets)
	for _, account := range s.verified(t) {
		if account.token != "" {
			names = append(names, account.token)
		}
	}
	names = unique(names)
	file := accountfile.Place{File: t.source.Name}
	switch {
	case len(names) > 0:
	case s.allVerified(t):
		fmt.Fprintf(w, "%s still holds the credentials, and may hold more: look before you remove it\n", file)
		return
	default:
		fmt.Fprintf(w, "%s still holds credentials, not all of which were stored and verified in this run\n", file)
		return
	}
	more := ""
	if n := len(names) - shownNames; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	fmt.Fprintf(w, "%s still holds credentials. These are in Vault and verified now; remove them from it once nothing reads them any more: %s%s\n", file, strings.Join(names[:min(len(names), shownNames)], ", "), more)
}

// quoted is the names of files as a shell takes them, each once.
func quoted(files []string) string {
	var text strings.Builder
	for _, file := range unique(files) {
		text.WriteString(" '" + strings.ReplaceAll(file, "'", `'\''`) + "'")
	}
	return text.String()
}

// unique leaves out what stood before.
func unique(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}
