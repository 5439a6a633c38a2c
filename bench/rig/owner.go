// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"fmt"
)

// mostOwners is how many accounts CheckOwners reads at most.
const mostOwners = 1000

// CheckOwners reads the tokens of accounts, evenly chosen if they are many, and
// asks Amazon whether each is the account's own and alive. It is for after the
// measurement, which looks at no more than that there is a token.
func (r *Rig) CheckOwners(ctx context.Context, kind Kind, names []string) error {
	conn, err := r.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	step := (len(names) + mostOwners - 1) / mostOwners
	for i := 0; i < len(names); i += step {
		if err := conn.Token(r.Token(kind, Engine, names[i])); err != nil {
			return err
		}
		if err := r.checkOwner(kind, conn.body.Bytes(), names[i]); err != nil {
			return err
		}
	}
	return nil
}

// CheckLast asks Amazon whether the access token of each client's last answer is
// the account's own and alive.
func (r *Rig) CheckLast(clients *Clients, name string) error {
	for _, conn := range clients.conns {
		if err := r.checkOwner(Unleased, conn.body.Bytes(), name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) checkOwner(kind Kind, answer []byte, name string) error {
	field, ownerOf := "access_token", r.Amazon.AccountOf
	if kind == Restricted {
		field, ownerOf = "restricted_data_token", func(token string) (string, bool) {
			restricted, alive := r.Amazon.RestrictedOf(token)
			return restricted.Account, alive
		}
	}
	_, rest, _ := bytes.Cut(answer, []byte(`"`+field+`":"`))
	token, _, _ := bytes.Cut(rest, []byte(`"`))
	owner, alive := ownerOf(string(token))
	switch {
	case !alive:
		return fmt.Errorf("account %s was given a token that is expired or unknown to Amazon", name)
	case owner != name:
		return fmt.Errorf("account %s was given a token of account %s", name, owner)
	}
	return nil
}
