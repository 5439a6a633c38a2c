// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package mount speaks to one mount of the engine through Vault's HTTP API.
package mount

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"

	"vault-plugin-secrets-spapi/backend/credential"
)

// Mount is a mount of the engine. It can be used concurrently.
type Mount struct {
	client *api.Client
	path   string // without slashes around it
}

// Answer is what Vault answered. Numbers in Data are json.Number.
type Answer struct {
	Data     map[string]any
	Warnings []string
}

// Text is a field of the answer, or "" where there is no text of that name.
func (a *Answer) Text(field string) string {
	text, _ := a.Data[field].(string)
	return text
}

// Open finds address, namespace, token and certificates as the vault command
// does. It asks nothing of Vault yet.
func Open(path string) (*Mount, error) {
	path = strings.Trim(path, "/")
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("the mount path %w", err)
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("the settings of Vault in the environment: %w", config.Error)
	}
	client, err := api.NewClient(config)
	if err != nil {
		// A URL that does not parse is not shown: it may hold a password.
		if parse := (*url.Error)(nil); errors.As(err, &parse) {
			err = fmt.Errorf("the address of Vault is no URL: %w", parse.Err)
		}
		return nil, err
	}
	// Repeating a callback would hide its first answer; and an answer that is
	// wrapped (VAULT_WRAP_TTL) could not be read.
	client.SetMaxRetries(0)
	client.SetWrappingLookupFunc(func(_, _ string) string { return "" })
	if client.Token() == "" {
		if err := useStoredToken(client); err != nil {
			return nil, err
		}
	}
	return &Mount{client: client, path: path}, nil
}

// useStoredToken takes the token that `vault login` stored. To have none is no
// error: a Vault Agent or Proxy may add one.
func useStoredToken(client *api.Client) error {
	helper, err := cliconfig.DefaultTokenHelper()
	if err != nil {
		return fmt.Errorf("finding the token helper of the vault command: %w", err)
	}
	token, err := helper.Get()
	if err != nil {
		return fmt.Errorf("reading the token that vault login stored: %w", err)
	}
	client.SetToken(token)
	return nil
}

// Path is where the engine is mounted, without slashes around it.
func (m *Mount) Path() string { return m.path }

// Read reads a path of the mount. What does not exist is nil, nil.
func (m *Mount) Read(ctx context.Context, path string) (*Answer, error) {
	return m.get(ctx, "read", path, nil)
}

// List lists a path of the mount. An empty list is nil, nil.
func (m *Mount) List(ctx context.Context, path string, query url.Values) (*Answer, error) {
	values := url.Values{"list": {"true"}}
	for name, value := range query {
		values[name] = slices.Clone(value)
	}
	return m.get(ctx, "list", path, values)
}

func (m *Mount) get(ctx context.Context, capability, path string, query url.Values) (*Answer, error) {
	at, err := m.join(path)
	if err != nil {
		return nil, err
	}
	resp, err := m.client.Logical().ReadRawWithDataWithContext(ctx, at, query)
	if resp != nil && resp.Response != nil {
		defer resp.Body.Close() //nolint:errcheck // only read
	}
	if err != nil {
		failed := m.failure(capability, at, err)
		// With a message it is the mount that does not exist.
		if failed.Status == http.StatusNotFound && len(failed.Messages) == 0 {
			return nil, nil //nolint:nilnil // as documented
		}
		return nil, failed
	}
	secret, err := api.ParseSecret(resp.Body)
	if err != nil {
		return nil, m.failure(capability, at, err)
	}
	return answer(secret), nil
}

// Write writes to a path of the mount. The answer is never nil without an error,
// and no error holds one of the secrets.
func (m *Mount) Write(ctx context.Context, path string, data map[string]any, secrets ...credential.Secret) (*Answer, error) {
	at, err := m.join(path)
	if err != nil {
		return nil, err
	}
	secret, err := m.client.Logical().WriteWithContext(ctx, at, data)
	if err != nil {
		return nil, m.failure("update", at, err, secrets...)
	}
	return answer(secret), nil
}

func answer(secret *api.Secret) *Answer {
	if secret == nil {
		return &Answer{}
	}
	return &Answer{Data: secret.Data, Warnings: secret.Warnings}
}

// join refuses what would lead out of the path that was meant: the client
// resolves "..".
func (m *Mount) join(path string) (string, error) {
	if err := checkPath(strings.TrimSuffix(path, "/")); err != nil {
		return "", fmt.Errorf("the path %w", err)
	}
	return m.path + "/" + path, nil
}

// checkPath does not repeat the path: anything may have been pasted there.
func checkPath(path string) error {
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("has unprintable characters")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return errors.New("is not made of names with a slash between")
		}
	}
	return nil
}
