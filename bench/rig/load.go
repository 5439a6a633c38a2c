// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// One of these is in every answer that gives a token: Amazon's begin like this.
const (
	accessToken     = `"access_token":"Atza|`
	restrictedToken = `"restricted_data_token":"Atz.sprdt|`
)

// Load is what closed-loop clients did.
type Load struct {
	Latencies []time.Duration
	Elapsed   time.Duration
	// Slow are the answers that took at least Clients.KeepFrom.
	Slow [][]byte
}

// PerSecond is the rate of reads.
func (l Load) PerSecond() float64 { return float64(len(l.Latencies)) / l.Elapsed.Seconds() }

// Clients are connections that read in a closed loop.
type Clients struct {
	// KeepFrom is how long a read takes whose answer is kept by Run; none is if it
	// is 0.
	KeepFrom time.Duration

	conns []*Conn
}

// Clients opens n connections.
func (r *Rig) Clients(ctx context.Context, n int) (*Clients, error) {
	c := &Clients{}
	for range n {
		conn, err := r.Dial(ctx)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

// Close ends the connections.
func (c *Clients) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// Run lets every client send one request after the other, as next gives them,
// until it gives nil. Each answer must be a token's.
func (c *Clients) Run(next func(client int) []byte) (Load, error) {
	loads := make([]Load, len(c.conns))
	errs := make([]error, len(c.conns))
	var running sync.WaitGroup
	begin := time.Now()
	for i, conn := range c.conns {
		running.Go(func() {
			own := Load{Latencies: make([]time.Duration, 0, 1<<12)}
			for request := next(i); request != nil; request = next(i) {
				sent := time.Now()
				if err := conn.Token(request); err != nil {
					errs[i] = err
					break
				}
				took := time.Since(sent)
				own.Latencies = append(own.Latencies, took)
				if c.KeepFrom > 0 && took >= c.KeepFrom {
					own.Slow = append(own.Slow, bytes.Clone(conn.body.Bytes()))
				}
			}
			loads[i] = own
		})
	}
	running.Wait()
	load := Load{Elapsed: time.Since(begin)}
	for _, own := range loads {
		load.Latencies, load.Slow = append(load.Latencies, own.Latencies...), append(load.Slow, own.Slow...)
	}
	return load, errors.Join(errs...)
}

// RunFor is Run for that long, with the requests in turn. Each client begins at
// another one.
func (c *Clients) RunFor(ctx context.Context, length time.Duration, requests [][]byte) (Load, error) {
	end := time.Now().Add(length)
	turns := make([]int, len(c.conns))
	load, err := c.Run(func(client int) []byte {
		if ctx.Err() != nil || !time.Now().Before(end) {
			return nil
		}
		turns[client]++
		return requests[(turns[client]+client*len(requests)/len(c.conns))%len(requests)]
	})
	return load, errors.Join(err, ctx.Err())
}

// Once reads each request once, divided among the clients.
func (c *Clients) Once(ctx context.Context, requests [][]byte) (Load, error) {
	queue := make(chan []byte, len(requests))
	for _, request := range requests {
		queue <- request
	}
	close(queue)
	load, err := c.Run(func(int) []byte {
		if ctx.Err() != nil {
			return nil
		}
		return <-queue // nil once it is empty
	})
	return load, errors.Join(err, ctx.Err())
}

// Burst lets all clients send the same request at once.
func (c *Clients) Burst(request []byte) (Load, error) {
	release := make(chan struct{})
	latencies := make([]time.Duration, len(c.conns))
	errs := make([]error, len(c.conns))
	var ready, running sync.WaitGroup
	var begin time.Time
	ready.Add(len(c.conns))
	for i, conn := range c.conns {
		running.Go(func() {
			ready.Done()
			<-release
			errs[i] = conn.Token(request)
			latencies[i] = time.Since(begin) // the wait for a core counts, too
		})
	}
	ready.Wait()
	begin = time.Now()
	close(release)
	running.Wait()
	return Load{Latencies: latencies, Elapsed: time.Since(begin)}, errors.Join(errs...)
}

// Token sends a read that must be answered with a token.
func (c *Conn) Token(request []byte) error {
	status, body, err := c.Do(request)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !bytes.Contains(body, []byte(accessToken)) && !bytes.Contains(body, []byte(restrictedToken)) {
		return fmt.Errorf("%s: status %d: %.300s", firstLine(request), status, body)
	}
	return nil
}
