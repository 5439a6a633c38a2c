// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/term"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

// mostPastes bounds how often somebody at a terminal is asked again.
const mostPastes = 3

// paste completes with the redirected address that somebody pastes.
func (r *authorization) paste(ctx context.Context, vault consent.Vault, fields map[string]any) error {
	link, err := vault.Begin(ctx, fields)
	if err != nil {
		return err
	}
	defer r.tellLink(link)()
	redirect, err := r.askForRedirect(ctx, link)
	if err != nil {
		return err
	}
	done, err := r.complete(ctx, vault, redirect)
	if err != nil {
		return err
	}
	r.tellDone(done)
	return nil
}

// askForRedirect asks until the address can be used: Vault and Amazon have not
// been asked yet, so nothing is lost by a wrong one.
func (r *authorization) askForRedirect(ctx context.Context, link consent.Link) (consent.Redirect, error) {
	fmt.Fprintln(r.errOut, "Then paste the address to which Amazon sent the browser. It is not shown:")
	_, interactive := terminal(r.in)
	for tried := 1; ; tried++ {
		pasted, err := r.readHidden(ctx)
		if err != nil {
			return consent.Redirect{}, err
		}
		redirect, err := consent.ParseURL(pasted)
		if !redirect.State.IsZero() && !redirect.State.Equal(link.State) {
			err = errors.New("the address belongs to another link: paste the one that follows from the link above")
		}
		if err == nil || !interactive || tried == mostPastes {
			return redirect, err
		}
		fmt.Fprintf(r.errOut, "spapictl: %s\nOnce more:\n", err)
	}
}

// complete repeats a callback for which Vault gave the state back.
func (r *authorization) complete(ctx context.Context, vault consent.Vault, redirect consent.Redirect) (consent.Authorization, error) {
	// Amazon's code lives for 5 minutes, and most of them may be gone.
	waits := []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second}
	for tried := 0; ; tried++ {
		done, err := vault.Complete(ctx, redirect)
		if !consent.Repeatable(err) || tried == len(waits) {
			return done, err
		}
		fmt.Fprintf(r.errOut, "spapictl: %s\nTrying again in %s, %d of %d\n", err, waits[tried], tried+1, len(waits))
		if err := r.pause(ctx, waits[tried]); err != nil {
			return done, errors.New("interrupted before the authorization was complete")
		}
	}
}

// readHidden reads a line, from a terminal without showing it.
func (r *authorization) readHidden(ctx context.Context) (string, error) {
	read, restore := r.readLine, func() {}
	if fd, ok := terminal(r.in); ok {
		state, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		read = func() (string, error) {
			line, err := term.ReadPassword(fd)
			return string(line), err
		}
		restore = func() { _ = term.Restore(fd, state) }
	}
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := read()
		got <- result{line, err}
	}()
	select {
	case answer := <-got:
		if answer.err != nil && !errors.Is(answer.err, io.EOF) {
			return "", answer.err
		}
		return answer.line, nil
	case <-ctx.Done(): // the goroutine goes on reading until the program ends
		restore()
		return "", errors.New("interrupted before an address was pasted")
	}
}

func (r *authorization) readLine() (string, error) {
	return bufio.NewReader(io.LimitReader(r.in, consent.LongestURL+2)).ReadString('\n')
}
