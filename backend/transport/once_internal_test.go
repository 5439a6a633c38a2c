// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// A server that takes the whole call and then gives the stream back is not called
// again, although net/http would by itself.
func TestOnceOverHTTP2(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]http2.ErrCode{"protocol error": http2.ErrCodeProtocol, "refused": http2.ErrCodeRefusedStream, "internal error": http2.ErrCodeInternal} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newResetter(t, code)
			client := New(Options{RetryWait: time.Millisecond})
			t.Cleanup(client.Close)
			client.transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			ctx, answer := RecordOnce(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+server.address+"/auth/o2/token", strings.NewReader("grant_type=authorization_code"))
			require.NoError(t, err)
			_, err = client.HTTP().Do(req) //nolint:bodyclose // there is no answer
			require.Error(t, err)
			require.NotNil(t, answer.Unanswered(ctx, err))
			require.EqualValues(t, 1, server.calls.Load())
		})
	}
}

// resetter speaks just enough HTTP/2 to reset each stream that has ended.
type resetter struct {
	address string
	calls   atomic.Int64
}

func newResetter(t *testing.T, code http2.ErrCode) *resetter {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certificates := certified.TLS.Certificates
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	r := &resetter{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(conn, code)
		}
	}()
	return r
}

func (r *resetter) serve(conn net.Conn, code http2.ErrCode) {
	defer conn.Close() //nolint:errcheck // of a server of a test
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				if r.calls.Add(1) > 2 {
					code = http2.ErrCodeInternal // which nobody repeats without end
				}
				_ = framer.WriteRSTStream(frame.StreamID, code)
			}
		}
	}
}
