// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func info(region, status, partner, expires string) map[string]any {
	return map[string]any{"region": region, "status": status, "selling_partner_id": partner, "authorization_expires_at": expires}
}

// accounts of every kind. The clock of the tests stands at 2026-11-21T12:00:00Z.
func accountsOfTest() map[string]any {
	infos := map[string]any{
		"fine":          info("eu", "active", "A1", "2027-11-21T12:00:00Z"),
		"fine-too":      info("na", "active", "", ""),
		"lapsed":        info("eu", "active", "A2", "2026-11-21T11:00:00Z"),
		"soon":          info("fe", "active", "A3", "2026-12-21T11:59:59Z"),
		"sooner":        info("fe", "unverified", "A4", "2026-11-22T11:00:00Z"),
		"not-soon":      info("fe", "active", "A5", "2026-12-21T12:00:00Z"),
		"withdrawn":     info("na", "reauthorization_required", "A6", ""),
		"unproven":      info("na", "unverified", "A7", ""),
		"off":           info("na", "disabled", "A8", "2020-01-01T00:00:00Z"),
		"unhealthy\x1b": info("na", "active", "", ""),
	}
	names := []string{"no-info"}
	for name := range infos {
		names = append(names, name)
	}
	slices.Sort(names)
	return map[string]any{"keys": names, "key_info": infos}
}

const list = "GET spapi/accounts"

func TestStatus(t *testing.T) {
	e := newEngine(t, map[string]engineAnswer{list: gives(accountsOfTest())})
	c := newControl("")
	require.Zero(t, c.run(t, "status"), c.stderr.String())
	require.Equal(t, `ACCOUNT           REGION   STATUS                     SELLING PARTNER   DAYS LEFT
withdrawn         na       reauthorization_required   A6
lapsed            eu       active                     A2                expired
sooner            fe       unverified                 A4                0
soon              fe       active                     A3                29
unproven          na       unverified                 A7
no-info
off               na       disabled                   A8                expired
not-soon          fe       active                     A5                30
fine              eu       active                     A1                365
fine-too          na       active
"unhealthy\x1b"   na       active

11 accounts: 1 to be authorized again, 1 expired, 2 with less than 30 days left, 1 unverified, 1 of unknown status, 1 disabled, 4 active
`, c.stdout.String())
	require.Equal(t, []engineRequest{{"GET spapi/accounts?limit=1000&list=true", nil}}, e.requests())
}

func TestStatusJSON(t *testing.T) {
	newEngine(t, map[string]engineAnswer{list: gives(accountsOfTest())})
	c := newControl("")
	require.Zero(t, c.run(t, "status", "-format=json"))
	var accounts []map[string]any
	require.NoError(t, json.Unmarshal([]byte(c.stdout.String()), &accounts))
	require.Len(t, accounts, 11)
	require.Equal(t, map[string]any{
		"account": "withdrawn", "region": "na", "status": "reauthorization_required", "selling_partner_id": "A6",
		"authorization_expires_at": nil, "days_left": nil,
	}, accounts[0])
	require.Equal(t, map[string]any{
		"account": "lapsed", "region": "eu", "status": "active", "selling_partner_id": "A2",
		"authorization_expires_at": "2026-11-21T11:00:00Z", "days_left": -1.0,
	}, accounts[1])
}

func TestStatusOfNobody(t *testing.T) {
	nobody := map[string]engineAnswer{list: func(map[string]any) (int, any) { return 404, map[string]any{"errors": []string{}} }}
	newEngine(t, nobody)
	c := newControl("")
	require.Zero(t, c.run(t, "status"))
	require.Equal(t, "No accounts.\n", c.stdout.String())
	newEngine(t, nobody)
	c = newControl("")
	require.Zero(t, c.run(t, "status", "--format=json"))
	require.Equal(t, "[]\n", c.stdout.String())
}

func TestStatusFilters(t *testing.T) {
	for given, want := range map[string]string{
		"30d": "2026-12-21T12%3A00%3A00Z", "36h": "2026-11-23T00%3A00%3A00Z", "0d": "2026-11-21T12%3A00%3A00Z",
		"2027-01-31T01:00:00+01:00": "2027-01-31T00%3A00%3A00Z",
	} {
		e := newEngine(t, map[string]engineAnswer{list: gives(map[string]any{"keys": []string{"a"}})})
		c := newControl("")
		require.Zero(t, c.run(t, "status", "--status", "active", "--expires-before", given))
		require.Equal(t, "GET spapi/accounts?expires_before="+want+"&limit=1000&list=true&status=active", e.requests()[0].call)
		require.Contains(t, c.stdout.String(), "1 account: 1 of unknown status\n")
	}
	for _, wrong := range []string{"-1d", "1000000d", "xd", "d", "-1h", "tomorrow"} {
		c := newControl("")
		require.Equal(t, 2, c.run(t, "status", "--expires-before="+wrong), wrong)
	}
}

func TestStatusOfThousands(t *testing.T) {
	page := func(from, to int) engineAnswer {
		var names []string
		for i := from; i < to; i++ {
			names = append(names, fmt.Sprintf("a%04d", i))
		}
		return gives(map[string]any{"keys": names})
	}
	const first = "GET spapi/accounts?"
	e := newEngine(t, map[string]engineAnswer{
		first + "limit=1000&list=true":             page(0, 1000),
		first + "after=a0999&limit=1000&list=true": page(1000, 2000),
		first + "after=a1999&limit=1000&list=true": page(2000, 2003),
	})
	c := newControl("")
	require.Zero(t, c.run(t, "status"))
	require.Contains(t, c.stdout.String(), "2003 accounts: 2003 of unknown status\n")
	require.Len(t, e.requests(), 3)

	// An engine that knows no pages must not be asked for ever.
	newEngine(t, map[string]engineAnswer{list: page(0, 1000)})
	c = newControl("")
	require.Equal(t, 1, c.run(t, "status"))
	require.Contains(t, c.stderr.String(), "listed once more")
}

func TestStatusThatFails(t *testing.T) {
	newEngine(t, map[string]engineAnswer{list: refuses(403, "permission denied")})
	c := newControl("")
	require.Equal(t, 1, c.run(t, "status"))
	require.Contains(t, c.stderr.String(), `the capability "list" on the path "spapi/accounts/"`)

	for _, data := range []map[string]any{
		{"keys": []any{1}}, {"keys": []string{"a"}, "key_info": map[string]any{"a": info("", "", "", "soon")}},
	} {
		newEngine(t, map[string]engineAnswer{list: gives(data)})
		require.Equal(t, 1, newControl("").run(t, "status"))
	}
}

func TestStatusWarnings(t *testing.T) {
	newEngine(t, map[string]engineAnswer{list: func(map[string]any) (int, any) {
		return 200, map[string]any{"data": map[string]any{"keys": []string{"a"}}, "warnings": []string{"look out"}}
	}})
	c := newControl("")
	require.Zero(t, c.run(t, "status"))
	require.Equal(t, "spapictl: warning: look out\n", c.stderr.String())
}
