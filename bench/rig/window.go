// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// Window is the client of the socket that the inspected build of the engine
// serves.
type Window struct{ http http.Client }

// Memory is what is alive in the engine's process after a collection.
type Memory struct {
	HeapAlloc  uint64 `json:"heap_alloc"` // in bytes
	Goroutines int    `json:"goroutines"`
}

// Calls counts what the engine asked Vault since its process started.
type Calls struct {
	Storage int64 `json:"storage"`
	System  int64 `json:"system"`
}

func newWindow(socket string) *Window {
	return &Window{http: http.Client{Transport: &http.Transport{
		// A new connection each time: after an unseal it is another process.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

func (w *Window) call(ctx context.Context, method, path string, into io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://window"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking the inspected engine: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the inspected engine for %s: status %d", path, resp.StatusCode)
	}
	_, err = io.Copy(into, resp.Body)
	return err
}

func (w *Window) ask(ctx context.Context, path string, into any) error {
	var answer strings.Builder
	if err := w.call(ctx, http.MethodGet, path, &answer); err != nil {
		return err
	}
	return json.Unmarshal([]byte(answer.String()), into)
}

// Memory collects garbage and tells what is left.
func (w *Window) Memory(ctx context.Context) (memory Memory, err error) {
	return memory, w.ask(ctx, "/memory", &memory)
}

// Calls tells how often the engine called Vault.
func (w *Window) Calls(ctx context.Context) (calls Calls, err error) {
	return calls, w.ask(ctx, "/calls", &calls)
}

// Advance moves the engine's clock.
func (w *Window) Advance(ctx context.Context, by time.Duration) error {
	return w.call(ctx, http.MethodPost, "/clock?advance="+url.QueryEscape(by.String()), io.Discard)
}

// Profile writes a CPU profile over that long.
func (w *Window) Profile(ctx context.Context, over time.Duration, into io.Writer) error {
	return w.call(ctx, http.MethodGet, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(over.Seconds())), into)
}

// Resident tells the resident memory of a process, and the most it ever was
// since ResetPeak, in bytes.
func Resident(pid int) (now, peak uint64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStatus(string(status))
}

// ResetPeak makes the peak of Resident begin anew.
func ResetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600)
}

func parseStatus(status string) (now, peak uint64, err error) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		var into *uint64
		switch name {
		case "VmRSS":
			into = &now
		case "VmHWM":
			into = &peak
		default:
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading %s: %w", name, err)
		}
		*into = kib << 10
	}
	if now == 0 || peak == 0 {
		return 0, 0, errors.New("the status of a process lacks VmRSS or VmHWM")
	}
	return now, peak, nil
}

// SettledCalls is Window.Calls once nothing is under way that an earlier read
// caused, such as storing the status of an account.
func (r *Rig) SettledCalls(ctx context.Context) (Calls, error) {
	last, same := Calls{Storage: -1}, 0
	err := vaulttest.WaitFor(ctx, "the engine to be idle", func() (bool, error) {
		calls, err := r.Window.Calls(ctx)
		if calls == last {
			same++
		} else {
			last, same = calls, 0
		}
		return same >= 10, err
	})
	return last, err
}
