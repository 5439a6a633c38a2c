// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// watchEvery is how often something that takes long says how far it is.
const watchEvery = 10 * time.Second

// progress tells what is being measured, while it is.
type progress struct {
	out   io.Writer
	begin time.Time

	mu   sync.Mutex
	name string
}

func (p *progress) elapsed() time.Duration { return time.Since(p.begin).Round(time.Second) }

// scenario begins the next one.
func (p *progress) scenario(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name = name
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "[%6s] %s: %s\n", p.elapsed(), p.name, fmt.Sprintf(format, args...))
}

func (p *progress) round(what string, i, of int) { p.say("%s: round %d of %d", what, i+1, of) }

// watch tells how many exchanges Amazon saw of so many, every now and then, until
// stop is called.
func (p *progress) watch(exchanges func() int, of int) (stop func()) {
	before := exchanges()
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				p.say("%d of %d exchanges", exchanges()-before, of)
			}
		}
	})
	return func() {
		close(ended)
		watching.Wait()
	}
}
