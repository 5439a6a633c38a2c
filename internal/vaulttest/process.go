// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child in a process group of its own, so that a Ctrl-C at the
// terminal reaches only us and a kill reaches its children too.
type process struct {
	cmd     *exec.Cmd
	log     string
	logFrom int64         // where the log of this process begins
	scratch string        // removed when the process has ended
	done    chan struct{} // closed when the process has ended
}

type processSpec struct {
	path    string
	args    []string
	env     []string
	dir     string
	log     string // both output streams are appended to it
	scratch string
}

func startProcess(ctx context.Context, spec processSpec) (*process, error) {
	log, err := os.OpenFile(spec.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	defer log.Close() //nolint:errcheck // The child has its own descriptor.
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	// The child ends by stop or kill, not by the context that started it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), spec.path, spec.args...)
	cmd.Env, cmd.Dir = spec.env, spec.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes(syscall.SIGTERM)
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.path, err)
	}
	p := &process{cmd: cmd, log: spec.log, logFrom: info.Size(), scratch: spec.scratch, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says how it ended.
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended returns nil as long as the process runs, and then how it ended.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("process %d has ended: %s", p.pid(), p.cmd.ProcessState)
	default:
		return nil
	}
}

// output is what the process has written so far.
func (p *process) output() string {
	log, err := os.ReadFile(p.log)
	if err != nil || int64(len(log)) < p.logFrom {
		return ""
	}
	return string(log[p.logFrom:])
}

// stop asks the process to end, and kills it when it does not in time.
func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("stopping process %d: %w", p.pid(), err), p.kill())
	}
	select {
	case <-p.done:
		return p.kill() // Plugins that outlived Vault, and the scratch directory.
	case <-ctx.Done():
		err := fmt.Errorf("process %d did not end on SIGTERM and was killed: %w", p.pid(), ctx.Err())
		return errors.Join(err, p.kill())
	}
}

// kill ends the whole process group with SIGKILL.
func (p *process) kill() error {
	err := syscall.Kill(-p.pid(), syscall.SIGKILL)
	// ESRCH: nobody left. EPERM: only zombies left, on macOS.
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("killing process group %d: %w", p.pid(), err)
	}
	<-p.done
	if p.scratch == "" {
		return nil
	}
	return os.RemoveAll(p.scratch)
}

// alive reports whether a process runs. One that has ended and only waits to
// be collected by its parent does not.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil && !zombie(pid)
}

// tail returns the last lines of a log, to be put behind an error.
func tail(path string, lines int) string {
	log, err := os.ReadFile(path)
	if err != nil || len(log) == 0 {
		return ""
	}
	all := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	all = all[max(0, len(all)-lines):]
	return fmt.Sprintf("\n--- last lines of %s\n%s\n---", path, bytes.Join(all, []byte("\n")))
}

// runLimit bounds a command of the CLI whose context has no deadline.
const runLimit = 2 * time.Minute

// run runs a command to its end and returns what it wrote.
func run(ctx context.Context, cmd *exec.Cmd) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return out.String(), errOut.String(), err
}
