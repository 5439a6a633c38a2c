// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

// Outcome is what became of an account.
type Outcome string

// The outcomes, in the order of the summary.
const (
	Stored       Outcome = "stored"
	Unverified   Outcome = "stored_unverified"
	WouldStore   Outcome = "would_store"
	AlreadyThere Outcome = "already_there"
	Duplicate    Outcome = "duplicate"
	Rejected     Outcome = "rejected"
	Failed       Outcome = "failed"
	NotTried     Outcome = "not_tried"
)

func outcomes() []Outcome {
	return []Outcome{Stored, Unverified, WouldStore, AlreadyThere, Duplicate, Rejected, Failed, NotTried}
}

// text is how a person reads an outcome.
func (o Outcome) text() string {
	switch o {
	case Unverified:
		return "stored, but unverified"
	case WouldStore:
		return "would be stored"
	case AlreadyThere:
		return "already there, left as they are"
	case Duplicate:
		return "repeated with the same values, left out"
	case NotTried:
		return "not tried"
	}
	return string(o)
}

// Result is an account that somebody has to look at.
type Result struct {
	accountfile.Place
	Account string  `json:"account,omitempty"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
}

// Summary is what an import did.
type Summary struct {
	DryRun   bool            `json:"dry_run"`
	Config   string          `json:"config"`
	Outcomes map[Outcome]int `json:"outcomes"`
	Results  []Result        `json:"results"`  // rejected, failed, and stored with a warning
	Warnings []string        `json:"warnings"` // of the config
	Stopped  string          `json:"stopped"`  // why the import ended early
	Unread   []string        `json:"unread"`   // sources that were not read to their end

	order      map[string]int // of files
	tallies    []*tally
	became     map[string]Outcome  // what came to pass of each account
	uncompared []accountfile.Place // of applications whose client secret Vault may have another one for
}

func newSummary(opts Options) *Summary {
	s := &Summary{DryRun: opts.DryRun, Outcomes: map[Outcome]int{}, Results: []Result{}, Warnings: []string{}, Unread: []string{}, order: map[string]int{}, became: map[string]Outcome{}}
	for i, name := range opts.Order {
		s.order[name] = i
	}
	return s
}

// add counts a result, and keeps one with a reason.
func (s *Summary) add(result Result) {
	s.Outcomes[result.Outcome]++
	if result.Reason != "" {
		s.Results = append(s.Results, result)
	}
}

func (s *Summary) sort() {
	slices.SortStableFunc(s.Results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(s.order[a.File], s.order[b.File]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// OK reports whether all went well.
func (s *Summary) OK() bool {
	return s.Stopped == "" && len(s.Unread) == 0 && s.Outcomes[Rejected]+s.Outcomes[Failed]+s.Outcomes[NotTried] == 0
}

// shownUnverified bounds a list that is of one cause, mostly.
const shownUnverified = 10

// Print writes the summary for people, all at once.
func (s *Summary) Print(to io.Writer) error {
	w := &bytes.Buffer{}
	if s.Config != "" {
		fmt.Fprintf(w, "config: %s\n", s.Config)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", warning)
	}
	for _, outcome := range outcomes() {
		if n := s.Outcomes[outcome]; n > 0 {
			fmt.Fprintf(w, "%7d %s\n", n, outcome.text())
		}
	}
	for _, t := range s.tallies {
		if t.total() == 0 && !slices.Contains(s.Unread, t.source.Name) {
			fmt.Fprintf(w, "%s: 0 accounts\n", accountfile.Place{File: t.source.Name})
		}
	}
	s.printResults(w, "Stored with a warning:", Stored, Unverified)
	s.printResults(w, "Rejected:", Rejected)
	s.printResults(w, "Failed:", Failed)
	for _, name := range s.Unread {
		fmt.Fprintf(w, "%s was not read to its end\n", accountfile.Place{File: name})
	}
	if s.DryRun {
		fmt.Fprintln(w, "This was a dry run: nothing was written.")
	}
	if s.Stopped != "" {
		fmt.Fprintf(w, "Stopped: %s\n", s.Stopped)
	}
	_, err := to.Write(w.Bytes())
	return err
}

func (s *Summary) printResults(w io.Writer, title string, of ...Outcome) {
	shown, left := 0, 0
	for _, result := range s.Results {
		if !slices.Contains(of, result.Outcome) {
			continue
		}
		if shown == shownUnverified && of[0] == Stored {
			left++
			continue
		}
		if shown == 0 {
			fmt.Fprintf(w, "\n%s\n", title)
		}
		shown++
		fmt.Fprintln(w, (&accountfile.Problem{Place: result.Place, Account: result.Account, Text: result.Reason}).String())
	}
	if left > 0 {
		fmt.Fprintf(w, "… and %d more: spapictl status -status=unverified\n", left)
	}
}
