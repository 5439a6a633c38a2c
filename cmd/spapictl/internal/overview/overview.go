// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package overview shows how the accounts of a mount are.
package overview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"vault-plugin-secrets-spapi/cmd/spapictl/internal/mount"
)

// pageLength is how many accounts Vault describes in one answer.
const pageLength = 1000

// soon is how many days before its end an authorization is worth a look; the engine
// warns from then on.
const soon = 30

// Account is what is known of an account. The names of its members in JSON are
// stable.
type Account struct {
	Name                   string  `json:"account"`
	Region                 string  `json:"region"`
	Status                 string  `json:"status"`
	SellingPartnerID       string  `json:"selling_partner_id"`
	AuthorizationExpiresAt *string `json:"authorization_expires_at"`
	// DaysLeft are the whole days until the authorization expires, negative if it
	// has; null if nobody knows when.
	DaysLeft *int `json:"days_left"`
}

// Filter is what Vault is asked to leave out.
type Filter struct {
	Status        string
	ExpiresBefore time.Time // zero: do not filter
}

// Read lists the accounts of a mount, those that need somebody first.
func Read(ctx context.Context, m *mount.Mount, filter Filter, now time.Time) ([]Account, []string, error) {
	query := url.Values{"limit": {strconv.Itoa(pageLength)}}
	if filter.Status != "" {
		query.Set("status", filter.Status)
	}
	if !filter.ExpiresBefore.IsZero() {
		query.Set("expires_before", filter.ExpiresBefore.UTC().Format(time.RFC3339))
	}
	accounts, warnings := []Account{}, []string{}
	for last := ""; ; {
		if last != "" {
			query.Set("after", last)
		}
		answer, err := m.List(ctx, "accounts/", query)
		if err != nil {
			return nil, nil, err
		}
		page, err := parse(answer, now)
		if err != nil {
			return nil, nil, err
		}
		accounts = append(accounts, page...)
		if answer != nil {
			warnings = append(warnings, answer.Warnings...)
		}
		if len(page) < pageLength {
			slices.SortFunc(accounts, byUrgency)
			return accounts, slices.Compact(warnings), nil
		}
		if page[len(page)-1].Name <= last {
			return nil, nil, fmt.Errorf("the accounts after %q were listed once more: is an older version of the engine mounted?", last)
		}
		last = page[len(page)-1].Name
	}
}

// parse reads a page. An account without further information is listed as well.
func parse(answer *mount.Answer, now time.Time) ([]Account, error) {
	if answer == nil {
		return nil, nil
	}
	names, _ := answer.Data["keys"].([]any)
	infos, _ := answer.Data["key_info"].(map[string]any)
	accounts := make([]Account, 0, len(names))
	for _, key := range names {
		name, ok := key.(string)
		if !ok || name == "" {
			return nil, errors.New("an account without a name was listed")
		}
		info, _ := infos[name].(map[string]any)
		account := Account{
			Name: name, Region: text(info, "region"), Status: text(info, "status"),
			SellingPartnerID: text(info, "selling_partner_id"),
		}
		if stamp := text(info, "authorization_expires_at"); stamp != "" {
			at, err := time.Parse(time.RFC3339, stamp)
			if err != nil {
				return nil, fmt.Errorf("account %q: authorization_expires_at %q is no time", name, stamp)
			}
			days := daysBetween(now, at)
			account.AuthorizationExpiresAt, account.DaysLeft = &stamp, &days
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

func text(info map[string]any, field string) string {
	value, _ := info[field].(string)
	return value
}

// daysBetween counts whole days, downwards: an hour after the end is -1.
func daysBetween(now, end time.Time) int {
	const day = 24 * time.Hour
	return int(math.Floor(float64(end.Sub(now)) / float64(day)))
}

// urgency is what somebody has to do about an account, most urgent first.
type urgency int

const (
	reauthorize urgency = iota
	expired
	expiring
	unverified
	unknown
	disabled
	fine
)

// urgency of an account. Nobody needs to care for a disabled one.
func (a Account) urgency() urgency {
	switch {
	case a.Status == "disabled":
		return disabled
	case a.Status == "reauthorization_required":
		return reauthorize
	case a.DaysLeft != nil && *a.DaysLeft < 0:
		return expired
	case a.DaysLeft != nil && *a.DaysLeft < soon:
		return expiring
	case a.Status == "unverified":
		return unverified
	case a.Status != "active":
		return unknown
	}
	return fine
}

func byUrgency(a, b Account) int {
	return cmp.Or(
		cmp.Compare(a.urgency(), b.urgency()),
		cmp.Compare(a.daysOr(math.MaxInt), b.daysOr(math.MaxInt)),
		cmp.Compare(a.Name, b.Name),
	)
}

func (a Account) daysOr(otherwise int) int {
	if a.DaysLeft == nil {
		return otherwise
	}
	return *a.DaysLeft
}
