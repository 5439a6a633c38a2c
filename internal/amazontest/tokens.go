// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	restrictedTokenPath = "/tokens/2021-03-01/restrictedDataToken"

	// The rest is what the model says of createRestrictedDataToken.
	restrictedLifetime = time.Hour
	restrictedEvery    = time.Second
	restrictedBurst    = 10
	maxResources       = 50
)

// restricting is how restricted data tokens are given. Server.mu guards it.
type restricting struct {
	lifetime        time.Duration
	quota           quota
	deniedElements  []string
	deniedDocuments map[string]struct{}
}

func newRestricting() restricting {
	return restricting{
		lifetime:        restrictedLifetime,
		quota:           newQuota(restrictedEvery, restrictedBurst),
		deniedDocuments: make(map[string]struct{}),
	}
}

// restrictedAnswer is a success before it is written down, so that faults can alter it.
type restrictedAnswer struct {
	Token     *string         `json:"restrictedDataToken,omitempty"`
	ExpiresIn json.RawMessage `json:"expiresIn,omitempty"`

	issued accessToken
}

// createRestrictedDataToken checks in the order token, quota, content type, body,
// resources, roles; Amazon's order is not known. Who has no token of a selling
// partner uses up nobody's quota. The caller holds s.mu.
func (s *Server) createRestrictedDataToken(q *spRequest, now time.Time) (reply, *restrictedAnswer) {
	t, details, ok := s.registry.admits(q.token, now)
	if !ok || !t.ofPartner() {
		return unauthorized(details), nil
	}
	tokens := &s.registry.restricting
	if !tokens.quota.take(caller{t.client, t.account}, now) {
		return quotaExceeded(), nil
	}
	if mediaType, _, err := mime.ParseMediaType(q.contentType); err != nil || mediaType != "application/json" {
		// The status is the model's, the code is inferred.
		return spRefusal(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Unsupported Media Type", ""), nil
	}
	rep, answer := s.restrict(q, t, now)
	if rate := tokens.quota.rate(); rate != "" {
		rep.header = http.Header{"X-Amzn-Ratelimit-Limit": {rate}}
	}
	return rep, answer
}

func (s *Server) restrict(q *spRequest, t accessToken, now time.Time) (reply, *restrictedAnswer) {
	request, ok := s.tokens.read(q.body)
	if q.oversized || !ok {
		return badRestriction(), nil
	}
	tokens := &s.registry.restricting
	token := newRestrictedToken()
	answer := &restrictedAnswer{Token: &token, ExpiresIn: wholeSeconds(tokens.lifetime)}
	lifetime := tokens.lifetime
	if static := request.static; static != nil {
		if static.status != http.StatusOK {
			rep := spReply(static.response)
			rep.status = static.status
			return rep, nil
		}
		_ = json.Unmarshal(static.response, answer) // checked when the model was read
		lifetime = restrictedLifetime
	}
	if refused, bad := tokens.refuse(request.Resources); bad {
		return refused, nil
	}
	answer.issued = accessToken{
		client: t.client, account: t.account, expires: now.Add(lifetime),
		restricted: &Restricted{t.account, request.TargetApplication, request.Resources},
	}
	return spReply(nil), answer
}

// refuse looks at what the model does not say.
func (c *restricting) refuse(resources []RestrictedResource) (reply, bool) {
	if len(resources) < 1 || len(resources) > maxResources {
		return badRestriction(), true
	}
	var denied []string
	for _, r := range resources {
		op, value, ok := findRestricted(r.Method, r.Path)
		if !ok || op.specific && isPlaceholder(value) {
			return badRestriction(), true
		}
		for _, element := range r.DataElements {
			switch {
			case !slices.Contains(op.elements, element):
				return badRestriction(), true
			case slices.Contains(c.deniedElements, element) && !slices.Contains(denied, element):
				denied = append(denied, element)
			}
		}
		if _, unsupported := c.deniedDocuments[value]; unsupported && op.path == documentsPath {
			return spRefusal(http.StatusBadRequest, "InvalidInput", "Invalid or unsupported document ID found", ""), true
		}
	}
	if len(denied) > 0 {
		return spRefusal(http.StatusBadRequest, "InvalidInput", "Application does not have access to one or more "+
			"requested data elements: ["+strings.Join(denied, ", ")+"]", ""), true
	}
	return reply{}, false
}

// badRestriction has the text that users reported for every mistake
// (amzn/selling-partner-api-docs issue 2071).
func badRestriction() reply {
	return spRefusal(http.StatusBadRequest, "InvalidInput", "Invalid Input", "")
}

// finish remembers the token of an answer as the fault, if any, leaves it, and
// writes the answer down. The caller holds s.mu.
func (s *Server) finish(a *restrictedAnswer, kind FaultKind, now time.Time) []byte {
	switch kind {
	case FaultNoAccessToken:
		a.Token = nil
	case FaultEmptyAccessToken:
		a.Token = new(string)
	default:
		announced, lasts, isTrue := misstate(kind, a.ExpiresIn)
		a.ExpiresIn = announced
		if isTrue {
			a.issued.expires = now.Add(lasts)
		}
	}
	if a.Token != nil && *a.Token != "" {
		s.registry.access[*a.Token] = a.issued
	}
	return distort(mustJSON(a), kind)
}

// RestrictedOf tells what a restricted data token opens; ok only while it is not
// expired by the server's clock. The token of a static case, which is always the
// same, is that of whoever got it last.
func (s *Server) RestrictedOf(token string) (Restricted, bool) {
	t, live := s.live(token)
	if !live || t.restricted == nil {
		return Restricted{}, false
	}
	return t.restricted.clone(), true
}

// SetRestrictedLifetime changes the life of restricted data tokens issued from
// now on, which is one hour (the tokens of static cases keep that);
// expiresIn is its whole seconds.
func (s *Server) SetRestrictedLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.restricting.lifetime = d
}

// DenyDataElements takes from all applications the roles that these dataElements
// need, and gives back all others: without elements, nothing is denied. Tokens
// that were issued before keep what they open.
func (s *Server) DenyDataElements(elements ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.restricting.deniedElements = slices.Clone(elements)
}

// DenyDocument makes the report document one of a type without restrictions:
// there is no restricted data token for it, and an access token opens it
// (amzn/selling-partner-api-docs issue 1009). All others are restricted.
func (s *Server) DenyDocument(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.restricting.deniedDocuments[id] = struct{}{}
}
