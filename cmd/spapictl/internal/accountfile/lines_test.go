// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile_test

import (
	"strings"
	"testing"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
)

func TestCSV(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 17<<10)
	run(t, []example{
		{name: "two columns", file: "s.csv", text: "account,refresh_token\nacme,MARKER1\n", want: []string{"account s.csv:2 acme token=MARKER1"}},
		{name: "no line end at the end", file: "s.csv", text: "account,refresh_token\nacme,MARKER1", want: []string{"account s.csv:2 acme token=MARKER1"}},
		{name: "byte order mark and Windows line ends", file: "s.csv", text: "\ufeffaccount,refresh_token\r\nacme,MARKER1\r\n\r\nb,MARKER2\r\n", want: []string{"account s.csv:2 acme token=MARKER1", "account s.csv:4 b token=MARKER2"}},
		{name: "semicolons", file: "s.csv", text: "account;refresh_token;metadata\nacme;MARKER1;\"a=1;b=2\"\n", want: []string{`account s.csv:2 acme token=MARKER1 {"metadata":{"a":"1","b":"2"}}`}},
		{name: "tabs", file: "s.csv", text: "account\trefresh_token\nacme\tMARKER1\n", want: []string{"account s.csv:2 acme token=MARKER1"}},
		{
			name: "all columns", file: "s.csv", text: "account,refresh_token,region,selling_partner_id,marketplace_ids,kind,metadata,authorized_at,authorization_expires_at,enabled,generate_lease,token_min_ttl\n" +
				"acme,\" MARKER1 \",EU,A1B2,A1PA6795UKMFR9 A13V1IB3VIYZZH;A1,Seller,k=v,2026-01-02T03:04:05+01:00,2027-01-02T03:04:05Z,TRUE,false,30m\n",
			want: []string{`account s.csv:2 acme token=MARKER1 {"authorization_expires_at":"2027-01-02T03:04:05Z","authorized_at":"2026-01-02T02:04:05Z","enabled":true,"generate_lease":false,"kind":"seller","marketplace_ids":["A1PA6795UKMFR9","A13V1IB3VIYZZH","A1"],"metadata":{"k":"v"},"region":"eu","selling_partner_id":"A1B2","token_min_ttl":"30m"}`},
		},
		{name: "empty fields are left out", file: "s.csv", text: "Account,Refresh_Token,region,enabled\nacme,MARKER1,, \n", want: []string{"account s.csv:2 acme token=MARKER1"}},
		{name: "unknown column", file: "s.csv", text: "account,refresh_token,regoin\nacme,MARKER1,eu\n", want: []string{`refused s.csv:1: not known: column "regoin"; known are ` + columns + ` (--ignore-unknown leaves others out)`}},
		{name: "unknown column ignored", file: "s.csv", text: "account,refresh_token,note\nacme,MARKER1,x\n", opts: accountfile.Options{IgnoreUnknown: true}, want: []string{`note s.csv:1: ignored: column "note"`, "account s.csv:2 acme token=MARKER1"}},
		{name: "a credential for a column", file: "s.csv", text: "account,refresh_token,Atzr|MARKER\nacme,MARKER1,eu\n", want: []string{"refused s.csv:1: not known: column 3; known are " + columns + " (--ignore-unknown leaves others out)"}},
		{name: "no header", file: "s.csv", text: "acme,Atzr|MARKER1\n", want: []string{"refused s.csv:1: this is no header: it names none of the columns " + columns}},
		{name: "column twice", file: "s.csv", text: "account,refresh_token,account\na,MARKER,b\n", want: []string{`refused s.csv:1: the column "account" stands twice in the header`}},
		{name: "no refresh_token", file: "s.csv", text: "account,region\na,eu\n", want: []string{"refused s.csv:1: the header lacks the column refresh_token"}},
		{name: "no account", file: "s.csv", text: "refresh_token\nMARKER\n", want: []string{"refused s.csv:1: the header lacks the column account; for a file with one account, --account NAME names it"}},
		{name: "account from outside", file: "s.csv", text: "refresh_token\nMARKER\n", opts: accountfile.Options{Account: "acme"}, want: []string{"account s.csv:2 acme token=MARKER"}},
		{name: "account from outside and inside", file: "s.csv", text: "account,refresh_token\na,MARKER\n", opts: accountfile.Options{Account: "acme"}, want: []string{"refused s.csv:1: the file names its accounts in the column account: leave --account out"}},
		{name: "empty", file: "s.csv", text: "", want: []string{"refused s.csv: the file is empty: 0 accounts"}},
		{name: "blank", file: "s.csv", text: "\r\n \n", want: []string{"refused s.csv: the file is empty: 0 accounts"}},
		{name: "Excel: empty cells at the end", file: "s.csv", text: "account;refresh_token;region;;\r\nacme;MARKER1;eu;;\r\nb;MARKER2;;\r\n;;;;\r\n ; ;\r\n", want: []string{`account s.csv:2 acme token=MARKER1 {"region":"eu"}`, "account s.csv:3 b token=MARKER2"}},
		{name: "Excel: surplus cells", file: "s.csv", text: "account;refresh_token\nacme;MARKER1;;\nb;MARKER2;;x\n", want: []string{"account s.csv:2 acme token=MARKER1", "problem s.csv:3: the line has 4 fields, the header 2"}},
		{name: "Excel: an empty column between others", file: "s.csv", text: "account;;refresh_token\nacme;;MARKER1\n", want: []string{"refused s.csv:1: not known: column 2; known are " + columns + " (--ignore-unknown leaves others out)"}},
		{name: "Excel: a cell beneath an empty header", file: "s.csv", text: "account;refresh_token;\nacme;MARKER1;x\n", want: []string{"problem s.csv:2: the line has 3 fields, the header 2"}},
		{name: "Excel: sep=", text: "\ufeffsep=;\r\naccount;refresh_token;metadata\r\nacme;MARKER1;a=1,b\r\n", want: []string{`account f:3 acme token=MARKER1 {"metadata":{"a":"1,b"}}`}},
		{name: "Excel: sep= of another separator than the usual", file: "s.csv", text: "\"SEP=|\"\naccount|refresh_token\nacme|MARKER1\n", want: []string{"account s.csv:3 acme token=MARKER1"}},
		{name: "sep= alone", file: "s.csv", text: "sep=;\n", want: []string{"refused s.csv: the file is empty: 0 accounts"}},
		{name: "separators alone", file: "s.csv", text: ";;;\n", want: []string{"refused s.csv:1: this is no header: it names none of the columns " + columns}},
		{name: "header only", file: "s.csv", text: "account,refresh_token\n", want: nil},
		{name: "by content", text: "\n\"account\",\"refresh_token\"\nacme,MARKER1\n", want: []string{"account f:3 acme token=MARKER1"}},
		{name: "UTF-16", file: "s.csv", text: "\xff\xfea\x00", want: []string{"refused s.csv:1: the file is UTF-16: save it as UTF-8"}},
		{name: "UTF-16 without its mark", file: "s.csv", text: "a\x00c\x00", want: []string{"refused s.csv:1: the file is UTF-16: save it as UTF-8"}},
		{name: "UTF-16 without its mark, the other way round", text: "\x00a\x00c", want: []string{"refused f:1: the file is UTF-16: save it as UTF-8"}},
		{name: "bad lines stop no others", file: "s.csv", text: strings.Join([]string{
			"account,refresh_token,region", "a,\"MARKER,eu", "b,MARKER", "c,MARKER,mars", "d,,eu", "e f,MARKER,eu", "Atzr|MARKER,x,eu", "amzn1.oa2-cs.v1.MARKER,x,eu",
			",MARKER,eu", "g,MARKER\xff,eu", "h,MAR\x00KER,eu", "i,MARKER\x1b,eu", "j," + long + "MARKER,eu", "k," + strings.Repeat("MARKER", 20000) + ",eu", "l,a\"MARKER,eu", strings.Repeat("n", 257) + ",MARKER,eu", "z,MARKER,eu",
		}, "\n"), want: []string{
			`problem s.csv:2: the line is no CSV: a quote (") is left open, or stands inside of a field without being doubled`,
			"problem s.csv:3: the line has 2 fields, the header 3",
			"problem s.csv:4 c: region must be one of na, eu, fe",
			"problem s.csv:5 d: refresh_token is missing",
			"problem s.csv:6: the account's name must begin and end with a letter, a digit or an underscore, with those and - . @ between",
			"problem s.csv:7: the account's name looks like a credential",
			"problem s.csv:8: the account's name looks like a credential",
			"problem s.csv:9: names no account; --account NAME names the account of a file with one",
			"problem s.csv:10: the line is not UTF-8",
			"problem s.csv:11: the line holds a NUL byte",
			"problem s.csv:12: the line holds a control character",
			"problem s.csv:13 j: refresh_token is longer than 16384 bytes",
			"problem s.csv:14: the line is longer than 65536 bytes",
			`problem s.csv:15: the line is no CSV: a quote (") is left open, or stands inside of a field without being doubled`,
			"problem s.csv:16: the account's name is longer than 256 bytes",
			`account s.csv:17 z token=MARKER {"region":"eu"}`,
		}},
	})
}

const columns = "account, refresh_token, authorization_expires_at, authorized_at, enabled, generate_lease, kind, marketplace_ids, metadata, region, selling_partner_id, token_min_ttl"

func TestSettings(t *testing.T) {
	t.Parallel()
	for column, bad := range map[string][]string{
		"region":                   {"us", "MARKER"},
		"kind":                     {"MARKER"},
		"selling_partner_id":       {"MARKER!", strings.Repeat("M", 65)},
		"marketplace_ids":          {"MARKER-", strings.Repeat("A ", 65)},
		"metadata":                 {"MARKER", "a=1;a=MARKER", "=MARKER", "k=Atzr|MARKER", "k=" + strings.Repeat("MARKER", 100)},
		"authorized_at":            {"31.01.2026", "MARKER"},
		"authorization_expires_at": {"0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"},
		"enabled":                  {"yes", "MARKER"},
		"generate_lease":           {"2"},
		"token_min_ttl":            {"1s", "56m", "MARKER", "99999999999999999999"},
	} {
		for _, value := range bad {
			said := read(t, "s.csv", "account,refresh_token,"+column+"\na,MARKER,\""+value+"\"\n", accountfile.Options{})
			if len(said) != 1 || !strings.HasPrefix(said[0], "problem s.csv:2 a: "+column+" ") {
				t.Errorf("%s=%s: %s", column, value, said)
			}
		}
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	run(t, []example{
		{name: "texts", file: "s.jsonl", text: `{"account":"acme","refresh_token":"MARKER1","metadata":"a=1;b=2","marketplace_ids":"A B","enabled":"true","token_min_ttl":"1800"}` + "\r\n", want: []string{`account s.jsonl:1 acme token=MARKER1 {"enabled":true,"marketplace_ids":["A","B"],"metadata":{"a":"1","b":"2"},"token_min_ttl":"1800"}`}},
		{name: "types of JSON", file: "s.jsonl", text: "\ufeff" + `{"account":"acme","refresh_token":"MARKER1","metadata":{"a":"1;2"},"marketplace_ids":["A","B"],"enabled":false,"generate_lease":null,"token_min_ttl":1800}`, want: []string{`account s.jsonl:1 acme token=MARKER1 {"enabled":false,"marketplace_ids":["A","B"],"metadata":{"a":"1;2"},"token_min_ttl":"1800"}`}},
		{name: "by content", text: "\n{\"account\":\"a\",\"refresh_token\":\"MARKER\"}", want: []string{"account f:2 a token=MARKER"}},
		{name: "account from outside", file: "s.jsonl", text: `{"refresh_token":"MARKER"}` + "\n" + `{"account":"b","refresh_token":"MARKER"}`, opts: accountfile.Options{Account: "acme"}, want: []string{"account s.jsonl:1 acme token=MARKER", "problem s.jsonl:2: the line names its account: leave --account out"}},
		{name: "unknown ignored", file: "s.jsonl", text: `{"account":"a","refresh_token":"MARKER","x":{"y":[1]}}`, opts: accountfile.Options{IgnoreUnknown: true}, want: []string{"account s.jsonl:1 a token=MARKER"}},
		{name: ".json", file: "s.json", text: `{"account":"a","refresh_token":"MARKER"}`, want: []string{"account s.json:1 a token=MARKER"}},
		{name: "an array", file: "s.json", text: "[\n{\"account\":\"a\",\"refresh_token\":\"MARKER\"}]", want: []string{"refused s.json:1: the file is JSON, but not with an object on each line; jq writes it so: jq -c '.[]'"}},
		{name: "an array on one line", text: ` [ {"account":"a","refresh_token":"MARKER"}]`, want: []string{"refused f:1: the file is JSON, but not with an object on each line; jq writes it so: jq -c '.[]'"}},
		{name: "an object of several lines", file: "s.json", text: "\n{\n\"account\":\"a\"\n}", want: []string{"refused s.json:2: the file is JSON, but not with an object on each line; jq writes it so: jq -c '.'"}},
		{name: "empty", file: "s.jsonl", text: "\n", want: []string{"refused s.jsonl: the file is empty: 0 accounts"}},
		{name: "bad lines stop no others", file: "s.jsonl", text: strings.Join([]string{
			`{"account":"a","refresh_token":"MARKER"`, `["MARKER"]`, `{"account":"a","refresh_token":"MARKER"} x`, `MARKER`, `{"account":"a","refresh_token":"MARKER","Region":"eu"}`,
			`{"account":"a","refresh_token":"MARKER","Atzr|MARKER":"eu"}`, `{"account":"a","account":"b","refresh_token":"MARKER"}`, `{"account":"a","refresh_token":["MARKER"]}`,
			`{"account":"a"}`, `{"account":"a","refresh_token":"MARKER\u0000"}`, `{"account":"a","refresh_token":"MARKER","metadata":{"k":"Atzr|MARKER"}}`, `{"account":7,"refresh_token":"MARKER"}`, `{"account":"z","refresh_token":"MARKER"}`,
		}, "\n"), want: []string{
			"problem s.jsonl:1: the line is no JSON object",
			"problem s.jsonl:2: the line is no JSON object",
			"problem s.jsonl:3: the line is no JSON object",
			"problem s.jsonl:4: the line is no JSON object",
			`problem s.jsonl:5: not known: member "Region"; known are ` + columns + " (--ignore-unknown leaves others out)",
			"problem s.jsonl:6: not known: member 3; known are " + columns + " (--ignore-unknown leaves others out)",
			`problem s.jsonl:7: the member "account" is there twice`,
			`problem s.jsonl:8: the member "refresh_token" has the wrong type`,
			"problem s.jsonl:9 a: refresh_token is missing",
			"problem s.jsonl:10 a: refresh_token holds a NUL byte",
			"problem s.jsonl:11 a: metadata holds what looks like a credential; readers of tokens would see it",
			`problem s.jsonl:12: the member "account" has the wrong type`,
			"account s.jsonl:13 z token=MARKER",
		}},
	})
}
