// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// pressure is clients that use a mount through all its servers: two readers for
// each server, and a writer of new accounts. Whatever happens to the servers,
// they go on until they are stopped.
type pressure struct {
	f       *fleet
	m       *mount
	client  *http.Client
	stopped atomic.Bool // and not canceled: hanging up revokes leases
	clients sync.WaitGroup

	// As it was when the pressure began: starts of the plugin, and by account
	// the exchanges that were made for other reasons than a retired token.
	startsBefore    int
	exchangesBefore map[string]int

	mu       sync.Mutex
	served   map[*vaulttest.Server]int // good answers to readers since flows
	wrong    []string                  // tokens that must not be given
	failures map[string]int            // what else was answered, by its text
	written  []*newAccount
}

// newAccount is an account that the writer has written, once.
type newAccount struct {
	name         string
	acknowledged bool
	starts       int // of the plugin, by then
}

// readAccounts are what pressure reads. Tokens of half of them are leased.
func readAccounts() []string { return []string{"leased-1", "plain-1", "leased-2", "plain-2"} }

func isLeased(account string) bool { return strings.HasPrefix(account, "leased") }

// addReadAccounts writes those accounts, with an exchange to verify each.
func (m *mount) addReadAccounts(t *testing.T) {
	t.Helper()
	for _, account := range readAccounts() {
		m.addAccount(t, account, "generate_lease", isLeased(account))
	}
}

func (f *fleet) press(t *testing.T, m *mount) *pressure {
	t.Helper()
	p := &pressure{
		f: f, m: m, startsBefore: f.starts(t), exchangesBefore: map[string]int{},
		served: map[*vaulttest.Server]int{}, failures: map[string]int{},
		// What a standby says is of interest, not what the node says to which it
		// redirects.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	for _, account := range readAccounts() {
		p.exchangesBefore[account] = m.amazon.Exchanges(account) - p.retired(t, account)
	}
	for i, node := range f.nodes {
		for reader := range 2 {
			p.clients.Go(func() { p.read(t, node, i+reader) })
		}
	}
	p.clients.Go(func() { p.write(t) })
	t.Cleanup(p.end)
	return p
}

func (p *pressure) send(t *testing.T, node *vaulttest.Server, method, path string, body any) (*answer, bool) {
	t.Helper()
	a, err := vault{server: node, prefix: p.m.prefix, client: p.client}.send(t.Context(), method, path, body)
	var failure string
	switch {
	case a == nil:
		failure = p.f.unanswered(node, err)
	case a.Status < http.StatusMultipleChoices && err != nil:
		failure = err.Error()
	default:
		failure = failureOf(a.Status, a.Raw)
	}
	if failure == "" {
		return a, true
	}
	p.mu.Lock()
	p.failures[failure]++
	p.mu.Unlock()
	pace() // who fails at once must not use up the machine
	return nil, false
}

func (p *pressure) read(t *testing.T, node *vaulttest.Server, turn int) {
	t.Helper()
	for ; !p.stopped.Load(); turn++ {
		account := readAccounts()[turn%len(readAccounts())]
		if a, ok := p.send(t, node, http.MethodGet, "token/"+account, nil); ok {
			p.check(node, account, a)
		}
	}
}

// check looks at a token as the selling partner would.
func (p *pressure) check(node *vaulttest.Server, account string, a *answer) {
	owner, live := p.m.amazon.AccountOf(a.accessToken())
	p.mu.Lock()
	defer p.mu.Unlock()
	if leased := a.LeaseID != ""; !live || owner != account || leased != isLeased(account) {
		p.wrong = append(p.wrong, fmt.Sprintf("%s was given a token of %q, live: %t, leased: %t", account, owner, live, leased))
	}
	p.served[node]++
}

// write writes one account after the other, each through another server. None is
// written twice: each attempt may cost an exchange, acknowledged or not.
func (p *pressure) write(t *testing.T) {
	t.Helper()
	prefix := fmt.Sprintf("new-%d-", p.startsBefore)
	for i := 0; !p.stopped.Load(); i++ {
		account := &newAccount{name: fmt.Sprint(prefix, i)}
		fields := map[string]any{"refresh_token": p.m.amazon.Authorize(p.m.clientID, account.name)}
		_, account.acknowledged = p.send(t, p.f.nodes[i%len(p.f.nodes)], http.MethodPost, "accounts/"+account.name, fields)
		account.starts = p.f.starts(t)
		p.written = append(p.written, account)
		pace() // each is read later on
	}
}

// pace holds up a client for a moment.
func pace() { <-time.After(20 * time.Millisecond) }

// flows waits until each of the servers has served a number of reads from now on.
func (p *pressure) flows(t *testing.T, nodes ...*vaulttest.Server) {
	t.Helper()
	const enough = 20
	p.mu.Lock()
	clear(p.served)
	p.mu.Unlock()
	waitFor(t, "reads through each server", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, node := range nodes {
			if p.served[node] < enough {
				return false
			}
		}
		return true
	})
}

func (p *pressure) end() {
	p.stopped.Store(true)
	p.clients.Wait()
	p.client.CloseIdleConnections()
}

// stop stops the clients, and checks what must hold whatever has happened: no
// token was a wrong one, every failure is one of those that are known, no
// account is lost, and no plugin process has exchanged for an account twice.
func (p *pressure) stop(t *testing.T, known ...string) {
	t.Helper()
	p.end()
	require.Empty(t, p.wrong)
	allowed := matcher(known)
	for failure, times := range p.failures {
		t.Logf("%d x %s", times, failure)
		require.Regexp(t, allowed, failure, "%d times", times)
	}
	starts := p.f.starts(t)
	for _, account := range readAccounts() {
		made := p.m.amazon.Exchanges(account) - p.retired(t, account) - p.exchangesBefore[account]
		require.LessOrEqual(t, made, starts-p.startsBefore, "exchanges of %s", account)
	}
	for _, account := range p.written {
		p.checkWritten(t, account, starts)
	}
}

// checkWritten reads a token of an account, for which there was the exchange that
// verified it, and from then on one for each start of the plugin.
func (p *pressure) checkWritten(t *testing.T, account *newAccount, starts int) {
	t.Helper()
	since := starts - p.startsBefore
	if account.acknowledged {
		since = starts - account.starts
		p.m.token(t, account.name)
	} else if a := p.m.call(t, http.MethodGet, "token/"+account.name, nil); a.Status != http.StatusOK {
		require.Equal(t, http.StatusBadRequest, a.Status, "%s", a.Raw)
		require.True(t, a.complained("Create it"), "there is none, or a whole one: %s", a.Raw)
	}
	require.LessOrEqual(t, p.m.amazon.Exchanges(account.name), 1+since, "exchanges of %s", account.name)
}

// retired is how often an account's token may have been taken out of use. Vault
// revokes a lease that it could not write.
func (p *pressure) retired(t *testing.T, account string) int {
	t.Helper()
	return p.f.logged(t, "failed to register lease: request_path="+p.m.prefix+"token/"+account)
}
