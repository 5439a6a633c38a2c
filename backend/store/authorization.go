// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
)

const (
	prefixAuthorization = "authorization/"
	// MaxAuthorizations bounds the authorizations that wait for their callback.
	MaxAuthorizations = 10_000
	// stateBytes is how much of a state is random; what follows says when it
	// expires, so that its entry can be found, counted and tidied by its key alone.
	stateBytes = 32
	// keptExpired is how long an expired entry stays, for a callback that comes too
	// late to be told so.
	keptExpired = time.Hour
	// maxTidied bounds what is removed each minute, which has to be quick.
	maxTidied = 500
)

// Authorization is what was asked of a selling partner, and what the account will
// be once it is given.
type Authorization struct {
	Account          string    `json:"account"`
	ClientID         string    `json:"client_id"` // of the application that asked
	ExpiresAt        time.Time `json:"expires_at"`
	SellingPartnerID string    `json:"selling_partner_id,omitempty"` // who has to give it; empty: whoever does
	RedirectURI      string    `json:"redirect_uri,omitempty"`
	Region           string    `json:"region,omitempty"`
	Kind             string    `json:"kind,omitempty"`
	MarketplaceIDs   []string  `json:"marketplace_ids,omitempty"`
	Metadata         Metadata  `json:"metadata,omitempty"`
	Exists           bool      `json:"exists,omitempty"`      // the account did, when this was asked for
	Reauthorize      bool      `json:"reauthorize,omitempty"` // the account may exist
	Force            bool      `json:"force,omitempty"`       // and be another selling partner's or region's
}

type authorizationEntry struct {
	versioned
	Authorization
	Claimed bool `json:"claimed,omitempty"` // by a callback
}

// AddAuthorization stores an authorization to be completed until it expires, and
// returns its state. Only a hash of the state is stored.
func (s *Store) AddAuthorization(ctx context.Context, a Authorization, now time.Time) (credential.Secret, error) {
	s.authorizationLock.Lock()
	defer s.authorizationLock.Unlock()
	names, err := s.list(ctx, prefixAuthorization, "authorizations")
	if err != nil {
		return credential.Secret{}, err
	}
	if len(names) >= MaxAuthorizations {
		// Room is made of those that expired; nobody waits for all of them to go.
		left, err := s.removeExpired(ctx, names, now, 2)
		if err != nil {
			return credential.Secret{}, err
		}
		if left >= MaxAuthorizations {
			return credential.Secret{}, fault.New(fault.Full, "%d authorizations wait for their callback already, which is as many as may", left)
		}
	}
	state := newState(a.ExpiresAt)
	return state, s.putAuthorization(ctx, state, a, false)
}

// removeExpired removes at most limit authorizations that had expired at a time,
// and returns how many there still are.
func (s *Store) removeExpired(ctx context.Context, names []string, at time.Time, limit int) (left int, err error) {
	left = len(names)
	for _, name := range names {
		if limit == 0 {
			break
		}
		if expiryOf(name).After(at) {
			continue
		}
		if err := s.remove(ctx, prefixAuthorization+name, "authorization"); err != nil {
			return left, err
		}
		left--
		limit--
	}
	return left, nil
}

// ClaimAuthorization returns the authorization of a state to one callback only;
// nil if there is none. Claims take turns. That the claim was stored shows, too,
// that storage takes writes just now.
func (s *Store) ClaimAuthorization(ctx context.Context, state credential.Secret) (*Authorization, error) {
	name := nameOf(state)
	if name == "" {
		return nil, nil
	}
	s.authorizationLock.Lock()
	defer s.authorizationLock.Unlock()
	var entry authorizationEntry
	found, err := s.read(ctx, prefixAuthorization+name, "authorization", &entry)
	if err != nil || !found {
		return nil, err
	}
	if entry.Claimed {
		return nil, &fault.Error{Kind: fault.InvalidState, Account: entry.Account, Spent: true, Message: "the state was used before"}
	}
	if err := s.putAuthorization(ctx, state, entry.Authorization, true); err != nil {
		// It may have been stored all the same.
		if s.putAuthorization(context.WithoutCancel(ctx), state, entry.Authorization, false) != nil {
			fault.Of(err).Message += ", and the state may be spent by it"
		}
		return nil, err
	}
	return &entry.Authorization, nil
}

// ReturnAuthorization undoes a claim, so that another callback may come.
func (s *Store) ReturnAuthorization(ctx context.Context, state credential.Secret, a *Authorization) error {
	s.authorizationLock.Lock()
	defer s.authorizationLock.Unlock()
	return s.putAuthorization(ctx, state, *a, false)
}

// RemoveAuthorization removes what was claimed for good.
func (s *Store) RemoveAuthorization(ctx context.Context, state credential.Secret) error {
	return s.remove(ctx, prefixAuthorization+nameOf(state), "authorization")
}

func (s *Store) putAuthorization(ctx context.Context, state credential.Secret, a Authorization, claimed bool) error {
	defer s.authorizations.Store(true) // also if it failed: it may have been stored all the same
	return s.write(ctx, prefixAuthorization+nameOf(state), "authorization", authorizationEntry{currentVersion(), a, claimed})
}

// TidyAuthorizations removes what expired a while ago, a part at a time. It reads no
// entry, and calls nobody where none can be. No callback waits for it: what it
// removes, none can use.
func (s *Store) TidyAuthorizations(ctx context.Context, now time.Time) error {
	if !s.authorizations.Swap(false) {
		return nil
	}
	names, err := s.list(ctx, prefixAuthorization, "authorizations")
	left := len(names)
	if err == nil {
		left, err = s.removeExpired(ctx, names, now.Add(-keptExpired), maxTidied)
	}
	if err != nil || left > 0 {
		s.authorizations.Store(true)
	}
	return err
}

// AuthorizationsMayExist says that another node may have written some.
func (s *Store) AuthorizationsMayExist(key string) {
	if strings.HasPrefix(key, prefixAuthorization) {
		s.authorizations.Store(true)
	}
}

func newState(expiresAt time.Time) credential.Secret {
	raw := make([]byte, stateBytes, stateBytes+8)
	_, _ = rand.Read(raw)                                              // never fails
	raw = binary.BigEndian.AppendUint64(raw, uint64(expiresAt.Unix())) //nolint:gosec // after 1970
	return credential.New(base64.RawURLEncoding.EncodeToString(raw))
}

// nameOf is where the authorization of a state stands: when it expires, and a
// hash of the state. It is empty for what cannot be a state.
func nameOf(state credential.Secret) string {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(state.Reveal())
	if err != nil || len(raw) != stateBytes+8 {
		return ""
	}
	hash := sha256.Sum256(raw)
	return fmt.Sprintf("%d-%s", binary.BigEndian.Uint64(raw[stateBytes:]), hex.EncodeToString(hash[:]))
}

// expiryOf is when the authorization of that name expires, long ago if the name is
// none of ours.
func expiryOf(name string) time.Time {
	text, _, _ := strings.Cut(name, "-")
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}
