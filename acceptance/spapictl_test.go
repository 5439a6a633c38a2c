// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// control is a run of spapictl.
type control struct{ piped }

// piped is a program that runs, with pipes to and from it.
type piped struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr transcript
	ended          chan struct{} // closed when it has
}

// start starts it. It has to be killed if it still runs when the test ends.
func (p *piped) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	p.cmd, p.ended = cmd, make(chan struct{})
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	var err error
	p.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // ProcessState says how it ended.
		close(p.ended)
	}()
	t.Cleanup(func() { <-p.ended })
}

// transcript is a buffer that can be read while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// startControl starts spapictl for this mount, with a Vault token of its own. It is
// killed if it still runs when the test ends.
func (m *mount) startControl(t *testing.T, token string, args ...string) *control {
	t.Helper()
	path, err := controlBinary(t.Context())
	require.NoError(t, err)
	// The environment is that of the vault program.
	cmd := m.stage.Command(t.Context(), token)
	cmd.Path, cmd.Args = path, append([]string{path, "-mount=" + m.path}, args...)
	c := &control{}
	c.start(t, cmd)
	return c
}

// exits waits until spapictl has ended, which it has to do with this status.
func (c *control) exits(t *testing.T, status int) {
	t.Helper()
	waitFor(t, "the end of spapictl", func() bool {
		select {
		case <-c.ended:
			return true
		default:
			return false
		}
	})
	require.Equal(t, status, c.cmd.ProcessState.ExitCode(), "%s\n%s", c.cmd.ProcessState, c.stderr.String())
	require.NotContains(t, c.stderr.String(), "DATA RACE")
}

// waitForLine waits until spapictl has written a whole line that begins so, and
// returns what follows.
func (c *control) waitForLine(t *testing.T, stream *transcript, prefix string) string {
	t.Helper()
	var rest string
	waitFor(t, fmt.Sprintf("spapictl to write %q", prefix), func() bool {
		for line := range strings.Lines(stream.String()) {
			if after, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(line, "\n") {
				rest = strings.TrimSuffix(after, "\n")
				return true
			}
		}
		select {
		case <-c.ended:
			require.FailNow(t, "spapictl has ended", "%s\n%s", c.cmd.ProcessState, c.stderr.String())
		default:
		}
		return false
	})
	return rest
}

// controlBinary is the path of spapictl: $SPAPI_TEST_SPAPICTL, else a build of it
// with the race detector.
func controlBinary(ctx context.Context) (string, error) {
	return vaulttest.FromScript(ctx, "SPAPI_TEST_SPAPICTL", "build.sh", "race", "spapictl")
}
