// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"encoding/json"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"
)

// hugePadding makes a body of more than the 1 MiB clients should read.
const hugePadding = 3 << 19

// decide looks at a request, changes the registry accordingly and picks the
// answer, all in one step, so that concurrent requests see whole outcomes.
func (s *Server) decide(q *tokenRequest) delivery {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()

	fault, use := s.faults.current(q.account)
	switch {
	case slices.Contains(serviceFaults(), fault.Kind):
		use()
		if fault.Spend {
			_, _ = s.exchange(q, now) // the answer is lost, and its access token with it
		}
		return delivery{reply: s.serviceFault(fault, q), fault: fault}
	case slices.Contains(transportFaults(), fault.Kind):
		use()
	}

	a, refused := s.exchange(q, now)
	if refused != nil {
		if !slices.Contains(transportFaults(), fault.Kind) {
			fault = Fault{}
		}
		return delivery{reply: refused.reply(), fault: fault}
	}
	switch {
	case fault.Kind == FaultChangedRefreshToken && a.grant != grantRefresh:
		fault = Fault{}
	case slices.Contains(successFaults(), fault.Kind):
		use()
		s.alter(a, fault, now)
	}
	if a.grant == grantCode && s.faults.omitRefreshToken {
		a.RefreshToken = ""
	}
	if a.AccessToken != nil && *a.AccessToken != "" {
		s.registry.access[*a.AccessToken] = a.issued
	}
	return delivery{reply: jsonReply(distort(a.encode(), fault.Kind)), fault: fault}
}

func (s *Server) serviceFault(f Fault, q *tokenRequest) reply {
	rep := reply{status: http.StatusServiceUnavailable}
	switch f.Kind {
	case FaultServerErrorHTML:
		rep = htmlReply(http.StatusInternalServerError, "Internal Server Error")
	case FaultServerError:
		rep = (&refusal{http.StatusInternalServerError, "server_error", "Internal Server Error"}).reply()
	case FaultUnavailable:
		rep.retryAfter = "1"
	case FaultTemporarilyUnavailable:
		rep = (&refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "Service Unavailable"}).reply()
	case FaultThrottled:
		rep.status = http.StatusTooManyRequests
	case FaultOKNotJSON:
		rep = htmlReply(http.StatusOK, "Amazon")
	case FaultOKNotObject:
		rep = jsonReply(mustJSON([]string{newAccessToken()}))
	case FaultRedirect:
		rep = reply{status: http.StatusFound, location: s.url + elsewherePath}
	case FaultRedirectKeepingMethod:
		rep = reply{status: http.StatusTemporaryRedirect, location: s.url + elsewherePath}
	case FaultBadRequestNotJSON:
		rep = htmlReply(http.StatusBadRequest, "Bad Request")
	case FaultForbidden:
		rep = (&refusal{http.StatusForbidden, "access_denied", "Access denied"}).reply()
	case FaultEcho:
		rep = invalidGrant(q.parameter() + ". Received: " + echo(q)).reply()
	case FaultEchoServerError:
		rep = htmlReply(http.StatusInternalServerError, html.EscapeString("Cannot handle "+echo(q)))
	case FaultInvalidClient:
		rep = invalidClient().reply()
	case FaultInvalidGrant:
		if rep = revokedGrant().reply(); q.grant() == grantCode {
			rep = invalidGrant(q.parameter()).reply()
		}
	case FaultUnauthorizedClient:
		rep = unauthorizedClient().reply()
	case FaultInvalidScope:
		rep = invalidScope().reply()
	}
	if f.RetryAfter != "" && rep.status >= http.StatusBadRequest {
		rep.retryAfter = f.RetryAfter
	}
	return rep
}

// echo shows credentials as values and as the encoded body, because a client
// that only searches for one of the two would leak the other.
func echo(q *tokenRequest) string {
	var parts []string
	for _, name := range []string{"client_id", "client_secret", "refresh_token", "code"} {
		if v := q.form.Get(name); v != "" {
			parts = append(parts, name+"="+v)
		}
	}
	return strings.Join(parts, ", ") + " in " + q.form.Encode()
}

// alter changes a success. Where the lifetime it announces can be true, it is.
func (s *Server) alter(a *answer, f Fault, now time.Time) {
	switch f.Kind {
	case FaultNoAccessToken:
		a.AccessToken = nil
	case FaultEmptyAccessToken:
		a.AccessToken = new(string)
	case FaultChangedRefreshToken:
		s.changeRefreshToken(a, f.Changed)
	default:
		announced, lasts, isTrue := misstate(f.Kind, a.ExpiresIn)
		a.ExpiresIn = announced
		if isTrue {
			a.issued.expires = now.Add(lasts)
		}
	}
}

// misstate is how a fault announces a lifetime; lasts is what then is true.
func misstate(kind FaultKind, seconds json.RawMessage) (announced json.RawMessage, lasts time.Duration, isTrue bool) {
	truly := func(d time.Duration) (json.RawMessage, time.Duration, bool) { return wholeSeconds(d), d, true }
	switch kind {
	case FaultExpiresInString:
		return mustJSON(string(seconds)), 0, false
	case FaultExpiresInFloat:
		return json.RawMessage(string(seconds) + ".5"), 0, false
	case FaultExpiresInZero:
		return truly(0)
	case FaultExpiresInOne:
		return truly(time.Second)
	case FaultExpiresInMissing:
		return nil, 0, false
	case FaultExpiresInNegative:
		return truly(-time.Second)
	case FaultExpiresInHuge:
		return json.RawMessage("1000000000"), 0, false
	case FaultExpiresInOverflow:
		return json.RawMessage("99999999999999999999"), 0, false
	case FaultExpiresInJunk:
		return json.RawMessage(`"soon"`), 0, false
	case FaultExpiresInNull:
		return json.RawMessage("null"), 0, false
	}
	return seconds, 0, false
}

// changeRefreshToken leaves the old token valid: Amazon documents no invalidation.
func (s *Server) changeRefreshToken(a *answer, chosen string) {
	if chosen == "" {
		a.RefreshToken = s.registry.authorize(a.client, a.issued.account)
		return
	}
	a.RefreshToken = chosen
	if _, known := s.registry.refresh[chosen]; !known {
		s.registry.refresh[chosen] = &refreshToken{clientID: a.client, account: a.issued.account}
	}
}

func distort(body []byte, kind FaultKind) []byte {
	switch kind {
	case FaultTruncatedJSON:
		return body[:len(body)/2]
	case FaultHugeBody:
		padding := `{"padding":"` + strings.Repeat("x", hugePadding) + `",`
		return append([]byte(padding), body[1:]...)
	default:
		return body
	}
}
