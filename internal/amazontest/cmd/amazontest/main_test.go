// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func flags(more ...string) []string {
	return append([]string{"-client-id", "id", "-client-secret", "secret"}, more...)
}

// serve runs the program until the context or its standard input ends.
func serve(ctx context.Context, t *testing.T, stdin io.Reader, args ...string) (line ready, exit <-chan int) {
	t.Helper()
	stdout, w := io.Pipe()
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, stdin, w, io.Discard) }()
	text, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &line))
	return line, code
}

func TestServesUntilToldToStop(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	line, exit := serve(ctx, t, bytes.NewReader(nil), flags(
		"-account", "one=Atzr|1=1", "-account", "two=Atzr|2", "-token-lifetime", "90s")...)
	require.Equal(t, line.URL+"/auth/o2/token", line.LWAEndpoint)
	require.Equal(t, line.URL, line.SPAPIEndpoint)
	require.Equal(t, line.URL+"/_control", line.ControlURL)

	for _, token := range []string{"Atzr|1=1", "Atzr|2"} {
		res, err := http.PostForm(line.LWAEndpoint, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"id"}, "client_secret": {"secret"},
		})
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Contains(t, string(body), `"expires_in":90}`)
	}
	require.Empty(t, exit, "a closed standard input does not count unless asked for")
	stop()
	require.Zero(t, <-exit)
}

func TestExitsWithStdin(t *testing.T) {
	t.Parallel()
	stdin, w := io.Pipe()
	_, exit := serve(t.Context(), t, stdin, flags("-exit-with-stdin")...)
	_, err := w.Write([]byte("still here\n"))
	require.NoError(t, err)
	require.Empty(t, exit)
	require.NoError(t, w.Close())
	require.Zero(t, <-exit)
}

func TestRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":          {[]string{"-h"}, 0, "-client-secret"},
		"no client":     {nil, 2, "required"},
		"bad account":   {flags("-account", "one"), 2, "want name=refresh_token"},
		"nameless":      {flags("-account", "=x"), 2, "want name=refresh_token"},
		"lifetime":      {flags("-token-lifetime", "0s"), 2, "1s or more"},
		"argument":      {flags("x"), 2, `unexpected argument "x"`},
		"unknown flag":  {flags("-x"), 2, "not defined"},
		"listen":        {flags("-listen", "nonsense"), 1, "nonsense"},
		"negative life": {flags("-token-lifetime", "-1s"), 2, "1s or more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			require.Equal(t, c.code, run(t.Context(), c.args, bytes.NewReader(nil), io.Discard, &stderr))
			require.Contains(t, stderr.String(), c.want)
		})
	}
}
