// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// door is a way to the lwa/ paths of a mount: where to connect, and the headers
// that every request through it needs.
type door struct {
	network, address string
	prefix           string // of all paths
	headers          []string
}

// rawRequest is a request that is written byte by byte: no HTTP library has a say
// in its headers, nor in its body.
type rawRequest struct {
	method  string // POST if empty
	path    string
	headers []string
	body    string
	chunked bool
}

// rawAnswer is an answer, and what a client of Login with Amazon makes of it.
type rawAnswer struct {
	status int
	header http.Header
	body   string
}

// vaultDoor is Vault's own listener, for somebody with this Vault token.
func (m *mount) vaultDoor(token string) door {
	return door{
		network: "tcp", address: strings.TrimPrefix(m.stage.Address(), "http://"),
		prefix: "/v1/" + m.path + "/", headers: []string{"X-Vault-Token: " + token},
	}
}

func (d door) bytes(r rawRequest) string {
	lines := []string{cmp.Or(r.method, http.MethodPost) + " " + d.prefix + r.path + " HTTP/1.1", "Host: 127.0.0.1"}
	lines = append(append(lines, d.headers...), r.headers...)
	body := r.body
	if r.chunked {
		lines, body = append(lines, "Transfer-Encoding: chunked"), chunks(r.body)
	} else {
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(r.body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// chunks cuts a body into pieces that end at no natural place.
func chunks(body string) string {
	const size = 7
	var b strings.Builder
	for len(body) > 0 {
		piece := body[:min(size, len(body))]
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(piece), piece)
		body = body[len(piece):]
	}
	return b.String() + "0\r\n\r\n"
}

// ask writes the bytes of a request to a new connection, and reads the answer.
func (d door) ask(ctx context.Context, r rawRequest) (*rawAnswer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, d.network, d.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // all was read
	if _, err := io.WriteString(conn, d.bytes(r)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	return &rawAnswer{status: resp.StatusCode, header: resp.Header, body: string(body)}, err
}

// send is ask for a request that must be answered, whatever the answer.
func (d door) send(t *testing.T, r rawRequest) *rawAnswer {
	t.Helper()
	answer, err := d.ask(t.Context(), r)
	require.NoError(t, err)
	return answer
}

// members are the answer's, as they were written: numbers are json.Number.
func (a *rawAnswer) members(t *testing.T) map[string]any {
	t.Helper()
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&members), "%q", a.body)
	require.ErrorIs(t, decoder.Decode(new(any)), io.EOF, "one JSON text: %q", a.body)
	return members
}

// requireLWA checks what every answer of Login with Amazon's shape has to be.
func (a *rawAnswer) requireLWA(t *testing.T, status int) map[string]any {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Equal(t, []string{"no-store"}, a.header.Values("Cache-Control"))
	require.Equal(t, []string{"no-cache"}, a.header.Values("Pragma"))
	require.Empty(t, a.header.Get("Content-Encoding"))
	return a.members(t)
}

// requireError checks a failure, of which clients read both members.
func (a *rawAnswer) requireError(t *testing.T, status int, code string, parts ...string) {
	t.Helper()
	members := a.requireLWA(t, status)
	require.Len(t, members, 2, "%s", a.body)
	require.Equal(t, code, members["error"], "%s", a.body)
	description, _ := members["error_description"].(string)
	require.NotEmpty(t, description)
	for _, part := range parts {
		require.Contains(t, description, part)
	}
}

// requireVaults checks a refusal that comes from Vault itself: the request has
// never reached the plugin.
func (a *rawAnswer) requireVaults(t *testing.T, status int, part string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	members := a.members(t)
	require.NotContains(t, members, "error", "%s", a.body)
	require.Contains(t, fmt.Sprint(members["errors"]), part)
}
