// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"context"
	"errors"
	"sync"
)

// passage is what requests of one kind go through, and where they can be held.
// Server.mu guards it.
type passage struct {
	inFlight, maxInFlight int

	changed chan struct{} // closed at the next change of inFlight; nil while nobody waits
	holds   int
	gate    chan struct{} // closed when the last hold is released
}

func (p *passage) move(by int) {
	p.inFlight += by
	p.maxInFlight = max(p.maxInFlight, p.inFlight)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// through puts a request in flight; leave may be called twice. The caller holds s.mu.
func (s *Server) through(p *passage) (leave func()) {
	p.move(1)
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.move(-1)
	})
}

// pass waits while the passage is on hold; false when the client or the server went away.
func (s *Server) pass(ctx context.Context, p *passage) bool {
	s.mu.Lock()
	gate := p.gate
	s.mu.Unlock()
	if gate == nil {
		return ctx.Err() == nil
	}
	select {
	case <-gate:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) hold(p *passage) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.holds++
	if p.gate == nil {
		p.gate = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.holds--; p.holds == 0 {
			close(p.gate)
			p.gate = nil
		}
	})
}

func (s *Server) waitFor(ctx context.Context, p *passage, done func(inFlight int) bool) error {
	for {
		s.mu.Lock()
		if done(p.inFlight) {
			s.mu.Unlock()
			return nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return errors.New("amazontest: server closed")
		}
	}
}

// Hold makes every token request wait in the handler, counted and in flight,
// until release, or until its client is gone. Holds nest; release may be called twice.
func (s *Server) Hold() (release func()) { return s.hold(&s.traffic.lwa) }

// HoldSellingPartner is Hold for the requests to the simulated SP-API.
func (s *Server) HoldSellingPartner() (release func()) { return s.hold(&s.traffic.sp) }

// WaitInFlight waits until at least n token requests are inside the handler.
func (s *Server) WaitInFlight(ctx context.Context, n int) error {
	return s.waitFor(ctx, &s.traffic.lwa, func(inFlight int) bool { return inFlight >= n })
}

// WaitSellingPartnerInFlight is WaitInFlight for the requests to the simulated SP-API.
func (s *Server) WaitSellingPartnerInFlight(ctx context.Context, n int) error {
	return s.waitFor(ctx, &s.traffic.sp, func(inFlight int) bool { return inFlight >= n })
}

// WaitIdle waits until no token request is inside the handler.
func (s *Server) WaitIdle(ctx context.Context) error {
	return s.waitFor(ctx, &s.traffic.lwa, func(inFlight int) bool { return inFlight == 0 })
}

// WaitSellingPartnerIdle is WaitIdle for the requests to the simulated SP-API.
func (s *Server) WaitSellingPartnerIdle(ctx context.Context) error {
	return s.waitFor(ctx, &s.traffic.sp, func(inFlight int) bool { return inFlight == 0 })
}
