// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/consent"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// receive completes with the redirect that arrives at --listen. Certificate,
// address and --redirect-uri are tried before Vault makes a link.
func (r *authorization) receive(ctx context.Context, opened *mount.Mount, fields map[string]any) error {
	certificate, err := r.certificate()
	if err != nil {
		return err
	}
	if _, err := parseRedirectURI(r.redirectURI); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", withoutAddress(err))
	}
	defer listener.Close() //nolint:errcheck // closed already once it was served

	flow := consent.Flow{Mount: opened}
	var link consent.Link
	address := r.redirectURI
	if r.appstore {
		address, err = r.redirectToInvite(ctx, opened)
	} else if link, err = flow.Begin(ctx, fields); err == nil {
		address = cmp.Or(address, link.RedirectURI()) // that of the config, if it has one
	}
	if err != nil {
		return err
	}
	redirectURI, err := parseRedirectURI(address)
	if err != nil {
		return err
	}
	var untold error
	receiver, err := r.receiver(flow, redirectURI.Path, fields)
	if err != nil {
		return err
	}
	receiver.Done = func(done consent.Authorization) { untold = r.tellDone(done) }
	fmt.Fprintf(r.errOut, "Listening on %s for %s\n", listener.Addr(), redirectURI)
	forget, err := r.tellWay(receiver, link, redirectURI)
	if err != nil {
		return err
	}
	defer forget()
	if _, err := consent.Serve(ctx, listener, certificate, receiver); err != nil {
		return err
	}
	return untold
}

func (r *authorization) receiver(flow consent.Flow, path string, fields map[string]any) (*consent.Receiver, error) {
	settings := consent.Settings{
		Vault: flow, Path: path,
		Notice: func(text string) { fmt.Fprintf(r.errOut, "spapictl: %s\n", text) },
	}
	if r.appstore {
		settings.LoginPath, settings.Partner, settings.Fields = r.loginPath, r.sellingPartner, fields
	}
	return consent.NewReceiver(settings)
}

// tellWay prints where the selling partner begins: at the link, or in the Appstore
// workflow at an invitation, since there Amazon comes before Vault.
func (r *authorization) tellWay(receiver *consent.Receiver, link consent.Link, redirectURI *url.URL) (forget func(), err error) {
	if !r.appstore {
		receiver.Expect(link.State, link.ExpiresAt)
		return r.tellLink(link)
	}
	fmt.Fprintf(r.errOut, "Have selling partner %s open this invitation, which is for one browser, and then begin in Amazon's Appstore. The log-in path is %s.\n",
		r.sellingPartner, r.loginPath)
	invitation := url.URL{Scheme: redirectURI.Scheme, Host: redirectURI.Host, Path: receiver.InvitationPath()}
	_, err = fmt.Fprintln(r.out, &invitation)
	return func() {}, err
}

// redirectToInvite is the redirect URI, on whose host the invitation is: as it was
// given, or as the mount's config has it.
func (r *authorization) redirectToInvite(ctx context.Context, opened *mount.Mount) (string, error) {
	if r.redirectURI != "" {
		return r.redirectURI, nil
	}
	config, err := opened.Read(ctx, "config")
	if err != nil {
		return "", fmt.Errorf("reading the redirect URI from the config, as --redirect-uri was not given: %w", err)
	}
	if config == nil || config.Text("redirect_uri") == "" {
		return "", errors.New("--appstore needs to know the redirect URI, for the address of the invitation: give --redirect-uri, or write redirect_uri to the config")
	}
	return config.Text("redirect_uri"), nil
}

// parseRedirectURI leaves out the query, which the redirect's own replaces. No
// address at all is the path "/" of an unknown host.
func parseRedirectURI(address string) (*url.URL, error) {
	if address == "" {
		return &url.URL{Path: "/"}, nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return nil, errors.New("the redirect URI is no address that begins with https://")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path, RawPath: parsed.RawPath}, nil
}

func (r *authorization) certificate() (tls.Certificate, error) {
	read := func(flag, file string) ([]byte, error) {
		raw, err := os.ReadFile(file) //nolint:gosec // is what the user names
		if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
			err = failed.Err // without the argument
		}
		if err != nil {
			return nil, fmt.Errorf("reading the file of %s: %w", flag, err)
		}
		return raw, nil
	}
	certificate, err := read("--tls-cert", r.certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read("--tls-key", r.keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the certificate of --listen: %w", err)
	}
	return pair, nil
}

// withoutAddress is why an address cannot be listened on, without the address.
func withoutAddress(err error) error {
	address, name := (*net.AddrError)(nil), (*net.DNSError)(nil)
	system := (*os.SyscallError)(nil)
	switch {
	case errors.As(err, &address):
		return errors.New(address.Err)
	case errors.As(err, &name):
		return errors.New(name.Err)
	case errors.As(err, &system):
		return system
	}
	return errors.New("the address cannot be used")
}
