// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Conn is a kept-alive connection to Vault for one goroutine. It is cheaper than
// net/http's client, which matters where the load shares its cores with what it
// measures.
type Conn struct {
	conn   net.Conn
	reader *bufio.Reader
	body   bytes.Buffer
	stop   func() bool
}

// Dial opens a connection, which ends with ctx.
func (r *Rig) Dial(ctx context.Context) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &Conn{conn: conn, reader: bufio.NewReader(conn), stop: stop}, nil
}

// Close ends the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.conn.Close()
}

// Do sends a request and returns the answer. The body is valid until the next
// one.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	c.body.Reset()
	_, err = c.body.ReadFrom(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, nil, err
	}
	if resp.Close {
		return 0, nil, fmt.Errorf("the server closes the connection after status %d", resp.StatusCode)
	}
	return resp.StatusCode, c.body.Bytes(), nil
}

// Request builds the bytes of a request with the root token. body is encoded as
// JSON unless it is nil.
func (r *Rig) Request(method, path string, body any) []byte {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			panic(fmt.Sprintf("encoding the body of %s %s: %v", method, path, err)) // maps of plain values only
		}
	}
	return r.request(method, path, "application/json", encoded)
}

// Get builds the bytes of a read.
func (r *Rig) Get(path string) []byte { return r.Request(http.MethodGet, path, nil) }

func (r *Rig) request(method, path, contentType string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /v1/%s HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\n", method, path, r.host, r.Server.RootToken())
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// Call makes one request on a connection of its own, which must be answered
// with a success.
func (r *Rig) Call(ctx context.Context, method, path string, body any) ([]byte, error) {
	return r.once(ctx, r.Request(method, path, body))
}

func (r *Rig) once(ctx context.Context, request []byte) ([]byte, error) {
	conn, err := r.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	status, answer, err := conn.Do(request)
	if err == nil && status >= http.StatusMultipleChoices {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", firstLine(request), err)
	}
	return bytes.Clone(answer), nil
}

// firstLine names a request in an error; what follows holds Vault's token.
func firstLine(request []byte) []byte {
	line, _, _ := bytes.Cut(request, []byte("\r\n"))
	return line
}
