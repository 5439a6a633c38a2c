// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// receive completes with the redirect that arrives at --listen. What can fail
// here fails before Vault makes a link.
func (r *authorization) receive(ctx context.Context, opened *mount.Mount, fields map[string]any) error {
	certificate, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
	if err != nil {
		return fmt.Errorf("the certificate of --listen: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.listen)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // closed already once it was served

	flow := consent.Flow{Mount: opened}
	var link consent.Link
	if !r.appstore {
		if link, err = flow.Begin(ctx, fields); err != nil {
			return err
		}
	}
	redirectURI, err := r.redirect(ctx, opened, link)
	if err != nil {
		return err
	}
	receiver, err := r.receiver(flow, redirectURI, fields)
	if err != nil {
		return err
	}
	r.tellListening(listener.Addr(), redirectURI)
	if !r.appstore {
		receiver.Expect(link.State, link.ExpiresAt)
		defer r.tellLink(link)()
	}
	done, err := consent.Serve(ctx, listener, certificate, receiver)
	if err != nil {
		return err
	}
	r.tellDone(done)
	return nil
}

func (r *authorization) receiver(flow consent.Flow, redirectURI string, fields map[string]any) (*consent.Receiver, error) {
	address, err := url.Parse(redirectURI)
	if err != nil {
		return nil, errors.New("the redirect URI is no URL")
	}
	settings := consent.Settings{
		Vault: flow, Path: address.Path,
		Notice: func(text string) { fmt.Fprintf(r.errOut, "spapictl: %s\n", text) },
	}
	if r.appstore {
		settings.LoginPath, settings.Partner, settings.Fields = r.loginPath, r.sellingPartner, fields
	}
	return consent.NewReceiver(settings)
}

func (r *authorization) tellListening(address net.Addr, redirectURI string) {
	if redirectURI == "" {
		redirectURI = "/"
	}
	fmt.Fprintf(r.errOut, "Listening on %s for %s\n", address, redirectURI)
	if r.appstore {
		fmt.Fprintf(r.errOut, "Waiting for selling partner %s to authorize the application in Amazon's Appstore; the log-in path is %s\n",
			r.sellingPartner, r.loginPath)
	}
}
