// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"vault-plugin-secrets-spapi/backend/credential"
)

type fingerprintKeyEntry struct {
	versioned
	Key []byte `json:"key"`
}

// fingerprint tells refresh tokens of this mount apart without telling anything
// about them: it is keyed with a random key that is sealed in storage.
func (s *Store) fingerprint(ctx context.Context, refreshToken credential.Secret) (string, error) {
	key, err := s.fingerprintKey(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(refreshToken.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:6]), nil
}

// fingerprintKey is made by the first write of an account: nothing may be
// written while a mount is set up.
func (s *Store) fingerprintKey(ctx context.Context) ([]byte, error) {
	s.keyLock.Lock()
	defer s.keyLock.Unlock()
	var entry fingerprintKeyEntry
	found, err := s.read(ctx, keyFingerprintKey, "fingerprint key", &entry)
	if err != nil || found {
		return entry.Key, err
	}
	entry = fingerprintKeyEntry{currentVersion(), make([]byte, 32)}
	_, _ = rand.Read(entry.Key) // never fails
	return entry.Key, s.write(ctx, keyFingerprintKey, "fingerprint key", entry)
}

// NewID returns a random identifier that was never used before.
func NewID() string { return rand.Text() }
