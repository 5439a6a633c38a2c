// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

const redirected = "https://app.example/callback?state=the-state&selling_partner_id=A1EXAMPLE&spapi_oauth_code=the-code&mws_auth_token=amzn.mws.x"

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, pasted := range []string{redirected, "  " + redirected + "\r\n", `"` + redirected + `"`, "<" + redirected + ">"} {
		redirect, err := consent.ParseURL(pasted)
		require.NoError(t, err)
		require.Equal(t, "the-state", redirect.State.Reveal())
		require.Equal(t, "the-code", redirect.Code.Reveal())
		require.Equal(t, "A1EXAMPLE", redirect.SellingPartnerID)
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	const base = "https://app.example/callback?"
	cases := map[string]struct{ pasted, want string }{
		"nothing":          {" \n", "nothing was pasted"},
		"a word":           {"the-code", "no address of a page"},
		"a path":           {"/callback?state=the-state", "no address of a page"},
		"another scheme":   {"ftp://app.example/?state=the-state", "no address of a page"},
		"control":          {"https://app.example/\x00?state=the-state", "no address of a page"},
		"too long":         {base + "state=" + strings.Repeat("a", consent.LongestURL), "longer than 65536 bytes"},
		"bad escapes":      {base + "state=%zz", "query that cannot be read"},
		"the consent link": {"https://sellercentral.amazon.com/apps/authorize/consent?application_id=x&state=the-state", "the way to Amazon"},
		"no query":         {"https://app.example/callback", `no parameter "state"`},
		"no state":         {base + "spapi_oauth_code=the-code&selling_partner_id=A1", `no parameter "state"`},
		"empty state":      {base + "state=&spapi_oauth_code=the-code&selling_partner_id=A1", `no parameter "state"`},
		"no code":          {base + "state=the-state&selling_partner_id=A1", `no parameter "spapi_oauth_code"`},
		"no partner":       {base + "state=the-state&spapi_oauth_code=the-code", `no parameter "selling_partner_id"`},
		"two states":       {base + "state=the-state&state=x&spapi_oauth_code=the-code&selling_partner_id=A1", `more than one parameter "state"`},
		"long code":        {base + "state=the-state&selling_partner_id=A1&spapi_oauth_code=" + strings.Repeat("a", 5000), `"spapi_oauth_code" is longer than 4096`},
		"unprintable code": {base + "state=the-state&selling_partner_id=A1&spapi_oauth_code=the-code%07", "unprintable"},
		"Amazon's error":   {base + "state=the-state&error=access_denied&error_description=No+%1b[31m+the-state", "Amazon did not authorize the application: access_denied (No [31m [redacted])"},
		"an empty error":   {base + "state=the-state&error=", "no reason given"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := consent.ParseURL(c.pasted)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "the-code")
			require.NotContains(t, err.Error(), "the-state")
		})
	}
}

// Who the redirect belongs to has to be known before anything is said about it.
func TestStateComesWithTheError(t *testing.T) {
	t.Parallel()
	redirect, err := consent.FromQuery(url.Values{"state": {"the-state"}, "error": {"access_denied"}})
	refused := (*consent.RefusedError)(nil)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "the-state", redirect.State.Reveal())
}

// What a terminal or a mail has wrapped is put together.
func TestParseURLWrapped(t *testing.T) {
	t.Parallel()
	for length := 1; length < len(redirected); length++ {
		var wrapped strings.Builder
		for i, char := range redirected {
			if i%length == 0 {
				wrapped.WriteString("\r\n  ")
			}
			wrapped.WriteRune(char)
		}
		redirect, err := consent.ParseURL(wrapped.String())
		require.NoError(t, err)
		require.Equal(t, "the-state", redirect.State.Reveal())
		require.Equal(t, "the-code", redirect.Code.Reveal())
	}
}

// A long reason is cut, and no secret with it.
func TestNoSecretAtTheEndOfAReason(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"the-state", "the-code", "the%252Fother"} {
		for before := range 200 {
			_, err := consent.ParseURL("https://app.example/?state=the-state&spapi_oauth_code=the-code&spapi_oauth_code=the/other&error=" + strings.Repeat(".", before) + secret)
			require.ErrorContains(t, err, "Amazon did not authorize")
			_, said, _ := strings.Cut(err.Error(), ": ")
			require.NotContains(t, said, "th")
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add(redirected)
	f.Add("https://a/?state=%00&error=x")
	f.Add("http://[::1]?state=a;b&spapi_oauth_code=&selling_partner_id=\xff")
	f.Fuzz(func(t *testing.T, pasted string) {
		redirect, err := consent.ParseURL(pasted)
		if err == nil {
			require.False(t, redirect.State.IsZero())
			require.False(t, redirect.Code.IsZero())
			require.NotEmpty(t, redirect.SellingPartnerID)
			return
		}
		require.Less(t, len(err.Error()), 2000)
		// A code may be as short as a letter, which every text holds.
		refused := (*consent.RefusedError)(nil)
		if code := redirect.Code.Reveal(); len(code) > 40 && !errors.As(err, &refused) {
			require.NotContains(t, err.Error(), code)
		}
	})
}
