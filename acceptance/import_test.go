// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

// Thousands of sellers from a spreadsheet, one in a hundred of whom Amazon refuses:
// an import that is killed half-way and run again comes to the same end as one that
// is not.
func TestImportOfThousands(t *testing.T) {
	t.Parallel()
	const sellers, every = 10_000, 100
	m := shared.newMount(t)
	file, secrets := m.spreadsheet(t, sellers, every)
	token, err := m.stage.CreateToken(t.Context(), []string{m.writePolicy(t, "import", example(t, "import/policy.hcl"))}, "30m")
	require.NoError(t, err)
	secrets.add("Vault token", token)
	secrets.add("client secret", m.clientSecret)
	silent := func(c *control) {
		t.Helper()
		for where, text := range map[string]string{"stdout": c.stdout.String(), "stderr": c.stderr.String(), "arguments": strings.Join(c.cmd.Args, " ")} {
			require.Empty(t, secrets.find([]byte(text)), where)
		}
	}

	killed := m.startControl(t, token, "import", "--parallel=16", file)
	cmdline := fmt.Sprintf("/proc/%d/cmdline", killed.cmd.Process.Pid)
	for some := sellers / 20; some <= sellers/2; some += sellers / 20 { // a wait has its limit
		waitFor(t, fmt.Sprintf("%d accounts", some), func() bool {
			if line, err := os.ReadFile(cmdline); err == nil { // where there is /proc
				require.Empty(t, secrets.find(line), "the process list")
			}
			return len(m.accounts(t)) >= some
		})
	}
	require.NoError(t, killed.cmd.Process.Kill())
	<-killed.ended
	require.Equal(t, syscall.SIGKILL, killed.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	silent(killed)
	stored := len(m.accounts(t))
	require.Less(t, stored, sellers*(every-1)/every)
	asked := m.amazon.Requests()

	resumed := m.startControl(t, token, "import", "--parallel=16", file)
	<-resumed.ended // the test's own limit bounds it
	require.Equal(t, 1, resumed.cmd.ProcessState.ExitCode(), "some were rejected: %s", resumed.stderr.String())
	silent(resumed)
	out := resumed.stdout.String()
	stored = len(m.accounts(t)) - stored
	require.Regexp(t, fmt.Sprintf(`(?m)^ +%d stored$`, stored), out)
	require.Regexp(t, fmt.Sprintf(`(?m)^ +%d already there`, sellers*(every-1)/every-stored), out)
	require.Regexp(t, fmt.Sprintf(`(?m)^ +%d rejected$`, sellers/every), out)
	require.Equal(t, stored+sellers/every, m.amazon.Requests()-asked, "Amazon is not asked about what was stored before")
	require.Len(t, m.accounts(t), sellers*(every-1)/every)
	for n := every; n <= sellers; n += every {
		// The header is line 1.
		require.Contains(t, out, fmt.Sprintf("%s:%d seller-%05d: ", file, n+1, n))
	}
	require.Equal(t, sellers/every, strings.Count(out, "invalid_grant"))
	account := m.ok(t, http.MethodGet, "accounts/seller-00042", nil)
	require.Equal(t, "eu", account.text("region"))
	require.Equal(t, "A00042", account.text("selling_partner_id"))
	require.Equal(t, "active", account.text("status"))
	m.token(t, "seller-09999")
}

// spreadsheet writes a CSV file of so many sellers; of every so-manieth Amazon does
// not know the refresh token.
func (m *mount) spreadsheet(t *testing.T, sellers, every int) (file string, secrets scanner) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "sellers.csv")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "account,refresh_token,region,selling_partner_id")
	marker := newMarker()
	secrets.add("refresh token", marker)
	for n := 1; n <= sellers; n++ {
		name, refreshToken := fmt.Sprintf("seller-%05d", n), fmt.Sprintf("Atzr|%s%05d", marker, n)
		if n%every != 0 {
			m.amazon.AddRefreshToken(m.clientID, name, refreshToken)
		}
		fmt.Fprintf(w, "%s,%s,eu,A%05d\n", name, refreshToken, n)
	}
	require.NoError(t, w.Flush())
	require.NoError(t, f.Close())
	return file, secrets
}

// accounts are the names of all accounts.
func (m *mount) accounts(t *testing.T) []any {
	t.Helper()
	a := m.call(t, "LIST", "accounts", nil)
	if a.Status == http.StatusNotFound {
		return nil
	}
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	names, _ := a.Data["keys"].([]any)
	return names
}

// Every form of file, in one import, and then everything that is wrong with one.
func TestImportOfEveryForm(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	var secrets scanner
	refreshToken := func(account string) string {
		token := m.amazon.Authorize(m.clientID, account)
		secrets.add(account, token)
		return token
	}
	files := []string{
		write("app.env", "\ufeffLWA_APP_ID="+m.clientID+"\r\nLWA_CLIENT_SECRET='"+m.clientSecret+"'\r\nexport SP_API_REFRESH_TOKEN_one=\""+refreshToken("one")+"\"\r\n"),
		write("credentials.yml", "version: '1.0'\ntwo:\n  refresh_token: "+refreshToken("two")+"\n  lwa_app_id: "+m.clientID+"\n  lwa_client_secret: "+m.clientSecret+"\n"),
		write("sellers.csv", "account;refresh_token;metadata\r\nthree;\""+refreshToken("three")+"\";team=orders\r\n"),
		write("sellers.jsonl", `{"account":"four","refresh_token":"`+refreshToken("four")+`","region":"fe"}`+"\n"),
	}
	token, err := m.stage.CreateToken(t.Context(), []string{m.writePolicy(t, "import", example(t, "import/policy.hcl"))}, "30m")
	require.NoError(t, err)
	var stderr string
	run := func(status int, args ...string) string {
		t.Helper()
		c := m.startControl(t, token, append([]string{"import"}, args...)...)
		c.exits(t, status)
		require.Empty(t, secrets.find([]byte(c.stdout.String()+c.stderr.String())))
		require.NotContains(t, c.stdout.String()+c.stderr.String(), m.clientSecret)
		stderr = c.stderr.String()
		return c.stdout.String()
	}

	require.Regexp(t, `4 would be stored`, run(0, append([]string{"--dry-run"}, files...)...))
	require.Empty(t, m.accounts(t))
	before := m.ok(t, http.MethodGet, "config", nil).Data
	require.NotContains(t, stderr, "still hold")
	require.Regexp(t, `4 stored`, run(0, files...))
	require.Contains(t, stderr, "shred -u -- '"+files[2]+"' '"+files[3]+"'\n")
	require.Regexp(t, `app\.env still holds .*: SP_API_REFRESH_TOKEN_one\n`, stderr, "the client secret was not compared")
	require.Regexp(t, `credentials\.yml still holds .*: two\.refresh_token\n`, stderr)
	require.Equal(t, before, m.ok(t, http.MethodGet, "config", nil).Data, "a config of the same application is left alone")
	for _, account := range []string{"one", "two", "three", "four"} {
		m.token(t, account)
	}
	require.Equal(t, "fe", m.ok(t, http.MethodGet, "accounts/four", nil).text("region"))
	require.Regexp(t, `4 already there`, run(0, files...))
	require.Contains(t, stderr, "4 accounts were already there; the refresh tokens of the files were not compared")
	require.NotContains(t, stderr, "remove", "the files may be the only place of other refresh tokens")

	bad := write("bad.csv", "account,refresh_token\nfive,"+refreshToken("five")+"\nfive,another\nsix/seven,x\neight,\n")
	out := run(1, bad)
	require.Contains(t, out, bad+":3 five: the account stands in "+bad+":2 already")
	require.Contains(t, out, bad+":4: ")
	require.Contains(t, out, bad+":5 eight: ")
	m.token(t, "five")
	columns := write("columns.csv", "account,refresh_tokn\nnine,x\n")
	require.Contains(t, run(1, columns), columns+":1: ")
	yaml := write("broken.yml", "ten:\n  refresh_token: [unclosed\n")
	require.Contains(t, run(1, yaml), yaml+":")
	other := write("other.env", "LWA_CLIENT_ID=amzn1.application-oa2-client.other\nLWA_CLIENT_SECRET=x\nLWA_REFRESH_TOKEN_eleven=x\n")
	require.Contains(t, run(1, other), "--mount")
	require.Len(t, m.accounts(t), 5)
}

// A file whose refresh tokens Amazon has not confirmed is not to be removed.
func TestImportUnverified(t *testing.T) {
	t.Parallel()
	m := shared.newMount(t)
	file := filepath.Join(t.TempDir(), "sellers.csv")
	content := "account,refresh_token\n"
	for _, account := range []string{"sure", "unsure"} {
		content += account + "," + m.amazon.Authorize(m.clientID, account) + "\n"
	}
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	token, err := m.stage.CreateToken(t.Context(), []string{m.writePolicy(t, "import", example(t, "import/policy.hcl"))}, "30m")
	require.NoError(t, err)
	run := func(args ...string) (stdout, stderr string) {
		t.Helper()
		c := m.startControl(t, token, append([]string{"import", file}, args...)...)
		c.exits(t, 0)
		return c.stdout.String(), c.stderr.String()
	}

	m.amazon.SetAccountFault("unsure", amazontest.Fault{Kind: amazontest.FaultServerError})
	stdout, stderr := run()
	require.Regexp(t, `1 stored\n +1 stored, but unverified\n`, stdout)
	require.Contains(t, stderr, "vault read "+m.path+"/token/ACCOUNT), or import again with --update\n")
	require.Contains(t, stderr, file+" still holds credentials, not all of which were stored and verified in this run\n")
	m.amazon.ClearFaults()
	stdout, stderr = run("--update")
	require.Regexp(t, `2 stored\n`, stdout)
	require.Contains(t, stderr, "shred -u -- '"+file+"'\n")
}
