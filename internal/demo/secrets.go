// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// secrets are what must never be seen on the screen.
type secrets struct {
	clientID      string
	clientSecret  string
	refreshTokens map[string]string // by account
}

func newSecrets() secrets {
	return secrets{
		clientID:     "amzn1.application-oa2-client.demo",
		clientSecret: "amzn1.oa2-cs.v1." + rand.Text() + rand.Text(),
		refreshTokens: map[string]string{
			"acme":   "Atzr|" + rand.Text() + rand.Text(),
			"globex": "Atzr|" + rand.Text() + rand.Text(),
		},
	}
}

// write puts the secrets into files, for `vault write field=@file`.
func (s secrets) write(dir string) error {
	files := map[string]string{"client-secret": s.clientSecret}
	for account, token := range s.refreshTokens {
		files[account+"-refresh-token"] = token
	}
	for name, secret := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// check says whether one of the secrets is in a text, without repeating it.
func (s secrets) check(text string) error {
	if strings.Contains(text, s.clientSecret) {
		return fmt.Errorf("the client secret was shown")
	}
	for account, token := range s.refreshTokens {
		if strings.Contains(text, token) {
			return fmt.Errorf("the refresh token of %s was shown", account)
		}
	}
	return nil
}
