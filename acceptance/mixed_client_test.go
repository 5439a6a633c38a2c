// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// mixedClient is a client of the mixed load, with what it knows: of accounts and
// of a field of the config that nobody else writes, everything.
type mixedClient struct {
	*mixedLoad
	id       int
	random   *rand.Rand
	accounts []*knownAccount
	leases   []string
	noted    map[string]string // by shared account: what it wrote there
	config   any               // what it wrote into its field last; nil: nothing yet
	serial   int
	writes   map[string]string // fingerprint by refresh token
}

// knownAccount is an account that only one client writes.
type knownAccount struct {
	name         string
	exists       bool
	refreshToken string
	enabled      bool
	region       string // empty: the config's
	partner      string
	metadata     map[string]any
	lease        any // nil: the config's
	given        map[string]bool
	dropped      map[string]bool // access tokens that are not to be given any more
}

func newMixedClient(l *mixedLoad, id int) *mixedClient {
	c := &mixedClient{
		mixedLoad: l, id: id, random: rand.New(rand.NewPCG(l.seed, uint64(id))),
		noted: map[string]string{}, writes: map[string]string{},
	}
	for n := range 3 {
		c.accounts = append(c.accounts, &knownAccount{name: fmt.Sprintf("own-%d-%d", id, n), given: map[string]bool{}, dropped: map[string]bool{}})
	}
	return c
}

func (c *mixedClient) work(ctx context.Context) error {
	for n := range mixedOperations {
		select {
		case <-c.tickets:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.operate(ctx); err != nil {
			return fmt.Errorf("seed %d, client %d, operation %d: %w", c.seed, c.id, n, err)
		}
	}
	return nil
}

// operate does one operation, chosen by weight.
func (c *mixedClient) operate(ctx context.Context) error {
	own := c.accounts[c.random.IntN(len(c.accounts))]
	account := c.shared[c.random.IntN(len(c.shared))]
	switch n := c.random.IntN(100); {
	case n < 28:
		return c.readToken(ctx, own)
	case n < 54:
		return c.readSharedToken(ctx, account)
	case n < 60:
		return c.useVolatile(ctx)
	case n < 62:
		return c.readWrongly(ctx)
	case n < 69:
		return c.revoke(ctx)
	case n < 77:
		return c.write(ctx, own, http.MethodPost)
	case n < 83:
		return c.write(ctx, own, http.MethodPatch)
	case n < 85:
		return c.delete(ctx, own)
	case n < 89:
		return c.read(ctx, own)
	case n < 92:
		return c.list(ctx)
	case n < 96:
		return c.useConfig(ctx)
	default:
		return c.noteOnShared(ctx, account)
	}
}

func (c *mixedClient) next() string {
	c.serial++
	return fmt.Sprintf("C%dN%d", c.id, c.serial)
}

func (c *mixedClient) often(percent int) bool { return c.random.IntN(100) < percent }

func pick[T any](c *mixedClient, from ...T) T { return from[c.random.IntN(len(from))] }

func (c *mixedClient) minTTL() string {
	return pick(c, "", "", "", "?min_ttl=1s", "?min_ttl=5s", "?min_ttl=8s", "?min_ttl=55m")
}

func (c *mixedClient) readToken(ctx context.Context, own *knownAccount) error {
	want := http.StatusOK
	switch {
	case !own.exists:
		want = http.StatusBadRequest
	case !own.enabled:
		want = http.StatusForbidden
	}
	asked := time.Now()
	a, err := c.do(ctx, "token", http.MethodGet, "token/"+own.name+c.minTTL(), nil, want)
	if err != nil || a.Status != want && want == http.StatusOK {
		return err
	}
	if a.Status != want {
		return fmt.Errorf("token of %s: %d instead of %d, whatever Amazon does", own.name, a.Status, want)
	}
	if want != http.StatusOK {
		return nil
	}
	c.keepLease(a)
	if own.dropped[a.accessToken()] {
		return fmt.Errorf("token of %s is one from before its last change", own.name)
	}
	own.given[a.accessToken()] = true
	if own.lease != nil && own.lease != (a.LeaseID != "") {
		return fmt.Errorf("token of %s has the lease %q, generate_lease is %v", own.name, a.LeaseID, own.lease)
	}
	if err := c.checkToken(a, own.name, asked); err != nil {
		return err
	}
	if !strings.Contains(a.text("endpoint"), "sellingpartnerapi-"+a.text("region")) {
		return fmt.Errorf("token of %s for region %s is for %s", own.name, a.text("region"), a.text("endpoint"))
	}
	return own.matches(a)
}

// matches compares what an answer about an account says with what was written.
func (k *knownAccount) matches(a *answer) error {
	region := a.Data["region"]
	if k.region != "" && region != k.region || a.Data["selling_partner_id"] != k.partner || !reflect.DeepEqual(a.Data["metadata"], k.metadata) {
		return fmt.Errorf("%s is %+v, but was answered as %s", k.name, k, a.Raw)
	}
	return nil
}

func (c *mixedClient) keepLease(a *answer) {
	if a.LeaseID != "" {
		c.leases = append(c.leases, a.LeaseID)
	}
}

func (c *mixedClient) readSharedToken(ctx context.Context, account string) error {
	asked := time.Now()
	a, err := c.do(ctx, "token", http.MethodGet, "token/"+account+c.minTTL(), nil, http.StatusOK)
	if err != nil || a.Status != http.StatusOK {
		return err
	}
	c.keepLease(a)
	if err := c.checkToken(a, account, asked); err != nil {
		return err
	}
	return c.findNote(a, account)
}

// readWrongly makes a mistake that Amazon's state makes no better or worse.
func (c *mixedClient) readWrongly(ctx context.Context) error {
	path := pick(c, "token/nobody", "token/"+c.shared[0]+"?min_ttl=56m", "token/"+c.shared[0]+"?min_ttl=soon")
	_, err := c.do(ctx, "mistake", http.MethodGet, path, nil, http.StatusBadRequest)
	return err
}

func (c *mixedClient) revoke(ctx context.Context) error {
	chosen := c.random.Uint64() // also if there is none, so that a seed repeats what follows
	if len(c.leases) == 0 {
		return nil
	}
	n := int(chosen % uint64(len(c.leases)))
	lease := c.leases[n]
	c.leases = slices.Delete(c.leases, n, n+1)
	a, err := c.sys().send(ctx, http.MethodPut, "sys/leases/revoke", map[string]any{"lease_id": lease, "sync": true})
	if err != nil {
		return err
	}
	c.count(fmt.Sprint("revoke ", a.Status))
	if a.Status != http.StatusNoContent {
		return fmt.Errorf("revoking %s: %d %s", lease, a.Status, a.Raw)
	}
	return nil
}

// noteOnShared writes the client's own key into the metadata of an account that
// all of them write, and now and then its refresh token anew.
func (c *mixedClient) noteOnShared(ctx context.Context, account string) error {
	note := c.next()
	body := map[string]any{"metadata": map[string]any{fmt.Sprint("client", c.id): note}}
	_, err := c.do(ctx, "patch", http.MethodPatch, "accounts/"+account, body, http.StatusNoContent)
	if err != nil {
		return err
	}
	c.noted[account] = note
	if c.often(10) {
		body := map[string]any{"refresh_token": c.amazon.Authorize(c.clientID, account), "verify": c.often(50)}
		if _, err := c.do(ctx, "write", http.MethodPost, "accounts/"+account, body, http.StatusOK, http.StatusNoContent); err != nil {
			return err
		}
	}
	a, err := c.do(ctx, "read", http.MethodGet, "accounts/"+account, nil, http.StatusOK)
	if err != nil {
		return err
	}
	return c.findNote(a, account)
}

func (c *mixedClient) findNote(a *answer, account string) error {
	metadata, _ := a.Data["metadata"].(map[string]any)
	if note, _ := metadata[fmt.Sprint("client", c.id)].(string); note != c.noted[account] {
		return fmt.Errorf("client %d wrote %q to %s, which holds %v", c.id, c.noted[account], account, metadata)
	}
	return nil
}

// useVolatile uses an account that everybody creates, changes and deletes.
func (c *mixedClient) useVolatile(ctx context.Context) error {
	const account = "volatile"
	var err error
	switch c.random.IntN(8) {
	case 0:
		_, err = c.do(ctx, "delete", http.MethodDelete, "accounts/"+account, nil, http.StatusNoContent)
	case 1:
		body := map[string]any{"enabled": c.often(70)}
		_, err = c.do(ctx, "patch", http.MethodPatch, "accounts/"+account, body, http.StatusNoContent, http.StatusNotFound)
	case 2, 3:
		body := map[string]any{"refresh_token": c.amazon.Authorize(c.clientID, account), "verify": c.often(50)}
		_, err = c.do(ctx, "write", http.MethodPost, "accounts/"+account, body, http.StatusOK, http.StatusNoContent)
	case 4:
		_, err = c.do(ctx, "read", http.MethodGet, "accounts/"+account, nil, http.StatusOK, http.StatusNotFound)
	default:
		asked := time.Now()
		a, err := c.do(ctx, "token", http.MethodGet, "token/"+account+c.minTTL(), nil, http.StatusOK, http.StatusBadRequest, http.StatusForbidden)
		if err != nil || a.Status != http.StatusOK {
			return err
		}
		return c.checkToken(a, account, asked)
	}
	return err
}

// drop says that no access token from before may be given any more.
func (k *knownAccount) drop() {
	maps.Copy(k.dropped, k.given)
	clear(k.given)
}
