// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// amazon is the simulated Amazon, a program of its own as the real one is.
type amazon struct {
	LWAEndpoint   string `json:"lwa_endpoint"`
	SPAPIEndpoint string `json:"sp_api_endpoint"`
	ControlURL    string `json:"control_url"`

	cmd   *exec.Cmd
	stdin io.Closer
}

func startAmazon(ctx context.Context, binary string, s secrets) (*amazon, error) {
	args := []string{"-exit-with-stdin", "-client-id", s.clientID, "-client-secret", s.clientSecret}
	for account, token := range s.refreshTokens {
		args = append(args, "-account", account+"="+token)
	}
	// It ends with its standard input, that is by stop, or when we are gone.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, args...)
	cmd.Stderr = os.Stderr
	// A group of its own: Ctrl-C is for us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the simulated Amazon: %w", err)
	}
	a := &amazon{cmd: cmd, stdin: stdin}
	unhang := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	unhang()
	if err == nil {
		err = json.Unmarshal(line, a)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the simulated Amazon: %w", err), a.stop())
	}
	return a, nil
}

func (a *amazon) stop() error {
	killer := time.AfterFunc(5*time.Second, func() { _ = a.cmd.Process.Kill() })
	defer killer.Stop()
	if err := errors.Join(a.stdin.Close(), a.cmd.Wait()); err != nil {
		return fmt.Errorf("stopping the simulated Amazon: %w", err)
	}
	return nil
}

// exchanges is how often an account's refresh token was exchanged so far.
func (a *amazon) exchanges(ctx context.Context, account string) (int, error) {
	var stats struct {
		Exchanges map[string]int `json:"exchanges"`
	}
	if err := a.control(ctx, http.MethodGet, "/stats", nil, &stats); err != nil {
		return 0, err
	}
	return stats.Exchanges[account], nil
}

// consent is what the browser of a selling partner brings back who has confirmed
// on Amazon's page: an authorization code.
func (a *amazon) consent(ctx context.Context, sellingPartnerID string) (code string, err error) {
	var answer struct {
		Code string `json:"spapi_oauth_code"`
	}
	order, err := json.Marshal(map[string]string{"account": sellingPartnerID})
	if err != nil {
		return "", err
	}
	if err := a.control(ctx, http.MethodPost, "/code", order, &answer); err != nil {
		return "", err
	}
	if answer.Code == "" {
		return "", errors.New("the simulated Amazon gave no authorization code")
	}
	return answer.Code, nil
}

// control asks what only a simulated Amazon answers.
func (a *amazon) control(ctx context.Context, method, path string, order []byte, into any) error {
	status, body, err := call(ctx, method, a.ControlURL+path, nil, order)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil || status != http.StatusOK {
		return fmt.Errorf("the simulated Amazon answered %s %s with status %d", method, path, status)
	}
	return nil
}

const (
	participationsPath = "/sellers/v1/marketplaceParticipations"
	addressPath        = "/orders/v0/orders/902-1845936-5435065/address"
)

// call makes a request, and returns what was answered, whatever the status.
func call(ctx context.Context, method, url string, header http.Header, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // Only read.
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, bytes.TrimSpace(answer), err
}
