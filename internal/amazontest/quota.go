// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// quota is a usage plan: a bucket of burst requests for each selling partner
// and application, which gains one every so often (SP-API docs, "Usage Plans and
// Rate Limits"). Server.mu guards it.
type quota struct {
	every time.Duration
	burst int
	full  map[caller]time.Time // when each bucket will be full again
}

type caller struct{ client, account string }

func newQuota(every time.Duration, burst int) quota {
	return quota{every: every, burst: burst, full: make(map[caller]time.Time)}
}

// take is false, and takes nothing, when the bucket is empty.
func (q *quota) take(by caller, now time.Time) bool {
	full := q.full[by]
	if full.Before(now) {
		full = now
	}
	full = full.Add(q.every)
	if full.Sub(now) > time.Duration(q.burst)*q.every {
		return false
	}
	q.full[by] = full
	return true
}

// rate is the value of x-amzn-RateLimit-Limit, "" where there is no limit.
func (q *quota) rate() string {
	if q.every == 0 {
		return ""
	}
	rate := strconv.FormatFloat(1/q.every.Seconds(), 'f', -1, 64)
	if !strings.Contains(rate, ".") {
		rate += ".0"
	}
	return rate
}

// SetRestrictedQuota replaces the quota of createRestrictedDataToken, which is
// 1 request per second and a burst of 10 for each application and account, by the
// server's clock; 0 for every lifts it. All start anew.
func (s *Server) SetRestrictedQuota(every time.Duration, burst int) {
	if every < 0 || burst < 0 {
		panic(fmt.Sprintf("amazontest: no quota: one every %s, burst %d", every, burst))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.restricting.quota = newQuota(every, burst)
}
