// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	migrationPath = "/authorization/v1/authorizationCode"
	// migrationRate is the one of the model of the Authorization API v1.
	migrationRate = "1.0"
)

// migrationAPI is the Authorization API v1, which exchanged an authorization for
// MWS for a code. Amazon removed it on 2024-03-27, and so it is gone here, too,
// unless a test brings it back.
type migrationAPI struct {
	clients map[string]struct{}
	granted map[mwsAuthorization]struct{}
	// removed is the answer of the operation; nil while it works.
	removed *removal
	// scopeForAll lets LWA still give the scope, though the operation is gone.
	scopeForAll bool
}

type mwsAuthorization struct {
	clientID, sellingPartnerID, developerID, mwsAuthToken string
}

type removal struct {
	status int
	code   string
}

// newMigrationAPI answers as SP-API answers on any path it does not know. For
// this operation, a user was answered so, too (repost.aws, "Trouble migrating
// MWS API to Selling Partner API").
func newMigrationAPI() migrationAPI {
	return migrationAPI{
		clients: make(map[string]struct{}),
		granted: make(map[mwsAuthorization]struct{}),
		removed: &removal{http.StatusForbidden, "MissingAuthenticationToken"},
	}
}

func (m *migrationAPI) offersScope(clientID string) bool {
	_, offered := m.clients[clientID]
	return m.scopeForAll || offered && m.removed == nil
}

// OfferMigration brings the Authorization API back for the client, with one
// authorization for MWS to exchange.
func (s *Server) OfferMigration(clientID, sellingPartnerID, developerID, mwsAuthToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.registry.migration
	m.clients[clientID] = struct{}{}
	m.granted[mwsAuthorization{clientID, sellingPartnerID, developerID, mwsAuthToken}] = struct{}{}
	m.removed, m.scopeForAll = nil, false
}

// RemoveMigrationAPI makes the Authorization API's operation answer with the
// status and, unless it is empty, the error code, while Login with Amazon gives
// every client the scope for it. What Amazon answers now is not known.
func (s *Server) RemoveMigrationAPI(status int, code string) {
	if status < http.StatusBadRequest || status > 599 {
		panic(fmt.Sprintf("amazontest: %d is no status of an error", status))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry.migration.removed = &removal{status, code}
	s.registry.migration.scopeForAll = true
}

func (r *removal) reply() reply {
	switch r.code {
	case "":
		return reply{sp: true, status: r.status}
	case "MissingAuthenticationToken":
		return spRefusal(r.status, r.code, accessDenied, "")
	default:
		return spRefusal(r.status, r.code, http.StatusText(r.status), "")
	}
}

// authorizationCode is getAuthorizationCode. The caller holds s.mu.
func (s *Server) authorizationCode(token, rawQuery string, now time.Time) reply {
	m := &s.registry.migration
	if m.removed != nil {
		return m.removed.reply()
	}
	t, details, ok := s.registry.admits(token, now)
	if !ok || !slices.Contains(t.scopes, ScopeMigration) {
		return unauthorized(details)
	}
	q, err := url.ParseQuery(rawQuery)
	for _, name := range []string{"sellingPartnerId", "developerId", "mwsAuthToken"} {
		if err != nil || len(q[name]) != 1 || q.Get(name) == "" {
			return invalidInput("")
		}
	}
	of := mwsAuthorization{t.client, q.Get("sellingPartnerId"), q.Get("developerId"), q.Get("mwsAuthToken")}
	if _, granted := m.granted[of]; !granted {
		return invalidInput("")
	}
	rep := spReply(authorizationCodeBody(s.registry.issueCode(of.clientID, of.sellingPartnerID, "", now)))
	rep.header = http.Header{"X-Amzn-Ratelimit-Limit": {migrationRate}}
	return rep
}

// invalidInput has the texts of the model's static sandbox case.
func invalidInput(details string) reply {
	return spRefusal(http.StatusBadRequest, "InvalidInput", "Invalid input.", details)
}

func authorizationCodeBody(code string) []byte {
	return mustJSON(map[string]map[string]string{"payload": {"authorizationCode": code}})
}
