// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	amazonHost = "amazon.com" // of the Appstore's callback

	certificateLife = 24 * time.Hour
)

// sellerCentrals are the hosts of the consent page for sellers (SP-API docs,
// "Seller Central URLs", with the older host of each country in Europe).
func sellerCentrals() []string {
	return []string{
		"sellercentral.amazon.ca", "sellercentral.amazon.com", "sellercentral.amazon.com.mx", "sellercentral.amazon.com.br",

		"sellercentral-europe.amazon.com",
		"sellercentral.amazon.ie", "sellercentral.amazon.es", "sellercentral.amazon.co.uk", "sellercentral.amazon.fr",
		"sellercentral.amazon.com.be", "sellercentral.amazon.nl", "sellercentral.amazon.de", "sellercentral.amazon.it",
		"sellercentral.amazon.se", "sellercentral.amazon.co.za", "sellercentral.amazon.pl", "sellercentral.amazon.eg",
		"sellercentral.amazon.com.tr", "sellercentral.amazon.sa", "sellercentral.amazon.ae", "sellercentral.amazon.in",

		"sellercentral.amazon.sg", "sellercentral.amazon.com.au", "sellercentral.amazon.co.jp",
	}
}

// vendorCentrals are the hosts of the consent page for vendors (SP-API docs,
// "Vendor Central URLs", with India's older host). Ireland and South Africa have none.
func vendorCentrals() []string {
	return []string{
		"vendorcentral.amazon.ca", "vendorcentral.amazon.com", "vendorcentral.amazon.com.mx", "vendorcentral.amazon.com.br",

		"vendorcentral.amazon.es", "vendorcentral.amazon.co.uk", "vendorcentral.amazon.fr", "vendorcentral.amazon.com.be",
		"vendorcentral.amazon.nl", "vendorcentral.amazon.de", "vendorcentral.amazon.it", "vendorcentral.amazon.se",
		"vendorcentral.amazon.pl", "vendorcentral.amazon.me", "vendorcentral.amazon.com.tr",
		"www.vendorcentral.in", "vendorcentral.amazon.in",

		"vendorcentral.amazon.com.sg", "vendorcentral.amazon.com.au", "vendorcentral.amazon.co.jp",
	}
}

func siteName(host string) string {
	if slices.Contains(vendorCentrals(), host) {
		return "Vendor Central"
	}
	return "Seller Central"
}

// siteServes tells which page is where: the consent page on the central hosts,
// the Appstore's callback on amazon.com, the Appstore of this package on all.
func siteServes(host, path string) bool {
	central := slices.Contains(sellerCentrals(), host) || slices.Contains(vendorCentrals(), host)
	switch {
	case path == consentPath:
		return central
	case strings.HasPrefix(path, confirmPath):
		return host == amazonHost
	case strings.HasPrefix(path, appstorePath):
		return central || host == amazonHost
	}
	return false
}

// ServeConsentTLS serves the pages for browsers, and nothing else, on one more
// listener until Close, under a self-signed certificate. Requests must come under
// the names of Amazon's hosts, so the browser needs a mapped resolver, and has
// to ignore errors of certificates.
func (s *Server) ServeConsentTLS() (addr string, err error) {
	certificate, err := selfSigned()
	if err != nil {
		return "", fmt.Errorf("amazontest: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(s.base(nil), "tcp", defaultListen)
	if err != nil {
		return "", fmt.Errorf("amazontest: %w", err)
	}
	// Without HTTP/2, a handler lives no longer than its connection, which Close waits for.
	listener = tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	mux := http.NewServeMux()
	s.addPages(mux)
	return listener.Addr().String(), s.serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !siteServes(r.Host, r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// selfSigned makes a certificate for all of Amazon's hosts that are simulated.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now() // the browser's clock, not the simulation's
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "simulated Amazon"},
		DNSNames:     slices.Concat(sellerCentrals(), vendorCentrals(), []string{amazonHost}),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
