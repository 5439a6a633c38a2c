// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package acceptance_test runs the built plugin in real Vault servers, over
// their HTTP API and command line. Only Amazon is simulated.
package acceptance_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/amazontest"
	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// plugin is the name in the catalog of Vault.
const plugin = "spapi"

// stage is a Vault server with the plugin registered, and the Amazons that the
// registration allows. One plugin process serves all mounts of a stage.
type stage struct {
	*vaulttest.Server
	all     []*amazontest.Server
	amazons chan *amazontest.Server // those that no mount has taken yet
	clocks  map[*amazontest.Server]*skewedClock
}

// skewedClock is the time, and how far a test has put an Amazon ahead of it.
type skewedClock struct{ ahead atomic.Int64 }

func (c *skewedClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// shared is the stage of all tests that harm neither server nor plugin. Each of
// them has mounts and Amazons of its own.
var shared *stage //nolint:gochecknoglobals // starting a Vault per test would take minutes

const sharedAmazons = 96

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	ctx := context.Background()
	server, err := vaulttest.Start(ctx, vaulttest.Options{})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = server.Close(ctx) }()
	if shared, err = newStage(ctx, server, sharedAmazons); err != nil {
		return fail(err)
	}
	defer shared.closeAmazons()
	moreAtOnce()
	code := m.Run()
	if err := shared.healthy(); err != nil {
		return fail(err)
	}
	return code
}

// moreAtOnce runs more tests in parallel than there are cores, unless the caller
// asked for a number: tests of agents and of restarts mostly wait.
func moreAtOnce() {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("8")
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// ownStage starts a server for one test.
func ownStage(t *testing.T, opts vaulttest.Options) *stage {
	t.Helper()
	s, err := newStage(t.Context(), vaulttest.New(t, opts), 3)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.healthy())
		s.closeAmazons()
	})
	return s
}

func newStage(ctx context.Context, server *vaulttest.Server, amazons int) (*stage, error) {
	s := &stage{Server: server, amazons: make(chan *amazontest.Server, amazons), clocks: map[*amazontest.Server]*skewedClock{}}
	for range amazons {
		clock := &skewedClock{}
		amazon, err := amazontest.New(amazontest.Options{Now: clock.now})
		if err != nil {
			return nil, err
		}
		s.clocks[amazon] = clock
		s.all = append(s.all, amazon)
		s.amazons <- amazon
	}
	return s, s.register(ctx, s.allowed())
}

func (s *stage) allowed() string {
	urls := make([]string, 0, len(s.all))
	for _, amazon := range s.all {
		urls = append(urls, amazon.URL())
	}
	return strings.Join(urls, ",")
}

// register registers the plugin, again if it was; allowed may be empty.
func (s *stage) register(ctx context.Context, allowed string) error {
	binary, err := vaulttest.PluginBinary(ctx)
	if err != nil {
		return err
	}
	env := []string{"GORACE=log_path=" + s.raceLog()}
	if allowed != "" {
		env = append(env, "SPAPI_ALLOWED_ENDPOINTS="+allowed)
	}
	return s.RegisterPlugin(ctx, plugin, binary, "", env)
}

func (s *stage) closeAmazons() {
	for _, amazon := range s.all {
		amazon.Close()
	}
}

// raceLog is where the race detector of a plugin writes, with the process id
// appended: what a plugin says on stderr is below Vault's usual log level.
func (s *stage) raceLog() string { return filepath.Join(s.Dir(), "race") }

// healthy reports data races and panics of the plugins of a server.
func (s *stage) healthy() error {
	races, err := filepath.Glob(s.raceLog() + ".*")
	if err != nil {
		return err
	}
	if len(races) > 0 {
		report, err := os.ReadFile(races[0])
		return errors.Join(err, fmt.Errorf("a plugin raced: %s", report))
	}
	log, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err
	}
	if at := strings.Index(string(log), "panic: "); at >= 0 {
		return fmt.Errorf("a plugin crashed: %.2000s", log[at:])
	}
	return nil
}

// mount is a mount of the engine, and the Amazon that it talks to.
type mount struct {
	vault
	stage        *stage
	amazon       *amazontest.Server
	path         string
	clientID     string
	clientSecret string
}

// newMount mounts the plugin and writes the config. More fields of the config
// come in pairs of name and value.
func (s *stage) newMount(t *testing.T, config ...any) *mount {
	t.Helper()
	m := s.newBareMount(t, strings.ToLower(t.Name()))
	m.writeConfig(t, config...)
	return m
}

// newBareMount is newMount without config.
func (s *stage) newBareMount(t *testing.T, path string) *mount {
	t.Helper()
	m := &mount{
		vault: vault{server: s.Server, prefix: path + "/"}, stage: s, amazon: s.takeAmazon(t), path: path,
		clientID: "amzn1.application-oa2-client." + path, clientSecret: "amzn1.oa2-cs.v1." + path,
	}
	m.amazon.AddClient(m.clientID, m.clientSecret)
	require.NoError(t, s.Mount(t.Context(), path, plugin, nil))
	return m
}

// ageAmazon puts the mount's Amazon ahead, by which codes and tokens expire there.
func (m *mount) ageAmazon(d time.Duration) { m.stage.clocks[m.amazon].ahead.Add(int64(d)) }

func (s *stage) takeAmazon(t *testing.T) *amazontest.Server {
	t.Helper()
	select {
	case amazon := <-s.amazons:
		return amazon
	default:
		require.FailNow(t, "the stage has too few Amazons")
		return nil
	}
}

func (m *mount) writeConfig(t *testing.T, more ...any) {
	t.Helper()
	fields := map[string]any{"client_id": m.clientID, "client_secret": m.clientSecret, "lwa_endpoint": m.amazon.LWAEndpoint()}
	m.ok(t, http.MethodPost, "config", with(fields, more...))
}

// addAccount lets a selling partner authorize the application, and writes the
// account. It returns the refresh token.
func (m *mount) addAccount(t *testing.T, name string, more ...any) string {
	t.Helper()
	refreshToken := m.amazon.Authorize(m.clientID, name)
	m.ok(t, http.MethodPost, "accounts/"+name, with(map[string]any{"refresh_token": refreshToken}, more...))
	return refreshToken
}

// token reads a token that must be given.
func (m *mount) token(t *testing.T, account string) *answer {
	t.Helper()
	a := m.ok(t, http.MethodGet, "token/"+account, nil)
	owner, live := m.amazon.AccountOf(a.accessToken())
	require.True(t, live, "the token is valid at Amazon")
	require.Equal(t, account, owner)
	return a
}

func with(fields map[string]any, more ...any) map[string]any {
	for i := 0; i+1 < len(more); i += 2 {
		fields[fmt.Sprint(more[i])] = more[i+1]
	}
	return fields
}

// waitFor is WaitFor for a condition that cannot fail otherwise than in time.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.NoError(t, vaulttest.WaitFor(t.Context(), what, func() (bool, error) { return cond(), nil }))
}
