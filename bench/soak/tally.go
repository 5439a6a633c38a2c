// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// tally counts answers by what was asked and by status.
type tally struct {
	checked, warned atomic.Int64 // tokens

	mu      sync.Mutex
	answers map[string]map[int]int
}

func newTally() *tally { return &tally{answers: make(map[string]map[int]int)} }

func (t *tally) count(what string, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers[what] == nil {
		t.answers[what] = make(map[int]int)
	}
	t.answers[what][status]++
}

func (t *tally) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for _, statuses := range t.answers {
		for _, n := range statuses {
			total += n
		}
	}
	return total
}

func (t *tally) summary(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(out, "\nanswers by status:")
	for _, what := range slices.Sorted(maps.Keys(t.answers)) {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(t.answers[what])) {
			parts = append(parts, fmt.Sprintf("%d: %d", status, t.answers[what][status]))
		}
		fmt.Fprintf(out, "  %-30s %s\n", what, strings.Join(parts, ", "))
	}
	fmt.Fprintf(out, "%d tokens were checked with Amazon: each was the right account's and alive; %d answers came with a warning\n", t.checked.Load(), t.warned.Load())
}

// declared reports whether an answer may have that status: success, refusals, and
// what the engine says when Amazon fails. 500 is for failures of our own.
func declared(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound,
		http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
		return true
	}
	return false
}
