// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

// marker is in every credential of these tests, and in nothing else.
const marker = "MARKER"

// read reads a file, and writes down what it says: a line for each account,
// problem and note, and one for each application.
func read(tb testing.TB, name, text string, opts accountfile.Options) []string {
	tb.Helper()
	source, problem := accountfile.Read(name, strings.NewReader(text), opts)
	return describe(tb, source, problem)
}

func describe(tb testing.TB, source *accountfile.Source, problem *accountfile.Problem) []string {
	tb.Helper()
	if problem != nil {
		return []string{"refused " + shown(tb, problem.String())}
	}
	var said []string
	for _, app := range source.Applications {
		said = append(said, fmt.Sprintf("application %s %s secret=%s", shown(tb, app.Place.String()), shown(tb, app.String()), app.Secret.Reveal()))
	}
	for _, note := range source.Notes {
		said = append(said, fmt.Sprintf("note %s: %s", note.Place, shown(tb, note.Text)))
	}
	for item, ok := source.Next(); ok; item, ok = source.Next() {
		if item.Problem != nil {
			said = append(said, "problem "+shown(tb, item.Problem.String()))
			continue
		}
		said = append(said, account(tb, item.Account))
	}
	return said
}

func account(tb testing.TB, a *accountfile.Account) string {
	tb.Helper()
	text := fmt.Sprintf("account %s %s token=%s", shown(tb, a.Place.String()), shown(tb, a.Name), a.RefreshToken.Reveal())
	if a.Application != nil {
		text += fmt.Sprintf(" of=%d", a.Application.Place.Line)
	}
	if len(a.Settings) > 0 {
		settings, err := json.Marshal(a.Settings)
		require.NoError(tb, err)
		text += " " + string(settings)
	}
	return text
}

// shown is a text that people may see: no credential may be in it.
func shown(tb testing.TB, text string) string {
	tb.Helper()
	require.NotContains(tb, strings.ToUpper(text), marker, "a credential is shown")
	return text
}

type example struct {
	name string // of the case
	file string
	text string
	opts accountfile.Options
	want []string
}

func run(t *testing.T, examples []example) {
	t.Helper()
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			file := e.file
			if file == "" {
				file = "f"
			}
			require.Equal(t, e.want, read(t, file, e.text, e.opts))
		})
	}
}
