// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

func TestOpenCountsAccounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		want       int
	}{
		"CSV":                       {"s.csv", "\naccount,refresh_token\na,MARKER\nb,MARKER\n", 2},
		"no line end at the end":    {"s.csv", "account,refresh_token\na,MARKER\nb,MARKER", 2},
		"header only":               {"s.csv", "account,refresh_token", 0},
		"JSON lines":                {"s.jsonl", "{}\n{}\n{}", 3},
		"a file that is read whole": {".env", "# one\nLWA_REFRESH_TOKEN_A=MARKER\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), c.file)
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			source, problem := accountfile.Open(path, accountfile.Options{})
			require.Nil(t, problem)
			require.Equal(t, c.want, source.Accounts)
			require.False(t, source.Endless)
			require.Empty(t, source.Notes)
			require.NoError(t, source.Close())
		})
	}
}

func TestOpenWhatIsNoFile(t *testing.T) {
	t.Parallel()
	_, problem := accountfile.Open(t.TempDir(), accountfile.Options{})
	require.Equal(t, "is a directory", problem.Text)
	_, problem = accountfile.Open("/nowhere/s.csv", accountfile.Options{})
	require.Equal(t, "/nowhere/s.csv: no such file or directory", problem.String())
	_, problem = accountfile.Open("/nowhere\x1b[2J", accountfile.Options{})
	require.Equal(t, `"/nowhere\x1b[2J": no such file or directory`, problem.String())
}
