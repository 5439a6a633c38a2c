// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
)

// mostPastes bounds how often somebody at a terminal is asked again.
const mostPastes = 3

// hiddenTerminal is a terminal that does not show what is typed or pasted.
type hiddenTerminal struct {
	chunks  <-chan []byte // what comes; closed when the terminal is
	discard func()        // what has come, and nobody read
	show    func()        // from now on, after discarding: the shell would run the rest of a paste
}

// ignore reads what nobody waits for, so that it does not pile up.
func (t *hiddenTerminal) ignore() {
	for range t.chunks {
		continue
	}
}

// paste completes with the redirected address that somebody pastes. A terminal shows
// nothing until all is over, since the rest of a long paste may come late.
func (r *authorization) paste(ctx context.Context, vault consent.Vault, fields map[string]any) error {
	var hidden *hiddenTerminal
	if in, interactive := terminal(r.in); interactive {
		var err error
		if hidden, err = hide(in); err != nil {
			return fmt.Errorf("hiding the input: %w", err)
		}
		defer hidden.show()
	}
	link, err := vault.Begin(ctx, fields)
	if err != nil {
		return err
	}
	forget, err := r.tellLink(link)
	if err != nil {
		return err
	}
	defer forget()
	redirect, err := r.askForRedirect(ctx, hidden, link)
	if err != nil {
		return err
	}
	if hidden != nil {
		go hidden.ignore()
	}
	done, err := r.complete(ctx, vault, redirect, link)
	if err != nil {
		return err
	}
	return r.tellDone(done)
}

// askForRedirect asks until the address can be used: Vault and Amazon have not
// been asked yet, so nothing is lost by a wrong one.
func (r *authorization) askForRedirect(ctx context.Context, hidden *hiddenTerminal, link consent.Link) (consent.Redirect, error) {
	fmt.Fprintln(r.errOut, "Then paste the address to which Amazon sent the browser, and press Enter. It is not shown:")
	for tried := 1; ; tried++ {
		pasted, err := r.readAddress(ctx, hidden)
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted before an address was pasted%s", consent.StillValid("the link", link.ExpiresAt))
		}
		if err != nil {
			return consent.Redirect{}, err
		}
		redirect, err := consent.ParseURL(pasted)
		if !redirect.State.IsZero() && !redirect.State.Equal(link.State) {
			err = errors.New("the address belongs to another link: paste the one that follows from the link above")
		}
		if err == nil || hidden == nil || tried == mostPastes {
			return redirect, err
		}
		hidden.discard()
		fmt.Fprintf(r.errOut, "spapictl: %s\nOnce more:\n", err)
	}
}

// complete repeats a callback for which Vault gave the state back.
func (r *authorization) complete(ctx context.Context, vault consent.Vault, redirect consent.Redirect, link consent.Link) (consent.Authorization, error) {
	// Amazon's code lives for 5 minutes, and most of them may be gone.
	waits := []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second}
	attempts := consent.Attempts{Vault: vault}
	for tried := 0; ; tried++ {
		done, err := attempts.Complete(ctx, redirect)
		if !consent.Repeatable(err) || tried == len(waits) {
			return done, err
		}
		fmt.Fprintf(r.errOut, "spapictl: %s\nTrying again in %s, %d of %d\n", err, waits[tried], tried+1, len(waits))
		if r.pause(ctx, waits[tried]) != nil {
			return done, fmt.Errorf("interrupted: Vault could not complete the authorization%s: %w", consent.StillValid("the link", link.ExpiresAt), err)
		}
	}
}

// readAddress reads what is pasted: from a terminal all of it, else a line.
func (r *authorization) readAddress(ctx context.Context, hidden *hiddenTerminal) (string, error) {
	if hidden != nil {
		return r.readPaste(ctx, hidden.chunks), nil
	}
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(r.in, consent.LongestURL+2)).ReadString('\n')
		got <- result{line, err}
	}()
	select {
	case answer := <-got:
		if answer.err != nil && !errors.Is(answer.err, io.EOF) {
			return "", answer.err
		}
		return answer.line, nil
	case <-ctx.Done(): // the goroutine goes on reading until the program ends
		return "", ctx.Err()
	}
}

// readPaste reads until a line has ended and nothing more comes: an address that was
// wrapped arrives as several lines.
func (r *authorization) readPaste(ctx context.Context, chunks <-chan []byte) string {
	var text []byte
	var quiet <-chan time.Time
	for {
		var chunk []byte
		var more bool
		select {
		case chunk, more = <-chunks:
		case <-quiet:
			select {
			case chunk, more = <-chunks: // in the same moment
			default:
				return withoutMarks(text)
			}
		case <-ctx.Done():
			return ""
		}
		var ended bool
		if text, ended = typed(text, chunk); ended || !more {
			return withoutMarks(text)
		}
		if bytes.IndexByte(text, '\n') >= 0 {
			quiet = r.quiet(withoutMarks(text))
		}
	}
}

// typed adds what came from a terminal to a text, as far as it is needed, and does
// what a terminal does that edits lines. Ctrl-D ends the text.
func typed(text, chunk []byte) (longer []byte, ended bool) {
	const backspace, controlD, controlU, rubout = 0x08, 0x04, 0x15, 0x7f
	for _, char := range chunk {
		switch char {
		case controlD:
			return text, true
		case controlU:
			text = text[:0]
		case backspace, rubout:
			text = text[:max(0, len(text)-1)]
		case '\r', '\n':
			if len(text) > 0 { // an Enter too many
				text = append(text, '\n')
			}
		default:
			text = append(text, char)
		}
	}
	const enough = 2 * consent.LongestURL // is refused
	return text[:min(len(text), enough)], false
}

// withoutMarks takes out what some terminals put around a paste.
func withoutMarks(text []byte) string {
	return strings.NewReplacer("\x1b[200~", "", "\x1b[201~", "").Replace(string(text))
}

// quiet is ready when a terminal is done with what it pasted, unless more comes.
// Where something is missing more will come, or somebody has to be told.
func quiet(pasted string) <-chan time.Time {
	if _, err := consent.ParseURL(pasted); err != nil {
		return time.After(1500 * time.Millisecond)
	}
	return time.After(500 * time.Millisecond)
}
