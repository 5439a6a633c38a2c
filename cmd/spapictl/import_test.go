// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImportWritesConfigFirst(t *testing.T) {
	v := newImportVault(t)
	env := file(t, "app.env", "LWA_APP_ID="+importID1+"\nLWA_CLIENT_SECRET="+markerOfTest+"s\nSP_API_REFRESH_TOKEN_ACME="+tokenOf("ACME")+"\n")
	csv := file(t, "s.csv", "account,refresh_token,kind,metadata\nb,"+tokenOf("b")+",vendor,k=v\n")
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "--region=eu", "--parallel=1", csv, env), i.stderr.String())
	require.Equal(t, []string{"config", "accounts/b", "accounts/ACME"}, v.written())
	require.Equal(t, map[string]any{"client_id": importID1, "client_secret": markerOfTest + "s", "region": "eu"}, v.config)
	require.Equal(t, map[string]any{"refresh_token": tokenOf("b"), "kind": "vendor", "metadata": map[string]any{"k": "v"}}, v.accounts["b"])
	require.Equal(t, map[string]any{"refresh_token": tokenOf("ACME")}, v.accounts["ACME"])
	require.Equal(t, "config: written for "+importID1+"\n      2 stored\n", i.stdout.String())
	require.Contains(t, i.stderr.String(), "shred -u -- '"+csv+"'\n")
}

func TestImportLeavesConfigAlone(t *testing.T) {
	v := newImportVault(t).configured()
	env := file(t, ".env", "LWA_APP_ID="+importID1+"\nLWA_CLIENT_SECRET="+markerOfTest+"s\nLWA_REFRESH_TOKEN="+tokenOf("r")+"\n")
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "-account=acme", "-region=fe", env))
	require.Equal(t, []string{"accounts/acme"}, v.written())
	require.Equal(t, "fe", v.accounts["acme"]["region"], "the config's region is another one")
	require.Equal(t, "config: left as it is, for "+importID1+"\n      1 stored\n", i.stdout.String())
}

func TestImportOfTheWrongApplication(t *testing.T) {
	other := "AMAZON_CLIENT_ID=" + importID2 + "\nAMAZON_CLIENT_SECRET=" + markerOfTest + "\nAMAZON_REFRESH_TOKEN_B=" + tokenOf("B") + "\n"
	both := "LWA_APP_ID=" + importID1 + "\nLWA_CLIENT_SECRET=" + markerOfTest + "\nSP_API_REFRESH_TOKEN_A=" + tokenOf("A") + "\n" + other
	for name, c := range map[string]struct {
		configured bool
		text       string
		args       []string
		code       int
		writes     []string
		says       string
	}{
		"config of another one":          {configured: true, text: other, code: 1, says: "Stopped: nothing was written: spapi has the application " + importID1 + ", and the sources name " + importID2 + " (FILE:1); each application needs a mount of its own, which --mount names\n"},
		"config of one of two":           {configured: true, text: both, code: 1, writes: []string{"accounts/A"}, says: "FILE:6 B: is of another application, " + importID2 + " (FILE:4), which needs a mount of its own\n"},
		"no config, two of them":         {text: both, code: 1, says: "Stopped: nothing was written: the sources name several applications: " + importID1 + " (FILE:1), " + importID2 + " (FILE:4); each needs a mount of its own, and --client-id says which one is meant\n"},
		"no config, one of two":          {text: both, args: []string{"--client-id=" + importID2}, code: 1, writes: []string{"config", "accounts/B"}, says: "FILE:3 A: is of another application, " + importID1 + " (FILE:1), which needs a mount of its own\n"},
		"config, and another is asked":   {configured: true, text: both, args: []string{"--client-id=" + importID2}, code: 1, says: "Stopped: nothing was written"},
		"no config, no application":      {text: "LWA_REFRESH_TOKEN_A=" + tokenOf("A"), code: 1, says: "write it with: vault write spapi/config client_id=… client_secret=@file\n"},
		"no config, no client secret":    {text: "LWA_APP_ID=" + importID1 + "\nLWA_REFRESH_TOKEN_A=" + tokenOf("A"), code: 1, says: "spapi has no config, and there is no client secret for the client id of FILE:1\n"},
		"config, and no client secret":   {configured: true, text: "LWA_APP_ID=" + importID1 + "\nLWA_REFRESH_TOKEN_A=" + tokenOf("A"), writes: []string{"accounts/A"}, says: "1 stored\n"},
		"a config without its accounts":  {text: "LWA_APP_ID=" + importID1 + "\nLWA_CLIENT_SECRET=" + markerOfTest, writes: []string{"config"}, says: "config: written for " + importID1 + "\n"},
		"two client secrets for one app": {text: "LWA_APP_ID=" + importID1 + "\nLWA_CLIENT_SECRET=" + markerOfTest + "\nAMAZON_CLIENT_ID=" + importID1 + "\nAMAZON_CLIENT_SECRET=" + markerOfTest + "2", code: 1, says: "the sources give two client secrets for " + importID1 + ": for FILE:1 and FILE:3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newImportVault(t)
			if c.configured {
				v.configured()
			}
			path, i := file(t, ".env", c.text), newImporting(t)
			require.Equal(t, c.code, i.run(t.Context(), append(c.args, path)...), i.stderr.String())
			require.Equal(t, c.writes, v.written())
			require.Contains(t, strings.ReplaceAll(i.stdout.String(), path, "FILE"), c.says)
		})
	}
}

func TestImportSummary(t *testing.T) {
	v := newImportVault(t).configured()
	v.accounts["there"] = map[string]any{}
	v.write = func(name string) (int, map[string]any) {
		switch name {
		case "bad":
			return http.StatusBadRequest, map[string]any{"errors": []string{"Amazon refused " + tokenOf("bad") + " and Atzr%7C" + markerOfTest + "bad"}}
		case "late":
			return http.StatusOK, map[string]any{"warnings": []string{"the refresh token " + tokenOf("late") + " was stored, but is unverified: Amazon is down"}}
		case "old":
			return http.StatusOK, map[string]any{"warnings": []string{"the authorization expires soon"}}
		case "down":
			return http.StatusServiceUnavailable, map[string]any{"errors": []string{"sealed " + tokenOf("down")}}
		}
		return 0, nil
	}
	csv := file(t, "s.csv", strings.Join([]string{
		"account,refresh_token,region", "a," + tokenOf("a") + ",", "there," + tokenOf("x") + ",", "bad," + tokenOf("bad") + ",", "late," + tokenOf("late") + ",", "old," + tokenOf("old") + ",",
		"a," + tokenOf("a") + ",", "a," + tokenOf("other") + ",", "down," + tokenOf("down") + ",", "q\"," + tokenOf("q") + ",", "m," + tokenOf("m") + ",mars",
	}, "\n"))
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), csv, "/nowhere.csv", t.TempDir()))
	said := strings.ReplaceAll(i.stdout.String(), csv, "FILE")
	want := `config: left as it is, for ` + importID1 + `
      2 stored
      1 stored, but unverified
      1 already there, left as they are
      1 repeated with the same values, left out
      6 rejected
      1 failed

Stored with a warning:
FILE:5 late: the refresh token [redacted] was stored, but is unverified: Amazon is down
FILE:6 old: the authorization expires soon

Rejected:
FILE:4 bad: Amazon refused [redacted] and [redacted]
FILE:8 a: the account stands in FILE:2 already, with other values: one of the two has to go
FILE:10: the line is no CSV: a quote (") is left open, or stands inside of a field without being doubled
FILE:11 m: region must be one of na, eu, fe
/nowhere.csv: no such file or directory
`
	require.True(t, strings.HasPrefix(said, want), said)
	require.Contains(t, said, ": is a directory\n\nFailed:\nFILE:9 down: sealed [redacted]\n")
	require.NotContains(t, i.stderr.String(), "shred", "not all of it is in Vault")
	require.Equal(t, tokenOf("a"), v.accounts["a"]["refresh_token"])
	require.Len(t, i.waited, 4, "a failure that may pass is repeated")
}

func TestImportJSON(t *testing.T) {
	v := newImportVault(t).configured()
	v.write = answers(http.StatusBadRequest, "no "+tokenOf("a"))
	csv := file(t, "s.csv", "account,refresh_token\na,"+tokenOf("a")+"\n")
	i := newImporting(t)
	require.Equal(t, 1, i.run(t.Context(), "-format=json", csv))
	var summary map[string]any
	require.NoError(t, json.Unmarshal([]byte(i.stdout.String()), &summary))
	require.Equal(t, map[string]any{
		"dry_run": false, "config": "left as it is, for " + importID1, "outcomes": map[string]any{"rejected": 1.0}, "warnings": []any{}, "stopped": "", "unread": []any{},
		"results": []any{map[string]any{"file": csv, "line": 2.0, "account": "a", "outcome": "rejected", "reason": "no [redacted]"}},
	}, summary)
}

func TestImportDryRun(t *testing.T) {
	v := newImportVault(t)
	v.accounts["A"] = map[string]any{}
	env := file(t, ".env", "LWA_APP_ID="+importID1+"\nLWA_CLIENT_SECRET="+markerOfTest+"s\nLWA_REFRESH_TOKEN_A="+tokenOf("A")+"\nLWA_REFRESH_TOKEN_B="+tokenOf("B")+"\n")
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "-dry-run", env))
	require.Empty(t, v.written())
	require.Equal(t, "config: would be written for "+importID1+"\n      1 would be stored\n      1 already there, left as they are\nThis was a dry run: nothing was written.\n", i.stdout.String())
	require.NotContains(t, i.stderr.String(), "shred")
}

func TestImportUpdate(t *testing.T) {
	v := newImportVault(t).configured()
	v.accounts["seller-0001"] = map[string]any{}
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), "--update", file(t, "s.csv", sellers(2))))
	require.ElementsMatch(t, []string{"accounts/seller-0001", "accounts/seller-0002"}, v.written())
}

// What exists is learned in pages.
func TestImportIntoALargeMount(t *testing.T) {
	v := newImportVault(t).configured()
	for n := range 20_001 {
		v.accounts[fmt.Sprintf("seller-%05d", n)] = map[string]any{}
	}
	i := newImporting(t)
	require.Equal(t, 0, i.run(t.Context(), file(t, "s.csv", "account,refresh_token\nseller-00000,x\nseller-20000,x\nnew,"+tokenOf("new")+"\n")))
	require.Equal(t, []string{"accounts/new"}, v.written())
}

func TestImportSources(t *testing.T) {
	v := newImportVault(t).configured()
	t.Setenv("SP_API_REFRESH_TOKEN_FROMENV", tokenOf("e"))
	open := file(t, "s.jsonl", `{"account":"fromfile","refresh_token":"`+tokenOf("f")+`"}`)
	require.NoError(t, os.Chmod(open, 0o644))
	i := newImporting(t)
	i.stdin = strings.NewReader("account,refresh_token\nfromstdin," + tokenOf("s") + "\n")
	require.Equal(t, 0, i.run(t.Context(), "-from-env", open), i.stdout.String())
	require.Equal(t, 0, i.run(t.Context(), "-type=csv", "-"), i.stdout.String())
	require.ElementsMatch(t, []string{"FROMENV", "fromfile", "fromstdin"}, slices.Collect(maps.Keys(v.accounts)))
	require.Contains(t, i.stderr.String(), "note: "+open+": others than you can read the file")
}

func TestImportUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no file": {}, "stdin without type": {"-"}, "stdin twice": {"--type=csv", "-", "-"}, "type": {"--type=xml", "f"}, "region": {"--region=us", "f"}, "no parallel": {"--parallel=0", "f"},
		"too parallel": {"--parallel=65", "f"}, "format": {"--format=xml", "f"}, "account": {"--account=a/b", "f"}, "credential": {tokenOf("a")}, "credential as account": {"--account", tokenOf("a"), "f"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImporting(t)
			require.Equal(t, 2, i.run(t.Context(), args...))
			require.NotEmpty(t, i.stderr.String())
		})
	}
}

// Standard input that says nothing is not waited for after an interruption.
func TestImportInterruptedWhileOpening(t *testing.T) {
	newImportVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	i := newImporting(t)
	i.stdin = reader
	require.Equal(t, 1, i.run(ctx, "-type=csv", "-"))
	require.Equal(t, "spapictl: interrupted while opening -: nothing was written\n", i.stderr.String())
}

// Standard input that never ends is left where it is.
func TestImportInterruptedWhileReading(t *testing.T) {
	v := newImportVault(t).configured()
	ctx, cancel := context.WithCancel(t.Context())
	v.write = func(string) (int, map[string]any) { cancel(); return 0, nil }
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	go func() { _, _ = io.WriteString(writer, "account,refresh_token\na,"+tokenOf("a")+"\n") }()
	i := newImporting(t)
	i.stdin = reader
	require.Equal(t, 1, i.run(ctx, "-type=csv", "-"))
	require.Equal(t, "config: left as it is, for "+importID1+"\n      1 stored\n- was not read to its end\nStopped: interrupted\n", i.stdout.String())
}
