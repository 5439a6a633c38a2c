// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Limits of the server. An answer may take as long as Vault's, for which the
// client waits a minute.
const (
	headerLimit    = 10 * time.Second
	requestLimit   = 30 * time.Second
	answerLimit    = 2 * time.Minute
	idleLimit      = time.Minute
	largestHeader  = 32 << 10
	largestBody    = 4 << 10
	deliveryLimit  = 30 * time.Second // for browsers to fetch the result, slow ones as well
	interruptLimit = 10 * time.Second // for an exchange that runs at Ctrl-C, and then for browsers
)

// The ends of a Receiver to which nobody came back.
var (
	ErrExpired     = errors.New("nobody came back from Amazon before the link expired; run the command again for a new one")
	ErrInterrupted = errors.New("interrupted before anybody came back from Amazon")
)

// Serve serves the Receiver on a listener, which it closes, until there is an
// outcome and it was shown, the last expected state has expired, or ctx ends. Of
// an authorization it tells Done before that is shown.
func Serve(ctx context.Context, listener net.Listener, certificate tls.Certificate, r *Receiver) (Authorization, error) {
	server := &http.Server{
		Handler:           http.MaxBytesHandler(r, largestBody),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: headerLimit,
		ReadTimeout:       requestLimit,
		WriteTimeout:      answerLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    largestHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes of whoever passes by
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()

	done, err := r.wait(ctx, failed)

	if err == nil && r.Done != nil {
		r.Done(done)
	}
	// Who interrupts now has read the outcome, and ends the wait.
	rest, longest := ctx, deliveryLimit
	if ctx.Err() != nil {
		rest, longest = context.WithoutCancel(ctx), r.patience
	}
	limit, cancel := context.WithTimeout(rest, longest)
	defer cancel()
	r.deliver(limit)
	_ = server.Shutdown(limit)
	_ = server.Close()
	return done, err
}

// wait returns the outcome, or why there is none.
func (r *Receiver) wait(ctx context.Context, failed <-chan error) (Authorization, error) {
	expiry, stop := r.expiry()
	defer stop()
	select {
	case <-r.ended:
		return r.outcome(nil)
	case err := <-failed:
		return Authorization{}, err
	case <-expiry:
		r.finish(ctx)
		if ctx.Err() == nil {
			return r.outcome(r.expired)
		}
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience)
	defer cancel()
	r.finish(limit)
	return r.outcome(r.interrupted)
}

// expired says why there is no outcome when the last state has expired.
func (r *Receiver) expired() error {
	if r.phase == repeatable {
		return fmt.Errorf("somebody came back from Amazon, but Vault could not complete it before the link expired: %w", r.err)
	}
	return ErrExpired
}

// interrupted says why there is no outcome at Ctrl-C, and what can still be used.
func (r *Receiver) interrupted() error {
	what := "the link"
	if r.LoginPath != "" {
		what = "the last log-in"
	}
	until := StillValid(what, r.deadline())
	switch r.phase {
	case exchanging:
		return &UnknownError{errors.New("interrupted before Vault answered")}
	case repeatable:
		return fmt.Errorf("interrupted: somebody came back from Amazon, but Vault could not complete it%s: %w", until, r.err)
	default:
		return fmt.Errorf("%w%s", ErrInterrupted, until)
	}
}

// StillValid ends a sentence with until when Vault takes what was begun; it is empty
// if that is over.
func StillValid(what string, expiresAt time.Time) string {
	if !expiresAt.After(time.Now()) {
		return ""
	}
	return fmt.Sprintf(" (%s stays valid in Vault until %s)", what, expiresAt.UTC().Format("15:04:05 MST"))
}

// expiry is ready when the last state has expired. In the Appstore workflow it
// never is: who logs in again gets another state.
func (r *Receiver) expiry() (<-chan time.Time, func()) {
	if r.LoginPath != "" {
		return nil, func() {}
	}
	r.mu.Lock()
	timer := time.NewTimer(time.Until(r.deadline()))
	r.mu.Unlock()
	return timer.C, func() { timer.Stop() }
}

// finish waits for an exchange that runs.
func (r *Receiver) finish(ctx context.Context) {
	r.mu.Lock()
	exchange, running := r.exchange, r.phase == exchanging
	r.mu.Unlock()
	if !running {
		return
	}
	r.notice("waiting for the answer of Vault")
	select {
	case <-exchange:
	case <-ctx.Done():
	}
}

// outcome is what came of it, or otherwise if nothing did.
func (r *Receiver) outcome(otherwise func() error) (Authorization, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == over {
		return r.done, r.err
	}
	return Authorization{}, otherwise()
}

// deliver waits until each browser that was led to the result has fetched it.
func (r *Receiver) deliver(ctx context.Context) {
	for r.undelivered() {
		select {
		case <-r.followed:
		case <-ctx.Done():
			return
		}
	}
}
