// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// Kind says how the tokens of an account are given.
type Kind string

// The kinds. The reference plugin tells the first two by the name of the account.
const (
	Leased   Kind = "leased"
	Unleased Kind = "unleased"
	// LWA is by a POST to lwa/token/, with what an SDK submits; never leased.
	LWA Kind = "lwa"
	// Restricted is a restricted data token, leased.
	Restricted Kind = "restricted"
)

// loaders is how many clients write accounts.
const loaders = 32

// Names are n names of accounts of a kind; label sets them apart from others.
func Names(kind Kind, label string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%s-%06d", kind, label, i)
	}
	return names
}

// Path is where a mount gives the token of an account.
func (k Kind) Path(name string) string {
	switch k {
	case LWA:
		return "lwa/token/" + name
	case Restricted:
		return "restricted/" + role + "/" + name
	}
	return "token/" + name
}

// Token is the request for the token of an account, through a mount.
func (r *Rig) Token(kind Kind, mount, name string) []byte {
	if kind == LWA {
		return r.Refresh(mount + "/" + kind.Path(name))
	}
	return r.Get(mount + "/" + kind.Path(name))
}

// Tokens are the requests for the tokens of accounts.
func (r *Rig) Tokens(kind Kind, mount string, names []string) [][]byte {
	requests := make([][]byte, len(names))
	for i, name := range names {
		requests[i] = r.Token(kind, mount, name)
	}
	return requests
}

// AccountFields are the fields of a new account, which has authorized the
// application.
func (r *Rig) AccountFields(kind Kind, name string) map[string]any {
	return map[string]any{
		"refresh_token":      r.Amazon.Authorize(clientID, name),
		"verify":             false,
		"generate_lease":     kind != Unleased,
		"selling_partner_id": "A0EXAMPLESELLER",
		"marketplace_ids":    []string{"ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"},
		"kind":               "seller",
		"metadata":           map[string]string{"team": "pricing"},
	}
}

// AddAccounts writes accounts, none of which is exchanged. tell is called with
// how many are written, now and then.
func (r *Rig) AddAccounts(ctx context.Context, kind Kind, names []string, tell func(done int)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan string, len(names))
	for _, name := range names {
		queue <- name
	}
	close(queue)
	errs := make([]error, loaders)
	var running sync.WaitGroup
	for i := range loaders {
		running.Go(func() {
			if errs[i] = r.addAccounts(ctx, kind, queue, tell); errs[i] != nil {
				cancel()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (r *Rig) addAccounts(ctx context.Context, kind Kind, queue <-chan string, tell func(done int)) error {
	conn, err := r.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for name := range queue {
		status, body, err := conn.Do(r.Request(http.MethodPost, Engine+"/accounts/"+name, r.AccountFields(kind, name)))
		if err != nil {
			return err
		}
		if status >= http.StatusMultipleChoices {
			return fmt.Errorf("writing account %s: status %d: %.300s", name, status, body)
		}
		if left := len(queue); tell != nil && left%1000 == 0 {
			tell(cap(queue) - left)
		}
	}
	return nil
}
