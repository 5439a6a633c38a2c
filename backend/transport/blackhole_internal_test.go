// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A connection that a firewall forgot is given up while the first exchange on it
// still has time to be repeated on another one.
func TestForgottenConnection(t *testing.T) {
	t.Parallel()
	require.Less(t, silence+pingAnswer, 10*time.Second, "the default request_timeout")
	amazon := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			http.Error(w, "not HTTP/2", http.StatusTeapot)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	amazon.EnableHTTP2 = true
	amazon.StartTLS()
	t.Cleanup(amazon.Close)
	firewall := newFirewall(t, amazon.Listener.Addr().String())

	client := New(Options{RetryWait: time.Millisecond})
	t.Cleanup(client.Close)
	client.transport.HTTP2 = newTransport(200*time.Millisecond, 200*time.Millisecond).HTTP2
	client.transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	exchange := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ctx, answer := Record(ctx)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+firewall.address+"/auth/o2/token", strings.NewReader("grant_type=refresh_token"))
		require.NoError(t, err)
		resp, err := client.HTTP().Do(req)
		if err != nil {
			return err
		}
		require.Equal(t, http.StatusOK, answer.Status)
		return resp.Body.Close()
	}
	require.NoError(t, exchange())
	firewall.forget()
	require.NoError(t, exchange(), "it is repeated on a new connection")
}

// firewall passes connections on, until it forgets them: then what they send is
// swallowed.
type firewall struct {
	address string
	mu      sync.Mutex
	known   []chan struct{}
}

func newFirewall(t *testing.T, target string) *firewall {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	f := &firewall{address: listener.Addr().String()}
	go func() {
		for {
			inside, err := listener.Accept()
			if err != nil {
				return
			}
			outside, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target)
			if err != nil {
				_ = inside.Close()
				return
			}
			t.Cleanup(func() { _, _ = inside.Close(), outside.Close() })
			forgotten := make(chan struct{})
			f.mu.Lock()
			f.known = append(f.known, forgotten)
			f.mu.Unlock()
			go pass(outside, inside, forgotten)
			go pass(inside, outside, forgotten)
		}
	}()
	return f
}

func pass(to io.Writer, from io.Reader, forgotten <-chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-forgotten:
		default:
			_, _ = to.Write(buffer[:n])
		}
	}
}

func (f *firewall) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, forgotten := range f.known {
		close(forgotten)
	}
	f.known = nil
}
