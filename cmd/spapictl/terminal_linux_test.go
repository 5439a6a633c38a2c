// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// screen is a terminal in which somebody types, and reads what it shows.
type screen struct {
	*os.File          // as a program has it
	keys     *os.File // the other end
	shown    output
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	raw, err := keys.SyscallConn()
	require.NoError(t, err)
	number := 0
	require.NoError(t, raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	require.NoError(t, err)
	s := &screen{keys: keys}
	s.File, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = io.Copy(&s.shown, keys)
	}()
	t.Cleanup(func() {
		assert.NoError(t, keys.Close())
		<-reading
		assert.NoError(t, s.Close())
	})
	return s
}

func (s *screen) typeIn(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(s.keys, text)
	assert.NoError(t, err) // is called by other goroutines as well
}

// unread is how many bytes were typed that no program has read yet.
func (s *screen) unread(t *testing.T) int {
	t.Helper()
	count, err := unix.IoctlGetInt(int(s.Fd()), unix.TIOCINQ)
	assert.NoError(t, err)
	return count
}

// typeBeyond types until something is not read any more.
func (s *screen) typeBeyond(t *testing.T) {
	t.Helper()
	waitFor(t, "something unread", func() bool {
		s.typeIn(t, "echo "+codeOfTest+"\n")
		return s.unread(t) > 0
	})
}

// requireCleared requires that the terminal shows what is typed again, has not shown
// anything before, and has nothing left for the shell.
func (s *screen) requireCleared(t *testing.T) {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(s.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.NotZero(t, settings.Lflag&unix.ECHO)
	require.NotZero(t, settings.Lflag&unix.ICANON)
	require.Zero(t, s.unread(t))
	s.typeIn(t, "marker")
	waitForOutput(t, &s.shown, "marker")
	require.Equal(t, "marker", s.shown.String())
}

// atScreen is a command that asks for an address there. What was pasted is complete
// once it ends so.
func atScreen(t *testing.T, s *screen, end string) (c *control, status func() int) {
	t.Helper()
	c = newControl("")
	ended := make(chan int, 1)
	c.app.in = s.File
	c.app.quiet = func(pasted string) <-chan time.Time {
		ready := make(chan time.Time, 1)
		if strings.HasSuffix(strings.Join(strings.Fields(pasted), ""), end) {
			ready <- time.Time{}
		}
		return ready
	}
	go func() { ended <- c.app.execute(t.Context(), []string{"authorize", "acme", "--marketplace=DE"}) }()
	waitForOutput(t, &c.stderr, "paste the address")
	return c, func() int {
		waitFor(t, "the end", func() bool { return len(ended) > 0 })
		return <-ended
	}
}

// What a mail or a terminal has wrapped is one address, of which nothing is shown or
// left for the shell.
func TestPasteOfSeveralLines(t *testing.T) {
	address := strings.TrimSpace(redirectOfTest())
	for name, pasted := range map[string]string{
		"wrapped":            regexp.MustCompile(`.{1,30}`).ReplaceAllString(address, "$0\n"),
		"without last Enter": strings.ReplaceAll(address, "&", "\r&"),
		"indented":           "\n\n" + strings.ReplaceAll(address, "=", "=\n    ") + "\n",
		"marked as a paste":  "\x1b[200~" + address + "\x1b[201~\r",
		"longer than a line": strings.Replace(address, "&", "&mws_auth_token="+strings.Repeat("x", 6000)+"&", 1) + "\n",
		"typed anew":         "nonsense\x15" + strings.Replace(address, "?", "!\x7f?", 1) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: doneAnswer()})
			s := newScreen(t)
			c, status := atScreen(t, s, codeOfTest)
			s.typeIn(t, pasted)
			require.Zero(t, status(), c.stderr.String())
			c.requireNoSecrets(t)
			require.Equal(t, codeOfTest, e.requests()[1].body["spapi_oauth_code"])
			require.Equal(t, stateOfTest, e.requests()[1].body["state"])
			s.requireCleared(t)
		})
	}
}

// The rest of a paste that comes late is neither shown nor left for the shell.
func TestPasteThatGoesOn(t *testing.T) {
	s := newScreen(t)
	newEngine(t, map[string]engineAnswer{begin: linkAnswer(), complete: func(body map[string]any) (int, any) {
		s.typeIn(t, strings.Repeat("echo "+codeOfTest+"\n", 10_000)) // more than any queue takes
		return doneAnswer()(body)
	}})
	c, status := atScreen(t, s, codeOfTest)
	s.typeIn(t, redirectOfTest())
	require.Zero(t, status(), c.stderr.String())
	s.requireCleared(t)
}

// All lines of a wrong paste are one answer.
func TestPasteOfWrongLines(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	s := newScreen(t)
	c, status := atScreen(t, s, "last")
	for tried := 1; tried <= mostPastes; tried++ {
		s.typeIn(t, codeOfTest+"\nsecond\nthird\nlast\n")
		waitFor(t, "what is wrong", func() bool { return strings.Count(c.stderr.String(), "no address of a page") == tried })
	}
	require.Equal(t, 1, status())
	c.requireNoSecrets(t)
	require.Equal(t, mostPastes-1, strings.Count(c.stderr.String(), "Once more:"))
	s.requireCleared(t)
}

func TestPasteEnded(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	s := newScreen(t)
	c, status := atScreen(t, s, "never")
	for tried := 1; tried <= mostPastes; tried++ {
		s.typeIn(t, "\x04")
		waitFor(t, "what is wrong", func() bool { return strings.Count(c.stderr.String(), "nothing was pasted") == tried })
	}
	require.Equal(t, 1, status())
	s.requireCleared(t)
}

func TestHiddenTerminalDiscards(t *testing.T) {
	s := newScreen(t)
	hidden, err := hide(s.File)
	require.NoError(t, err)
	defer hidden.show()
	s.typeBeyond(t)
	hidden.discard()
	require.Zero(t, s.unread(t))
	require.Empty(t, s.shown.String())
	s.typeBeyond(t)
	hidden.show()
	s.requireCleared(t)
}

// program is this program as spapictl, in a process of its own. It opens a browser,
// for which it writes a file below files.
func program(t *testing.T, s *screen, files string, before ...string) (cmd *exec.Cmd, stderr *output) {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\n"), 0o700))
	before = append(before, os.Args[0])
	cmd = exec.CommandContext(t.Context(), before[0], before[1:]...)
	cmd.Env = append(os.Environ(), argsOfTest+"=authorize acme --marketplace=DE", "TMPDIR="+files, "DISPLAY=:0", "PATH="+bin+":"+os.Getenv("PATH"))
	stdin, err := cmd.StdinPipe() // in which nobody types
	require.NoError(t, err)
	stderr = &output{}
	cmd.Stdout, cmd.Stderr = s.File, stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = stdin.Close() })
	waitForOutput(t, stderr, "paste the address")
	return cmd, stderr
}

// The end of the terminal is an interrupt, which leaves no file with the state.
func TestHangUp(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	s, files := newScreen(t), t.TempDir()
	cmd, stderr := program(t, s, files)
	left, err := os.ReadDir(files)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.Error(t, cmd.Wait())
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), cmd.ProcessState)
	require.Contains(t, stderr.String(), "interrupted before an address was pasted")
	left, err = os.ReadDir(files)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What was started with nohup goes on after its terminal.
func TestNoHangUp(t *testing.T) {
	newEngine(t, map[string]engineAnswer{begin: linkAnswer()})
	cmd, _ := program(t, newScreen(t), t.TempDir(), "sh", "-c", `trap "" HUP; exec "$0"`)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^SigIgn:\s+[0-9a-f]*1$`, string(status))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), cmd.ProcessState)
}
