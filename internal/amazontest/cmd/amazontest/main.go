// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Command amazontest runs the simulated Amazon as a program, for demos.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"vault-plugin-secrets-spapi/internal/amazontest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type account struct{ name, refreshToken string }

type settings struct {
	opts                   amazontest.Options
	clientID, clientSecret string
	accounts               []account
	exitWithStdin          bool
}

// ready is the one line on standard output.
type ready struct {
	URL           string `json:"url"`
	LWAEndpoint   string `json:"lwa_endpoint"`
	SPAPIEndpoint string `json:"sp_api_endpoint"`
	ControlURL    string `json:"control_url"`
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("amazontest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.opts.Listen, "listen", "127.0.0.1:0", "address to listen on")
	flags.StringVar(&s.clientID, "client-id", "", "the application's client id (required)")
	flags.StringVar(&s.clientSecret, "client-secret", "", "the application's client secret (required)")
	flags.DurationVar(&s.opts.TokenLifetime, "token-lifetime", time.Hour, "life of access tokens")
	flags.BoolVar(&s.exitWithStdin, "exit-with-stdin", false, "exit when standard input is closed")
	flags.Func("account", "an authorization, as name=refresh_token (repeatable)", func(v string) error {
		name, token, ok := strings.Cut(v, "=")
		if !ok || name == "" || token == "" {
			return errors.New("want name=refresh_token")
		}
		s.accounts = append(s.accounts, account{name, token})
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return s, err // which flags has printed
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.clientID == "" || s.clientSecret == "":
		err = errors.New("-client-id and -client-secret are required")
	case s.opts.TokenLifetime < time.Second:
		err = errors.New("-token-lifetime must be 1s or more")
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "amazontest:", err)
	}
	return s, err
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	server, err := amazontest.New(s.opts)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	defer server.Close()
	server.AddClient(s.clientID, s.clientSecret)
	for _, a := range s.accounts {
		server.AddRefreshToken(s.clientID, a.name, a.refreshToken)
	}

	line := ready{server.URL(), server.LWAEndpoint(), server.SPAPIEndpoint(), server.ControlURL()}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		_, _ = fmt.Fprintln(stderr, "amazontest:", err)
		return 1
	}

	var stdinClosed chan struct{} // nil, which is never ready, unless asked for
	if s.exitWithStdin {
		stdinClosed = make(chan struct{})
		go func() {
			defer close(stdinClosed)
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	select {
	case <-ctx.Done():
	case <-stdinClosed:
	}
	return 0
}
