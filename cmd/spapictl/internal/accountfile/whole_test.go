// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

const (
	id1 = "amzn1.application-oa2-client.one"
	id2 = "amzn1.application-oa2-client.two"
)

func TestEnv(t *testing.T) {
	t.Parallel()
	acme := accountfile.Options{Account: "acme"}
	run(t, []example{
		{name: "AMAZON", file: ".env", opts: acme, text: "AMAZON_CLIENT_ID=" + id1 + "\nAMAZON_CLIENT_SECRET=MARKERs\nAMAZON_REFRESH_TOKEN=MARKERr\n", want: []string{"application .env:1 " + id1 + " secret=MARKERs", "account .env:3 acme token=MARKERr of=1"}},
		{name: "python", file: ".env", text: "LWA_APP_ID=" + id1 + "\nLWA_CLIENT_SECRET=MARKERs\nSP_API_REFRESH_TOKEN_ACME=MARKER1\nSP_API_REFRESH_TOKEN_Other.Shop=MARKER2\n", want: []string{"application .env:1 " + id1 + " secret=MARKERs", "account .env:3 ACME token=MARKER1 of=1", "account .env:4 Other.Shop token=MARKER2 of=1"}},
		{name: "python, an application for each account", file: ".env", text: "SP_API_REFRESH_TOKEN_A=MARKER1\nLWA_APP_ID_A=" + id1 + "\nLWA_CLIENT_SECRET_A=MARKERs\nLWA_APP_ID=" + id2 + "\nLWA_CLIENT_SECRET=MARKERt\nSP_API_REFRESH_TOKEN_B=MARKER2\n", want: []string{"application .env:2 " + id1 + " secret=MARKERs", "application .env:4 " + id2 + " secret=MARKERt", "account .env:1 A token=MARKER1 of=2", "account .env:6 B token=MARKER2 of=4"}},
		{name: "bizon", file: ".env", opts: acme, text: "LWA_CLIENT_ID=" + id1 + "\nLWA_CLIENT_SECRET=MARKERs\nLWA_REFRESH_TOKEN=MARKERr\n", want: []string{"application .env:1 " + id1 + " secret=MARKERs", "account .env:3 acme token=MARKERr of=1"}},
		{name: "node", text: "SELLING_PARTNER_APP_CLIENT_ID=" + id1 + "\nSELLING_PARTNER_APP_CLIENT_SECRET=MARKERs\nREFRESH_TOKEN=MARKERr\n", opts: acme, want: []string{"application f:1 " + id1 + " secret=MARKERs", "account f:3 acme token=MARKERr of=1"}},
		{name: "a refresh token of another program", file: ".env", text: "REFRESH_TOKEN=MARKERr\nLWA_APP_ID=" + id1 + "\n", want: []string{"application .env:2 " + id1 + " secret="}},
		{name: "a mixture of names", file: ".env", opts: acme, text: "SELLING_PARTNER_APP_CLIENT_ID=" + id1 + "\nSELLING_PARTNER_APP_CLIENT_SECRET=MARKERs\nSP_API_REFRESH_TOKEN=MARKERr\n", want: []string{"application .env:1 " + id1 + " secret=MARKERs", "account .env:3 acme token=MARKERr of=1"}},
		{name: "two families", file: ".env", text: "AMAZON_CLIENT_ID=" + id1 + "\nAMAZON_CLIENT_SECRET=MARKERs\nAMAZON_REFRESH_TOKEN_A=MARKER1\nLWA_CLIENT_ID=" + id2 + "\nLWA_CLIENT_SECRET=MARKERt\nLWA_REFRESH_TOKEN_B=MARKER2\n", want: []string{"application .env:1 " + id1 + " secret=MARKERs", "application .env:4 " + id2 + " secret=MARKERt", "account .env:3 A token=MARKER1 of=1", "account .env:6 B token=MARKER2 of=4"}},
		{name: "a secret stays in its family", file: ".env", text: "AMAZON_CLIENT_ID=" + id1 + "\nLWA_CLIENT_ID=" + id2 + "\nLWA_CLIENT_SECRET=MARKERt\n", want: []string{"application .env:1 " + id1 + " secret=", "application .env:2 " + id2 + " secret=MARKERt"}},
		{name: "two client ids in one family", file: ".env", text: "LWA_APP_ID=" + id1 + "\nLWA_CLIENT_ID=" + id2 + "\nSP_API_REFRESH_TOKEN_A=MARKER\n", want: []string{"application .env:1 " + id1 + " secret=", "application .env:2 " + id2 + " secret=", "problem .env:3 A: whose refresh token is it? .env:1 and .env:2 give different client ids"}},
		{name: "two client secrets", file: ".env", text: "LWA_APP_ID=" + id1 + "\nLWA_CLIENT_SECRET=MARKER1\nLWA_CLIENT_SECRET=MARKER2\n", want: []string{"application .env:1 " + id1 + " secret=", "problem .env:1: the application has two client secrets, in .env:2 and .env:3"}},
		{name: "a secret instead of an id", file: ".env", text: "LWA_APP_ID=amzn1.oa2-cs.v1.MARKER\nSP_API_REFRESH_TOKEN_A=MARKER\n", want: []string{"problem .env:1: the client id is none: Amazon's look like amzn1.application-oa2-client.…", "problem .env:2 A: the client id of .env:1 cannot be used"}},
		{name: "an unusual client id is not shown", file: ".env", text: "LWA_APP_ID=MARKER\n", want: []string{"application .env:1 the client id of .env:1 secret="}},
		{name: "no name", file: ".env", text: "LWA_REFRESH_TOKEN=MARKER\n", want: []string{"problem .env:1: names no account; --account NAME names the account of a file with one"}},
		{name: "--account renames the only account", file: ".env", opts: acme, text: "LWA_REFRESH_TOKEN_X=MARKER\n", want: []string{"account .env:1 acme token=MARKER"}},
		{name: "--account names the one without a name", file: ".env", opts: acme, text: "LWA_REFRESH_TOKEN_X=MARKER1\nLWA_REFRESH_TOKEN=MARKER2\n", want: []string{"account .env:1 X token=MARKER1", "account .env:2 acme token=MARKER2"}},
		{name: "--account of no use", file: ".env", opts: acme, text: "LWA_REFRESH_TOKEN_X=MARKER1\nLWA_REFRESH_TOKEN_Y=MARKER2\n", want: []string{"refused .env: --account names one account, and the source names 2: leave it out"}},
		{name: "an application without refresh token", file: ".env", text: "LWA_APP_ID_A=" + id1 + "\n", want: []string{"application .env:1 " + id1 + " secret=", "problem .env:1 A: the account has no refresh token"}},
		{name: "a client secret alone", file: ".env", text: "LWA_CLIENT_SECRET=MARKER\nLWA_REFRESH_TOKEN_A=MARKER1", want: []string{"note .env:1: a client secret without a client id is of no use, and is left out", "account .env:2 A token=MARKER1"}},
		{name: "how it may be written", file: ".env.local", text: "\ufeff# comment LWA_REFRESH_TOKEN_Z=MARKER\r\n\r\nexport LWA_REFRESH_TOKEN_A = 'MARKER1' # why\r\n  LWA_REFRESH_TOKEN_B: \"MARKER2\"\r\nOTHER=\"one\r\ntwo\"\r\nLWA_REFRESH_TOKEN_C=MARKER3 # comment\r\nLWA_REFRESH_TOKEN_D='MAR$KER4'\r\nLWA_REFRESH_TOKEN_E=Atzr|MARK#ER5\r\n", want: []string{
			"account .env.local:3 A token=MARKER1", "account .env.local:4 B token=MARKER2", "account .env.local:7 C token=MARKER3", "account .env.local:8 D token=MAR$KER4", "account .env.local:9 E token=Atzr|MARK#ER5",
		}},
		{name: "bad lines stop no others", file: ".env", text: "MARKER\nLWA_REFRESH_TOKEN_A=\"MARKER\nLWA_REFRESH_TOKEN_B=MARKER1\nLWA_REFRESH_TOKEN_C=\nLWA_REFRESH_TOKEN_D='MARKER'MARKER\nLWA_REFRESH_TOKEN_E=$MARKER\nLWA_REFRESH_TOKEN_=MARKER\nLWA_REFRESH_TOKEN_F='MAR\nKER'\nLWA_REFRESH_TOKEN_G.=MARKER\nset LWA_REFRESH_TOKEN_H=MARKER\nLWA_REFRESH_TOKEN_I=MARKER2\n", want: []string{
			"problem .env:1: the line is no NAME=value",
			"problem .env:2: the quote of the value is left open",
			"account .env:3 B token=MARKER1",
			"problem .env:4 C: refresh_token is missing",
			"problem .env:5: text follows the closing quote of the value",
			"problem .env:6: the value holds a $; in single quotes it is taken as it is",
			"problem .env:7: the name of the variable ends where the name of the account should follow",
			"problem .env:8 F: refresh_token holds a control character",
			"problem .env:10: the account's name must begin and end with a letter, a digit or an underscore, with those and - . @ between",
			"problem .env:11: the line is no NAME=value",
			"account .env:12 I token=MARKER2",
		}},
		{name: "a variable that is assigned again", file: ".env", text: "LWA_REFRESH_TOKEN_A=MARKER1\nLWA_REFRESH_TOKEN_B=MARKER2\nLWA_REFRESH_TOKEN_A=MARKER3\nLWA_REFRESH_TOKEN_B='MARKER2'\nLWA_REFRESH_TOKEN_C=MARKER4\nLWA_REFRESH_TOKEN_C=\nLWA_REFRESH_TOKEN_D=MARKER5\nLWA_REFRESH_TOKEN_D=$MARKER\n", want: []string{
			"problem .env:1 A: the variable is assigned in .env:1 and .env:3, with different values: only one of them can be right",
			"account .env:2 B token=MARKER2",
			"account .env:4 B token=MARKER2",
			"problem .env:5 C: the variable is assigned in .env:5 and .env:6, with different values: only one of them can be right",
			"problem .env:7 D: the variable is assigned in .env:7 and .env:8, with different values: only one of them can be right",
			"problem .env:8: the value holds a $; in single quotes it is taken as it is",
		}},
		{name: "a variable that is assigned again with what programs put in its place", file: ".env", text: "LWA_REFRESH_TOKEN_A='MAR$KER'\nLWA_REFRESH_TOKEN_A=MAR$KER\n", want: []string{
			"problem .env:1 A: the variable is assigned in .env:1 and .env:2, with different values: only one of them can be right",
			"problem .env:2: the value holds a $; in single quotes it is taken as it is",
		}},
		{name: "--account, and the variable is assigned again", file: ".env", opts: acme, text: "LWA_REFRESH_TOKEN_A=MARKER1\nLWA_REFRESH_TOKEN_A=MARKER1\n", want: []string{"account .env:1 acme token=MARKER1", "account .env:2 acme token=MARKER1"}},
		{name: "a $ in a comment", file: ".env", text: "LWA_REFRESH_TOKEN_A=MARKER1 # costs $5\nLWA_REFRESH_TOKEN_B=\"MARKER2\" # $5\nLWA_REFRESH_TOKEN_C=MARKER#$5\nLWA_REFRESH_TOKEN_D=\"MARKER$5\"\n", want: []string{
			"account .env:1 A token=MARKER1", "account .env:2 B token=MARKER2",
			"problem .env:3: the value holds a $; in single quotes it is taken as it is", "problem .env:4: the value holds a $; in single quotes it is taken as it is",
		}},
		{name: "names of files", file: ".env", text: "LWA_CLIENT_SECRET_FILE=secret\nLWA_REFRESH_TOKEN_FILE=/run/secrets/t\nSP_API_REFRESH_TOKEN_A=' /run/secrets/a'\nLWA_REFRESH_TOKEN_B_FILE=$D/t\nLWA_REFRESH_TOKEN_MY_FILE=Atzr|MARKER\nLWA_REFRESH_TOKEN_OUR_FILE=Atzr|$MARKER\n", want: []string{
			"note .env:1: " + namesFile, "note .env:2: " + namesFile, "note .env:3: " + namesFile, "note .env:4: " + namesFile,
			"account .env:5 MY_FILE token=Atzr|MARKER",
			"problem .env:6: the value holds a $; in single quotes it is taken as it is",
		}},
		{name: "names of files alone", file: ".env", text: "LWA_REFRESH_TOKEN_FILE=/run/secrets/t\n", want: []string{"note .env:1: " + namesFile}},
		{name: "bad values of others are theirs", file: ".env", text: "OTHER=$X\nLWA_REFRESH_TOKEN_A=MARKER\n", want: []string{"account .env:2 A token=MARKER"}},
		{name: "but not their broken quotes", file: ".env", text: "OTHER='a\nLWA_REFRESH_TOKEN_A=MARKER\n' B=\"2\"\n", want: []string{"problem .env:1: text follows the closing quote of the value", "account .env:2 A token=MARKER", "problem .env:3: the line is no NAME=value"}},
		{name: "nothing known", file: ".env", text: "X=MARKER\n", want: []string{"refused .env: holds none of the variables that are known, such as LWA_APP_ID and SP_API_REFRESH_TOKEN"}},
		{name: "empty", file: ".env", text: " \n", want: []string{"refused .env: the file is empty: 0 accounts"}},
		{name: "not UTF-8", file: ".env", text: "A=b\nLWA_REFRESH_TOKEN_A=MARKER\xff\n", want: []string{"refused .env:2: the line is not UTF-8"}},
		{name: "NUL", file: ".env", text: "A=b\nLWA_REFRESH_TOKEN_A=MARKER\x00\n", want: []string{"refused .env:2: the line holds a NUL byte"}},
		{name: "too large", file: ".env", text: strings.Repeat("#MARKER\n", 200_000), want: []string{"refused .env: the file is larger than 1048576 bytes; for many accounts use CSV or JSON lines"}},
		{name: "of no type", text: "hello MARKER\n", want: []string{"refused f: cannot tell what type of file it is: --type says it (env, yaml, csv, jsonl)"}},
		{name: "empty, of no type", text: "\n", want: []string{"refused f: the file is empty: 0 accounts"}},
		{name: "type said", text: "account,refresh_token\na,MARKER\n", opts: accountfile.Options{Type: accountfile.CSV}, want: []string{"account f:2 a token=MARKER"}},
	})
}

const namesFile = "the variable names a file, as it seems, and is left out: what is in that file is not read"

func TestEnvironment(t *testing.T) {
	t.Parallel()
	source, problem := accountfile.Environment([]string{"PATH=/bin", "SP_API_REFRESH_TOKEN_ACME=MARKER$1", "LWA_APP_ID=" + id1, "LWA_CLIENT_SECRET=MARKERs", "=C:=x", "LWA_REFRESH_TOKEN_X="}, accountfile.Options{})
	require.Equal(t, []string{
		"application environment variable LWA_APP_ID " + id1 + " secret=MARKERs",
		"problem environment variable LWA_REFRESH_TOKEN_X X: refresh_token is missing",
		"account environment variable SP_API_REFRESH_TOKEN_ACME ACME token=MARKER$1 of=0",
	}, describe(t, source, problem))
}

func TestYAML(t *testing.T) {
	t.Parallel()
	run(t, []example{
		{name: "python-amazon-sp-api", file: "credentials.yml", text: "version: '1.0'\n\ndefault:\n  refresh_token: MARKER1\n  lwa_app_id: " + id1 + "\n  lwa_client_secret: MARKERs\n\nacme:\n  refresh_token: 'Atzr|MARKER2'\n  lwa_app_id: " + id1 + "\n  lwa_client_secret: MARKERs\n", want: []string{"application credentials.yml:5 " + id1 + " secret=MARKERs", "account credentials.yml:3 default token=MARKER1 of=5", "account credentials.yml:8 acme token=Atzr|MARKER2 of=5"}},
		{name: "old keys", file: "c.yml", text: "a:\n  refresh_token: MARKER1\n  aws_access_key: MARKER\n  aws_secret_key: MARKER\n  role_arn: x\nb:\n  refresh_token: MARKER2\n  aws_secret_key: MARKER\n", want: []string{"note c.yml:3: AWS credentials are not needed any more, and are left out", "account c.yml:1 a token=MARKER1", "account c.yml:6 b token=MARKER2"}},
		{name: "anchors and merge keys", file: "c.yaml", text: "app: &app\n  lwa_app_id: " + id1 + "\n  lwa_client_secret: &s MARKERs\na:\n  <<: *app\n  refresh_token: MARKER1\nb:\n  refresh_token: MARKER2\n  <<: [*app]\n  lwa_app_id: " + id2 + "\n  lwa_client_secret: *s\n", want: []string{"application c.yaml:2 " + id1 + " secret=MARKERs", "application c.yaml:10 " + id2 + " secret=MARKERs", "account c.yaml:4 a token=MARKER1 of=2", "account c.yaml:7 b token=MARKER2 of=10"}},
		{name: "block text, byte order mark, Windows line ends", file: "c.yml", text: "\ufeffa:\r\n  refresh_token: |\r\n    MARKER1\r\n", want: []string{"account c.yml:1 a token=MARKER1"}},
		{name: "by content", text: "# comment\n'a':\n  refresh_token: MARKER1\n", want: []string{"account f:2 a token=MARKER1"}},
		{name: "--account renames the only account", file: "c.yml", opts: accountfile.Options{Account: "acme"}, text: "default:\n  refresh_token: MARKER1\n", want: []string{"account c.yml:1 acme token=MARKER1"}},
		{name: "--account of no use", file: "c.yml", opts: accountfile.Options{Account: "acme"}, text: "default:\n  refresh_token: MARKER1\nb:\n  refresh_token: MARKER2\n", want: []string{"refused c.yml: --account names one account, and the file names 2: leave it out"}},
		{name: "an account twice", file: "c.yml", text: "a:\n  refresh_token: MARKER1\na:\n  refresh_token: MARKER2\n", want: []string{"problem c.yml:1 a: the account stands in c.yml:1 and c.yml:3, with different values: only one of them can be right"}},
		{name: "an account twice, the same", file: "c.yml", text: "a:\n  refresh_token: MARKER1\na: {refresh_token: 'MARKER1'}\n", want: []string{"account c.yml:1 a token=MARKER1", "account c.yml:3 a token=MARKER1"}},
		{name: "an account twice, of which one is broken", file: "c.yml", text: "a:\n  refresh_token: MARKER1\na:\n  refresh_token: MARKER1\n  refresh_token: MARKER2\n", want: []string{"problem c.yml:1 a: the account stands in c.yml:1 and c.yml:3, with different values: only one of them can be right"}},
		{name: "an open quote", file: "c.yml", text: "a:\n  refresh_token: 'MARKER\n  x: MARKER\n", want: []string{"refused c.yml:2: the file is not readable as YAML from this line on"}},
		{name: "a tab", file: "c.yml", text: "a:\n\trefresh_token: MARKER\n", want: []string{"refused c.yml:2: the file is not readable as YAML from this line on"}},
		{name: "a list", file: "c.yml", text: "- MARKER\n", want: []string{"problem c.yml:1: is no map of accounts"}},
		{name: "nothing", file: "c.yml", text: "version: '1.0'\n", want: []string{"refused c.yml: holds no account"}},
		{name: "empty", file: "c.yml", text: "\n", want: []string{"refused c.yml: the file is empty: 0 accounts"}},
		{name: "nested deeply", file: "c.yml", text: "a: " + strings.Repeat("[", 10_000), want: []string{"refused c.yml:1: the YAML is nested too deeply"}},
		{name: "nested deeply, on lines of their own", file: "c.yml", text: strings.Repeat("[\n", 200_000), want: []string{"refused c.yml:33: the YAML is nested too deeply"}},
		{name: "brackets in text", file: "c.yml", text: "# " + strings.Repeat("[", 100) + "\na:\n  refresh_token: '" + strings.Repeat("[", 100) + "'\n", want: []string{"account c.yml:2 a token=" + strings.Repeat("[", 100)}},
		{name: "many accounts", file: "c.yml", text: strings.Repeat("a:\n  refresh_token: MARKER\n", 25_000), want: []string{"refused c.yml: the YAML is too long; for more than 4,000 accounts use CSV or JSON lines"}},
		{name: "merges without end", file: "c.yml", text: "a: &a\n  <<: *a\n  refresh_token: MARKER\n", want: []string{"problem c.yml:1 a: merges too many maps into each other"}},
		{name: "bad accounts stop no others", file: "c.yml", text: "a:\n  lwa_app_id: x\nb: MARKER\nc:\n  refresh_token: [MARKER]\nd:\n  refresh_token: MARKER\n  refresh_token: MARKER2\ne:\n  refresh_token: MARKER\n  MARKER: MARKER\nf g:\n  refresh_token: MARKER\nh:\n  <<: *nowhere\n  refresh_token: MARKER\ni:\n  refresh_token: MARKER\n  lwa_app_id: Atzr|MARKER\nj:\n  refresh_token: \"MAR\\0KER\"\nz:\n  refresh_token: MARKER\n", want: []string{
			"application c.yml:2 the client id of c.yml:2 secret=",
			"problem c.yml:1 a: refresh_token is missing",
			"problem c.yml:3: is no account: an account is a map with refresh_token",
			"problem c.yml:4 c: line 5 is no text",
			"problem c.yml:6 d: lines 7 and 8 have the same key: only one of them can be right",
			"problem c.yml:9 e: line 11 has a key that is not known; known are refresh_token, lwa_app_id and lwa_client_secret (--ignore-unknown leaves others out)",
			"problem c.yml:12: the account's name must begin and end with a letter, a digit or an underscore, with those and - . @ between",
			"problem c.yml:14 h: merges what is no map",
			"problem c.yml:17 i: the client id is none: Amazon's look like amzn1.application-oa2-client.…",
			"problem c.yml:20 j: refresh_token holds a NUL byte",
			"account c.yml:22 z token=MARKER",
		}},
	})
}

func TestYAMLOfMany(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for n := range 4000 {
		fmt.Fprintf(&text, "a%d:\n  refresh_token: MARKER\n  lwa_app_id: %s\n  lwa_client_secret: MARKERs\n", n, id1)
	}
	said := read(t, "c.yml", text.String(), accountfile.Options{})
	require.Len(t, said, 4001)
	require.Equal(t, "account c.yml:15997 a3999 token=MARKER of=3", said[4000])
}

// A small file can ask for much work by merging a large map into many.
func TestYAMLMergesOfMuch(t *testing.T) {
	t.Parallel()
	text := strings.Builder{}
	text.WriteString("t: &t\n")
	for n := range 3000 {
		fmt.Fprintf(&text, "  x%d: y\n", n)
	}
	for n := range 100 {
		fmt.Fprintf(&text, "a%d: {<<: *t, refresh_token: MARKER}\n", n)
	}
	said := read(t, "c.yml", text.String(), accountfile.Options{IgnoreUnknown: true})
	require.Equal(t, "account c.yml:3002 a0 token=MARKER", said[0])
	require.Equal(t, "problem c.yml:3101 a99: merges too many maps into each other", said[99])
}
