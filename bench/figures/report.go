// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"fmt"
	"io"
	"strings"
)

// Target is a figure that has to reach something.
type Target struct {
	Name  string
	Value float64
	Range string // of the rounds, if there were more than one
	Bound float64
	// AtLeast says that more is better; otherwise the bound is the most.
	AtLeast bool
	Unit    string // "" of a ratio
	Count   bool   // a whole number
	// Unjudged is why this run cannot tell, if so.
	Unjudged string
}

// Met reports whether the figure reaches its bound.
func (t Target) Met() bool {
	if t.AtLeast {
		return t.Value >= t.Bound
	}
	return t.Value <= t.Bound
}

// Verdict says so in a word.
func (t Target) Verdict() string {
	switch {
	case t.Unjudged != "":
		return "not judged: " + t.Unjudged
	case t.Met():
		return "met"
	default:
		return "missed"
	}
}

func (t Target) number(value float64) string {
	format := "%.2f"
	switch {
	case t.Count:
		format = "%.0f"
	case t.Unit != "":
		format = "%.1f"
	}
	return strings.TrimSpace(fmt.Sprintf(format+" %s", value, t.Unit))
}

func (t Target) wanted() string {
	if t.AtLeast {
		return "at least " + t.number(t.Bound)
	}
	return "at most " + t.number(t.Bound)
}

// Section is what one scenario found.
type Section struct {
	Title   string
	Text    string // what was done, and what the columns are
	Columns []string
	Rows    [][]string
}

// Add adds a row.
func (s *Section) Add(cells ...string) { s.Rows = append(s.Rows, cells) }

// Fact is something that the figures depend on.
type Fact struct{ Name, Value string }

// Report is what a run found.
type Report struct {
	Title    string
	Facts    []Fact
	Targets  []Target
	Sections []*Section
	// Failures are invariants that broke, and scenarios that could not end.
	Failures []string
}

// Markdown writes the report. chart is the name of the chart's file, empty if
// there is none.
func (r *Report) Markdown(w io.Writer, chart string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", r.Title)
	for _, fact := range r.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", fact.Name, fact.Value)
	}
	if len(r.Failures) > 0 {
		b.WriteString("\n## Failures\n\n")
		for _, failure := range r.Failures {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(failure, "\n", "\n  "))
		}
	}
	if len(r.Targets) > 0 {
		b.WriteString("\n## Targets\n\n")
		if chart != "" {
			fmt.Fprintf(&b, "![Each figure against its target](%s)\n\n", chart)
		}
		rows := make([][]string, len(r.Targets))
		for i, t := range r.Targets {
			rows[i] = []string{t.Name, t.number(t.Value), t.Range, t.wanted(), t.Verdict()}
		}
		table(&b, []string{"figure", "value", "range", "target", ""}, rows)
	}
	for _, section := range r.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n", section.Title)
		if section.Text != "" {
			fmt.Fprintf(&b, "%s\n\n", section.Text)
		}
		table(&b, section.Columns, section.Rows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes columns of even width, which read well as text, too. All but the
// first are aligned to the right.
func table(b *strings.Builder, columns []string, rows [][]string) {
	widths := make([]int, len(columns))
	for _, row := range append([][]string{columns}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)), 3)
		}
	}
	line := func(cells []string) {
		for i, width := range widths {
			var cell string
			if i < len(cells) {
				cell = strings.ReplaceAll(cells[i], "|", "/")
			}
			pad := strings.Repeat(" ", max(width-len([]rune(cell)), 0))
			if i == 0 {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
	}
	line(columns)
	for i, width := range widths {
		if i == 0 {
			b.WriteString("|" + strings.Repeat("-", width+2))
		} else {
			b.WriteString("|" + strings.Repeat("-", width+1) + ":")
		}
	}
	b.WriteString("|\n")
	for _, row := range rows {
		line(row)
	}
}
