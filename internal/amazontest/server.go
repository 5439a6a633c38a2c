// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

// Package amazontest simulates the Login with Amazon token endpoint, the pages
// on which selling partners authorize applications, and a minimal piece of the
// Selling Partner API on real HTTP, for tests and demos: restricted data tokens,
// and some operations that look at the token they get, and show invented data.
// It refuses what Amazon refuses, and can be told to misbehave (see Fault).
package amazontest

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	tokenPath       = "/auth/o2/token"
	elsewherePath   = "/elsewhere"
	elsewherePathSP = elsewherePath + "/selling-partner"

	elsewherePathRestricted = elsewherePath + "/restricted"
	controlPath             = "/_control"

	defaultListen        = "127.0.0.1:0"
	defaultTokenLifetime = time.Hour
	readHeaderTimeout    = 10 * time.Second
)

// Options configure a Server; the zero value is ready to use.
type Options struct {
	// Listen is the TCP address to listen on, 127.0.0.1:0 by default.
	Listen string
	// Now is the clock that ages tokens, codes and secrets, time.Now by default.
	// It may be called from several goroutines at once.
	Now func() time.Time
	// TokenLifetime is the life of access tokens, one hour by default, as
	// documented in SP-API docs, "Connect to the SP-API".
	TokenLifetime time.Duration
}

// Server is a simulated Amazon. Its methods may be called from any goroutine.
type Server struct {
	now     func() time.Time
	url     string
	base    func(net.Listener) context.Context // whose context ends when Close begins
	pages   *template.Template
	tokens  *tokensModel
	closing <-chan struct{} // closed when Close begins
	abort   context.CancelFunc
	serving sync.WaitGroup // accept loops
	conns   sync.WaitGroup // open connections, and with them their handlers

	mu       sync.Mutex
	closed   bool
	servers  []*http.Server // one for each listener
	registry registry
	faults   faultSet
	traffic  traffic
}

// New starts a simulated Amazon; Close stops it.
func New(opts Options) (*Server, error) {
	if opts.Listen == "" {
		opts.Listen = defaultListen
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.TokenLifetime == 0 {
		opts.TokenLifetime = defaultTokenLifetime
	}
	if opts.TokenLifetime < 0 {
		return nil, fmt.Errorf("amazontest: negative token lifetime %s", opts.TokenLifetime)
	}

	tokens, err := loadTokensModel()
	if err != nil {
		return nil, fmt.Errorf("amazontest: %w", err)
	}

	ctx, abort := context.WithCancel(context.Background())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", opts.Listen)
	if err != nil {
		abort()
		return nil, fmt.Errorf("amazontest: %w", err)
	}
	s := &Server{
		now:      opts.Now,
		url:      "http://" + reachable(listener.Addr()),
		base:     func(net.Listener) context.Context { return ctx },
		pages:    newPages(),
		tokens:   tokens,
		closing:  ctx.Done(),
		abort:    abort,
		registry: newRegistry(opts.TokenLifetime),
		faults:   faultSet{byAccount: make(map[string]*Fault)},
		traffic:  newTraffic(),
	}
	return s, s.serve(listener, s.routes())
}

// serve answers on a listener until Close, which also closes it.
func (s *Server) serve(listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		BaseContext:       s.base,
		ConnContext:       withConn,
		ConnState:         s.trackConn,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = listener.Close()
		return errors.New("amazontest: server closed")
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(listener) }) // always ends with an error, after Close
	return nil
}

// reachable turns an unspecified listening address into one to dial.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(tokenPath, s.serveToken)
	mux.HandleFunc(elsewherePath, s.serveElsewhere)
	mux.HandleFunc(elsewherePathSP, s.serveElsewhereSP)
	mux.HandleFunc(elsewherePathRestricted, s.serveElsewhereRestricted)
	s.addPages(mux)
	mux.Handle(controlPath+"/", s.controlRoutes())
	mux.HandleFunc("/", s.serveSellingPartner)
	return mux
}

// trackConn lets Close wait for handlers: a handler runs inside its connection,
// and no handler hijacks one.
func (s *Server) trackConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	case http.StateActive, http.StateIdle:
	}
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Close aborts hanging requests, waits for handlers and may be called twice.
func (s *Server) Close() {
	s.abort()
	s.mu.Lock()
	s.closed = true
	servers := s.servers
	s.mu.Unlock()
	for _, server := range servers {
		_ = server.Close()
	}
	s.serving.Wait()
	// A connection accepted while the first Close ran was not known to it yet.
	for _, server := range servers {
		_ = server.Close()
	}
	s.conns.Wait()
}

// URL is the base URL, http://127.0.0.1:port.
func (s *Server) URL() string { return s.url }

// LWAEndpoint stands for https://api.amazon.com/auth/o2/token.
func (s *Server) LWAEndpoint() string { return s.url + tokenPath }

// SPAPIEndpoint stands for a regional host such as https://sellingpartnerapi-na.amazon.com.
func (s *Server) SPAPIEndpoint() string { return s.url }

// ControlURL is the base URL of the control API, for processes that cannot call the Go API.
func (s *Server) ControlURL() string { return s.url + controlPath }
