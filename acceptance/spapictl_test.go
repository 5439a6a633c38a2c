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
type control struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr transcript
	ended          chan struct{} // closed when it has
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
	c := &control{cmd: m.stage.Command(t.Context(), token), ended: make(chan struct{})}
	c.cmd.Path, c.cmd.Args = path, append([]string{path, "-mount=" + m.path}, args...)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait() // ProcessState says how it ended.
		close(c.ended)
	}()
	t.Cleanup(func() { <-c.ended })
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
