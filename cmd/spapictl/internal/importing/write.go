// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/accountfile"
	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

const (
	attempts  = 5
	firstWait = 500 * time.Millisecond
	// pageSize is that of names only: Vault reads no account for them.
	pageSize = 10_000
)

// list finds out which accounts exist. An account is written in one request, so
// that one which exists is complete, and an import that was interrupted can be
// run again without asking Amazon for what is stored.
func (r *run) list(ctx context.Context) error {
	r.exists = map[string]bool{}
	for after := ""; ; {
		query := url.Values{"limit": {strconv.Itoa(pageSize)}}
		if after != "" {
			query.Set("after", after)
		}
		page, err := r.repeat(ctx, ctx, 0, func(ctx context.Context) (*mount.Answer, error) { return r.vault.List(ctx, "accounts/", query) })
		if err != nil {
			return fmt.Errorf("nothing was written: listing the accounts that exist: %w", err)
		}
		if page == nil {
			return nil
		}
		names, _ := page.Data["keys"].([]any)
		last := after
		for _, name := range names {
			if text, ok := name.(string); ok {
				r.exists[text] = true
				last = max(last, text)
			}
		}
		if len(names) < pageSize || last == after {
			return nil
		}
		after = last
	}
}

// write stores one account, and tells what became of it.
func (r *run) write(stopped, working context.Context, account *accountfile.Account) (Outcome, string) {
	data := map[string]any{"refresh_token": account.RefreshToken.Reveal()}
	if r.region != "" {
		data["region"] = r.region
	}
	maps.Copy(data, account.Settings)
	secrets := secrets(account)
	spread := time.Duration(account.Place.Line%8) * firstWait / 8
	answer, err := r.repeat(stopped, working, spread, func(ctx context.Context) (*mount.Answer, error) {
		return r.vault.Write(ctx, "accounts/"+account.Name, data, secrets...)
	})
	if err != nil {
		return r.failed(err)
	}
	r.answered()
	warning := mount.Scrub(strings.Join(answer.Warnings, "; "), secrets...)
	if strings.Contains(warning, "unverified") {
		return Unverified, warning
	}
	return Stored, warning
}

func secrets(account *accountfile.Account) []credential.Secret {
	all := []credential.Secret{account.RefreshToken}
	if account.Application != nil {
		all = append(all, account.Application.Secret)
	}
	return all
}

// failed tells a refusal of this account from what will happen to the next one,
// too.
func (r *run) failed(err error) (Outcome, string) {
	reason := err.Error()
	failure := (*mount.Error)(nil)
	if !errors.As(err, &failure) {
		return Failed, reason
	}
	switch {
	case transient(failure):
		r.mu.Lock()
		r.inARow++
		inARow := r.inARow
		r.mu.Unlock()
		if inARow >= maxInARow {
			r.stop(fmt.Errorf("%d accounts in a row failed; the last answer: %s", inARow, reason))
		}
		return Failed, reason
	case failure.Status == http.StatusForbidden, failure.Status == http.StatusNotFound:
		r.stop(errors.New(reason))
		return Failed, reason
	}
	r.answered()
	return Rejected, reason
}

// answered ends a row of failures.
func (r *run) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inARow = 0
}

// repeat makes a request again after a failure that may pass, as long as nobody
// stops it.
func (r *run) repeat(stopped, working context.Context, spread time.Duration, request func(context.Context) (*mount.Answer, error)) (*mount.Answer, error) {
	wait := firstWait + spread
	for attempt := 1; ; attempt++ {
		answer, err := request(working)
		failure := (*mount.Error)(nil)
		if err == nil || attempt == attempts || !errors.As(err, &failure) || !transient(failure) {
			return answer, err
		}
		if r.Pause(stopped, wait) != nil {
			return nil, err
		}
		wait *= 2
	}
}

// transient failures may pass: no answer, too many requests, a standby that lags
// behind, and trouble inside of Vault.
func transient(failure *mount.Error) bool {
	switch failure.Status {
	case 0, http.StatusTooManyRequests, http.StatusPreconditionFailed:
		return true
	}
	return failure.Status >= http.StatusInternalServerError
}
