// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"30m", "1800", "-1", "1d", "9223372036854775807", "18446745874", "106751d", "1e9", "1h1m", "0x10", "", " 5m ", "١", "999999999999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		into := time.Duration(-1)
		fields := &fields{data: &framework.FieldData{Raw: map[string]any{"d": text}}}
		fields.duration("d", &into, 0, time.Minute, 55*time.Minute)
		if fields.err != nil {
			require.Equal(t, time.Duration(-1), into)
			require.Contains(t, fields.err.Error(), `"d"`)
			return
		}
		require.True(t, into >= time.Minute && into <= 55*time.Minute)
		require.Zero(t, into%time.Second)
	})
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"1800": 30 * time.Minute, "30m": 30 * time.Minute, "2d": 48 * time.Hour, "-5": -5 * time.Second, "1.5m": 90 * time.Second} {
		got, ok := parseDuration(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	// Seconds and days that wrap around to half an hour when they are multiplied.
	for _, text := range []string{"18446745874", "213503982334601d", "9223372036854775807", "99999999999999999999d"} {
		got, ok := parseDuration(text)
		require.True(t, !ok || got > 24*time.Hour, "%s: %s", text, got)
	}
}

func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.999+14:00", "", "0", "9999-12-31T23:59:59Z", "2026-02-29T00:00:00Z", "now"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var into time.Time
		fields := &fields{data: &framework.FieldData{Raw: map[string]any{"t": text}}}
		fields.timestamp("t", &into, time.Time{})
		if fields.err != nil {
			require.Zero(t, into)
			return
		}
		if !into.IsZero() {
			require.True(t, into.Year() >= 1999 && into.Year() <= 2201)
			again, err := time.Parse(time.RFC3339, rfc3339(into))
			require.NoError(t, err)
			require.True(t, again.Equal(into))
		}
	})
}

// A name either is an account's, and then it is stored under itself, or it is
// refused; it never reaches another entry.
func FuzzAccountName(f *testing.F) {
	for _, seed := range []string{"acme", "a/b", "../config", "a@b.c", "", ".", "a\x00b", "config", "acme/", "ACME", "a%2f", "ä"} {
		f.Add(seed)
	}
	good := regexp.MustCompile(`^\w(([\w-.@]+)?\w)?$`)
	f.Fuzz(func(t *testing.T, name string) {
		m := newMount(t)
		_, err := m.do(logical.UpdateOperation, "accounts/"+name, map[string]any{"refresh_token": "x", "verify": false})
		stored := m.stored()
		delete(stored, "fingerprint-key")
		if good.MatchString(name) && len(name) <= maxNameLength {
			require.NoError(t, err)
			require.Contains(t, stored, "account/"+name)
			require.Len(t, stored, 1)
			return
		}
		require.Error(t, err)
		require.Empty(t, stored)
	})
}
