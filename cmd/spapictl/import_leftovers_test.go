// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// To remove a file is advised only if all that is in it was stored in this run, and
// verified: else it may be the only place of a credential.
func TestImportLeftovers(t *testing.T) {
	const (
		shred   = "These files still hold the credentials, all of which are in Vault and verified now. Remove them once nothing reads them any more: shred -u -- 'FILE'\n"
		partly  = "FILE still holds credentials, not all of which were stored and verified in this run\n"
		more    = "FILE still holds the credentials, and may hold more: look before you remove it\n"
		there   = "1 account was already there; the refresh tokens of the files were not compared with theirs: --update writes them\n"
		unsure  = "1 account was stored without Amazon having confirmed the refresh token; to verify, read a token (vault read spapi/token/ACCOUNT), or import again with --update\n"
		remove  = "FILE still holds credentials. These are in Vault and verified now; remove them from it once nothing reads them any more: "
		compare = "The config was left as it is; the client secret of FILE:1 was not compared with it\n"
		header  = "account,refresh_token\n"
	)
	line := func(name string) string { return name + "," + tokenOf(name) + "\n" }
	token := func(name string) string { return "SP_API_REFRESH_TOKEN_" + name + "=" + tokenOf(name) + "\n" }
	app := "LWA_APP_ID=" + importID1 + "\nLWA_CLIENT_SECRET=" + markerOfTest + "s\n"
	yaml := func(name string) string {
		return name + ":\n  refresh_token: " + tokenOf(name) + "\n  lwa_app_id: " + importID1 + "\n  lwa_client_secret: " + markerOfTest + "s\n"
	}
	for name, c := range map[string]struct {
		file, text  string
		args        []string
		unwritten   bool // there is no config
		code        int
		want, notes string
	}{
		"all stored":                {file: "s.csv", text: header + line("a") + line("b") + line("a"), want: shred},
		"all stored, JSON lines":    {file: "s.jsonl", text: `{"account":"a","refresh_token":"` + tokenOf("a") + `"}`, want: shred},
		"one was there":             {file: "s.csv", text: header + line("a") + line("there"), want: there + partly},
		"one was there, repeated":   {file: "s.csv", text: header + line("there") + line("there"), want: there + partly},
		"one was there, and update": {file: "s.csv", text: header + line("a") + line("there"), args: []string{"--update"}, want: shred},
		"one unverified":            {file: "s.csv", text: header + line("a") + line("late") + line("late"), want: unsure + partly},
		"one rejected":              {file: "s.csv", text: header + line("a") + line("bad"), code: 1, want: partly},
		"one that cannot be read":   {file: "s.csv", text: header + line("a") + "b,\n", code: 1, want: partly},
		"all rejected":              {file: "s.csv", text: header + line("bad"), code: 1},
		"columns left out":          {file: "s.csv", text: "account,refresh_token,note\na," + tokenOf("a") + ",n\n", args: []string{"--ignore-unknown"}, want: more, notes: "note: FILE:1: ignored: column \"note\"\n"},
		"members left out":          {file: "s.jsonl", text: `{"account":"a","refresh_token":"` + tokenOf("a") + `","note":1}`, args: []string{"--ignore-unknown"}, want: more},
		"an odd name":               {file: "s\x1b.csv", text: header + line("a"), want: strings.ReplaceAll(more, "FILE", "\"FILE\"")},
		"dry run":                   {file: "s.csv", text: header + line("a") + line("there"), args: []string{"--dry-run"}},
		"no accounts":               {file: "s.csv", text: header},
		"variables":                 {file: ".env", text: "DB_PASSWORD=" + markerOfTest + "\n" + token("a") + token("a") + token("there") + token("late"), want: there + unsure + remove + "SP_API_REFRESH_TOKEN_a\n"},
		"variables, all there":      {file: ".env", text: token("there"), want: there + partly},
		"a config that was there":   {file: ".env", text: app + token("a"), want: compare + remove + "SP_API_REFRESH_TOKEN_a\n"},
		"a config that is written":  {file: ".env", text: app + token("a"), unwritten: true, want: remove + "LWA_CLIENT_SECRET, SP_API_REFRESH_TOKEN_a\n"},
		"a config, and no account":  {file: ".env", text: app, unwritten: true, want: remove + "LWA_CLIENT_SECRET\n"},
		"keys":                      {file: "c.yml", text: yaml("a") + yaml("b"), unwritten: true, want: remove + "a.lwa_client_secret, b.lwa_client_secret, a.refresh_token, b.refresh_token\n"},
		"variables, many":           {file: ".env", text: many(token, 22), want: remove + strings.TrimSuffix(many(func(name string) string { return "SP_API_REFRESH_TOKEN_" + name + ", " }, 20), ", ") + ", and 2 more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newImportVault(t)
			if !c.unwritten {
				v.configured()
			}
			v.accounts["there"] = map[string]any{}
			v.write = func(name string) (int, map[string]any) {
				switch name {
				case "late":
					return http.StatusOK, map[string]any{"warnings": []string{"the refresh token was stored, but is unverified: Amazon is down"}}
				case "bad":
					return http.StatusBadRequest, map[string]any{"errors": []string{"invalid_grant"}}
				}
				return 0, nil
			}
			i, path := newImporting(t), file(t, c.file, c.text)
			require.Equal(t, c.code, i.run(t.Context(), append(c.args, path)...), i.stderr.String())
			said := strings.ReplaceAll(i.stderr.String(), path, "FILE")
			said = strings.ReplaceAll(said, strings.ReplaceAll(path, "\x1b", `\x1b`), "FILE")
			require.Equal(t, c.notes+c.want, said)
		})
	}
}

func many(of func(name string) string, n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(of(fmt.Sprintf("n%02d", i)))
	}
	return text.String()
}

// A client secret that could not be proven is not known to be right.
func TestImportLeftoversOfAnUnprovenConfig(t *testing.T) {
	v := newImportVault(t)
	v.warning = "the client secret was stored, but could not be proven: Amazon is down"
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), file(t, ".env", "LWA_APP_ID="+importID1+"\nLWA_CLIENT_SECRET="+markerOfTest+"\n")))
	require.Empty(t, i.stderr.String())
	require.Contains(t, i.stdout.String(), "  warning: the client secret was stored, but could not be proven: Amazon is down\n")
}

// Two files, each for itself; one is given twice.
func TestImportLeftoversOfFiles(t *testing.T) {
	v := newImportVault(t).configured()
	v.accounts["there"] = map[string]any{}
	good := file(t, "it's.csv", "account,refresh_token\na,"+tokenOf("a")+"\n")
	bad := file(t, "s.csv", "account,refresh_token\nthere,"+tokenOf("there")+"\n")
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), good, bad, good))
	require.Contains(t, i.stderr.String(), bad+" still holds credentials, not all of which")
	require.True(t, strings.HasSuffix(i.stderr.String(), "shred -u -- '"+strings.ReplaceAll(good, "'", `'\''`)+"'\n"), i.stderr.String())
}

// What is read through a pipe or a link is no file that could be removed.
func TestImportLeftoversOfNoFile(t *testing.T) {
	text := "account,refresh_token\na," + tokenOf("a") + "\n"
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Close() })
	_, err = writer.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	newImportVault(t).configured()
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "--type=csv", fmt.Sprintf("/dev/fd/%d", reader.Fd())), i.stdout.String())
	require.Empty(t, i.stderr.String())

	newImportVault(t).configured()
	link := filepath.Join(t.TempDir(), "link.csv")
	require.NoError(t, os.Symlink(file(t, "s.csv", text), link))
	i = newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), link), i.stdout.String())
	require.Equal(t, link+" still holds the credentials, and may hold more: look before you remove it\n", i.stderr.String())
}

// Output that cannot be written is no success.
func TestImportOutputFails(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		newImportVault(t).configured()
		i := newImporting(t)
		i.broken = errors.New("no space left on device")
		require.Equal(t, 1, i.run(t.Context(), "--format="+format, file(t, "s.csv", sellers(1))))
		require.Equal(t, "spapictl: the summary cannot be written: no space left on device\n", i.stderr.String())
	}
}

// Accounts that were not tried are not done.
func TestImportProgressOfAStop(t *testing.T) {
	v := newImportVault(t).configured()
	v.write = answers(http.StatusForbidden, "permission denied")
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), "-parallel=1", file(t, "s.csv", sellers(2000))))
	require.Empty(t, i.stderr.String())
}

// A region on the command line is written over that of an account, also if it is
// the config's.
func TestImportUpdateOfTheRegion(t *testing.T) {
	for _, configured := range []bool{true, false} {
		v := newImportVault(t)
		if configured {
			v.configured()
		}
		v.accounts["a"] = map[string]any{"region": "eu"}
		env := file(t, ".env", "LWA_APP_ID="+importID1+"\nLWA_CLIENT_SECRET="+markerOfTest+"s\nLWA_REFRESH_TOKEN_a="+tokenOf("a")+"\n")
		i := newImporting(t)
		require.Equal(t, 0, i.run(t.Context(), "--update", "--region=na", env))
		require.Equal(t, "na", v.accounts["a"]["region"])
	}
}

func TestImportOfNoAccounts(t *testing.T) {
	newImportVault(t).configured()
	header, none := file(t, "s.csv", "account,refresh_token\n"), file(t, "s.jsonl", "\n")
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), header))
	require.Equal(t, "config: left as it is, for "+importID1+"\n"+header+": 0 accounts\n", i.stdout.String())
	require.Empty(t, i.stderr.String())

	i = newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), none))
	require.Contains(t, i.stdout.String(), none+": the file is empty: 0 accounts\n")
}

// What was pasted in the wrong place is not repeated.
func TestImportRepeatsNoPastedArgument(t *testing.T) {
	newImportVault(t).configured()
	for _, arg := range []string{
		"https://app.example/callback?state=" + markerOfTest, "https://user:" + markerOfTest + "@app.example/", "/callback?spapi_oauth_code=" + markerOfTest,
		"Atzr%7C" + markerOfTest, "hvs." + markerOfTest, "f=" + tokenOf("a"), "%zz" + tokenOf("a"),
	} {
		i := newImporting(t)
		require.Equal(t, 2, i.run(t.Context(), arg), arg)
		require.Contains(t, i.stderr.String(), "an argument looks like a credential or a URL")
	}
}
