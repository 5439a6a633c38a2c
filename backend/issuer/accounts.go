// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

// AccountChange is a write of an account.
type AccountChange struct {
	Name         string
	MustExist    bool              // refuse to create one
	RefreshToken credential.Secret // zero: keep the stored one
	Verify       bool              // prove RefreshToken before it is stored
	// Allow says why the stored account, nil if there is none, may not be changed;
	// nil: it may.
	Allow func(stored *store.Account) error
	// Apply sets the other fields that the write names. It runs on the stored
	// account, or on the defaults, and may run more than once.
	Apply func(*store.Account) error

	credentialID string // of RefreshToken; one for all attempts to store it
}

// WriteAccount stores a change of an account. unproven is why its new refresh
// token could not be proven and was stored all the same, if so. A refresh token
// that Amazon refuses is not stored.
func (i *Issuer) WriteAccount(ctx context.Context, change AccountChange) (written *store.Account, unproven *fault.Error, err error) {
	change.credentialID = store.NewID()
	stored, err := i.store.Account(ctx, change.Name)
	if err != nil {
		return nil, nil, err
	}
	// What can be refused without Amazon is refused before Amazon is asked.
	merged, err := i.mergeAccount(stored, change)
	if err != nil {
		return nil, nil, err
	}
	var p proof
	if change.Verify && !change.RefreshToken.IsZero() {
		if p, err = i.proveAccount(ctx, merged); err != nil {
			return nil, nil, err
		}
	}
	written, err = i.saveAccount(ctx, change, p)
	return written, p.unproven, err
}

// proof is what Amazon said of a new refresh token before it was stored.
type proof struct {
	token        *token            // that it yielded; nil if Amazon was not asked, or could not be
	refreshToken credential.Secret // what is to be stored with token: Amazon may have changed it
	unproven     *fault.Error      // why Amazon could not be asked, if so
	// irreplaceable says that what refreshToken came from may be worth nothing any
	// more.
	irreplaceable bool
}

// saveAccount stores a change whose refresh token, if it has one, was proven.
func (i *Issuer) saveAccount(ctx context.Context, change AccountChange, p proof) (written *store.Account, err error) {
	var sameToken bool
	write := func(ctx context.Context) error {
		return i.store.UpdateAccount(ctx, change.Name, func(stored *store.Account) (*store.Account, error) {
			if stored != nil && stored.CredentialID == change.credentialID {
				return stored, nil // by the attempt before, whose answer was lost
			}
			account, err := i.mergeAccount(stored, change)
			if err != nil {
				return nil, err
			}
			sameToken = stored != nil && stored.Generation == account.Generation
			if p.token != nil {
				account.RefreshToken, account.VerifiedAt = p.refreshToken, p.token.IssuedAt.UTC()
				p.token.accountGeneration = account.Generation
			}
			if p.unproven != nil {
				account.UnprovenBecause = p.unproven.Error()
			}
			return account, nil
		}, func(account *store.Account) {
			written = account
			i.accountChanged(account, p.token, sameToken)
		})
	}
	err = write(ctx)
	if isKind(err, fault.Storage) && p.irreplaceable {
		// Tried once more, whether the operator waits or not.
		err = write(context.WithoutCancel(ctx))
	}
	if err != nil {
		i.Invalidate(store.PrefixAccount + change.Name) // it may have been stored all the same
	}
	return written, err
}

// DeleteAccount removes an account and its cached token. Amazon cannot be told.
func (i *Issuer) DeleteAccount(ctx context.Context, account string) error {
	err := i.store.DeleteAccount(ctx, account, func() {
		rec := i.lockRecord(account)
		defer rec.mu.Unlock()
		rec.supersede()
		i.sweep(rec)
		i.eachOf(account, func(rec *record) {
			rec.supersede()
			i.sweep(rec)
		})
	})
	if err != nil {
		i.Invalidate(store.PrefixAccount + account) // it may be gone all the same
	}
	return err
}

func (i *Issuer) mergeAccount(stored *store.Account, change AccountChange) (*store.Account, error) {
	now := i.now().UTC()
	account := &store.Account{Name: change.Name, Profile: store.Profile{Enabled: true}, AuthorizedAt: now, CreatedAt: now}
	if stored != nil {
		copied := *stored
		account = &copied
	} else if change.MustExist {
		return nil, &fault.Error{Kind: fault.NotFound, Account: change.Name, Message: fmt.Sprintf("account %q does not exist", change.Name)}
	}
	if change.Allow != nil {
		if err := change.Allow(stored); err != nil {
			return nil, err
		}
	}
	if !change.RefreshToken.IsZero() {
		account.RefreshToken, account.Fingerprint = change.RefreshToken, ""
		account.CredentialID, account.VerifiedAt, account.UnprovenBecause = change.credentialID, time.Time{}, ""
	}
	if err := change.Apply(account); err != nil {
		return nil, err
	}
	if account.RefreshToken.IsZero() {
		return nil, fault.BadField("refresh_token", "is required to create an account")
	}
	account.UpdatedAt = now
	if stored == nil || account.CredentialID != stored.CredentialID || account.Region != stored.Region || account.Enabled != stored.Enabled {
		account.Generation = store.NewID()
	}
	return account, nil
}

// proveAccount exchanges a new refresh token before it is stored. It fails where
// Amazon refuses that refresh token and where our side fails; that Amazon cannot
// be asked only leaves it unproven.
func (i *Issuer) proveAccount(ctx context.Context, account *store.Account) (proof, error) {
	minted, changed, err := i.exchangeOnce(ctx, account)
	if err == nil {
		p := proof{token: minted, refreshToken: account.RefreshToken}
		if !changed.IsZero() {
			p.refreshToken, p.irreplaceable = changed, true
		}
		return p, nil
	}
	switch failed := fault.Of(err); failed.Kind {
	case fault.InvalidGrant, fault.UnauthorizedClient, // Amazon refuses it
		fault.Storage, fault.Internal, fault.Canceled: // it was not Amazon that failed
		return proof{}, err
	default:
		return proof{unproven: failed}, nil
	}
}

func (i *Issuer) exchangeOnce(ctx context.Context, account *store.Account) (*token, credential.Secret, error) {
	config, settings, err := i.readConfig(ctx)
	if err != nil {
		return nil, credential.Secret{}, err
	}
	return refreshSource{}.mint(ctx, i, &order{config: config, settings: settings, account: account})
}

// accountChanged brings memory up to date with a written account. minted is the
// access token that the new refresh token yielded, if it was proven; sameToken
// says that tokens of before are still this account's.
func (i *Issuer) accountChanged(account *store.Account, minted *token, sameToken bool) {
	defer i.eachOf(account.Name, func(rec *record) {
		if !sameToken {
			rec.supersede()
			rec.current.Store(&state{})
		}
		rec.readAgain()
	})
	if !sameToken {
		i.forgive(account.Name)
	}
	if _, known := i.records.Load(account.Name); !known && minted == nil {
		return // the first reader reads it from storage
	}
	rec := i.lockRecord(account.Name)
	defer rec.mu.Unlock()
	next := state{account: account.Shared(), token: minted}
	if sameToken {
		rec.epoch++ // but the exchange under way goes on
		before := rec.state()
		next.token, next.failure = before.token, before.failure
	} else {
		rec.supersede()
	}
	rec.current.Store(&next)
}

// AccountInfo is an account with the settings in force and what exchanges found
// out about it.
type AccountInfo struct {
	*store.Account // without refresh token
	Region         string
	GenerateLease  bool
	TokenMinTTL    time.Duration
	State          store.State
	LastExchangeAt time.Time // zero if there was none
	LastError      string

	statusAt time.Time
}

// Account returns an account; nil if there is none.
func (i *Issuer) Account(ctx context.Context, name string) (*AccountInfo, error) {
	account, err := i.store.Account(ctx, name)
	if err != nil || account == nil {
		return nil, err
	}
	status, err := i.store.Status(ctx, account)
	if err != nil {
		return nil, err
	}
	inForce, err := i.settingsInForce(ctx)
	if err != nil {
		return nil, err
	}
	return i.inform(account, status, inForce), nil
}

// inform joins an account, its stored status, the settings in force, and what
// memory knows beyond storage.
func (i *Issuer) inform(account *store.Account, status store.Status, inForce *settings) *AccountInfo {
	info := &AccountInfo{
		Account: withoutCredential(account), State: status.State, LastExchangeAt: status.LastExchangeAt, LastError: status.LastError,
		Region:        string(inForce.regionOf(&account.Profile)),
		GenerateLease: inForce.leaseOf(&account.Profile),
		TokenMinTTL:   firstPositive(account.TokenMinTTL, inForce.minTTL),
		statusAt:      status.At,
	}
	if known, ok := i.records.Load(account.Name); ok {
		info.addLive(known.(*record).state())
	}
	if !account.Enabled {
		info.State = store.Disabled
	}
	return info
}

// addLive adds what memory knows beyond storage: exchanges that did not change
// the state, and those whose change is still being stored.
func (a *AccountInfo) addLive(live state) {
	if t := live.token; t != nil && t.accountGeneration == a.Generation {
		if t.IssuedAt.After(a.statusAt) {
			a.State, a.LastError = store.Active, ""
		}
		if t.IssuedAt.After(a.LastExchangeAt) {
			a.LastExchangeAt = t.IssuedAt
		}
	}
	if f := live.failure; f != nil && f.accountGeneration == a.Generation {
		a.LastError = f.err.Error()
		if f.err.Kind == fault.InvalidGrant {
			a.State = store.ReauthorizationRequired
		}
	}
}

// Accounts reads accounts for a list, in the order of their names. One that was
// deleted meanwhile is left out.
func (i *Issuer) Accounts(ctx context.Context, names []string) ([]*AccountInfo, error) {
	return i.SelectAccounts(ctx, names, AccountFilter{}, len(names))
}

// AccountFilter selects accounts. The zero value selects all.
type AccountFilter struct {
	State         store.State
	ExpiresBefore time.Time // selects those whose authorization is known to lapse before
}

func (f AccountFilter) selects(info *AccountInfo) bool {
	expires := info.AuthorizationExpiresAt
	return (f.State == "" || info.State == f.State) &&
		(f.ExpiresBefore.IsZero() || (!expires.IsZero() && expires.Before(f.ExpiresBefore)))
}

// SelectAccounts is Accounts for the first so many that a filter selects. It reads
// as many as it takes to find them, at worst all.
func (i *Issuer) SelectAccounts(ctx context.Context, names []string, filter AccountFilter, limit int) ([]*AccountInfo, error) {
	withStatus, err := i.store.StatusNames(ctx)
	if err != nil {
		return nil, err
	}
	inForce, err := i.settingsInForce(ctx)
	if err != nil {
		return nil, err
	}
	var selected []*AccountInfo
	for chunk := range slices.Chunk(names, readTogether) {
		infos, err := i.readAccounts(ctx, chunk, withStatus, inForce)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			if len(selected) == limit {
				return selected, nil
			}
			if info != nil && filter.selects(info) {
				selected = append(selected, info)
			}
		}
	}
	return selected, nil
}

const (
	// readTogether is how many accounts a filter may read in vain at the end.
	readTogether = 256
	// readsAtOnce is how many of them are read at the same time: each is a call of
	// the plugin to Vault, and mostly waits.
	readsAtOnce = 8
)

// readAccounts reads accounts, nil for each that does not exist.
func (i *Issuer) readAccounts(ctx context.Context, names []string, withStatus map[string]bool, inForce *settings) ([]*AccountInfo, error) {
	infos := make([]*AccountInfo, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for at, name := range names {
		group.Go(func() error {
			account, err := i.store.Account(ctx, name)
			if err != nil || account == nil {
				return err
			}
			status := store.InitialStatus(account)
			if withStatus[name] {
				if status, err = i.store.Status(ctx, account); err != nil {
					return err
				}
			}
			infos[at] = i.inform(account, status, inForce)
			return nil
		})
	}
	return infos, group.Wait()
}
