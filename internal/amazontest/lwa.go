// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	grantRefresh = "refresh_token"
	grantCode    = "authorization_code"
	grantClient  = "client_credentials"

	// Two tokens of the documented maximum of 2048 bytes and the rest fit many times.
	maxRequestBody = 64 << 10
)

type tokenRequest struct {
	form      url.Values
	malformed bool
	oversized bool
	account   string // of a known refresh token or code
}

func (q *tokenRequest) grant() string { return q.form.Get("grant_type") }

// parameter is the one that holds the grant itself.
func (q *tokenRequest) parameter() string {
	if q.grant() == grantCode {
		return "code"
	}
	return "refresh_token"
}

// required lists the parameters of a grant in the order they are missed
// (SP-API docs, "Connect to the SP-API"). redirect_uri is not among them: public
// clients omit it and succeed.
func (q *tokenRequest) required() ([]string, bool) {
	switch q.grant() {
	case grantRefresh:
		return []string{"refresh_token", "client_id", "client_secret"}, true
	case grantCode:
		return []string{"code", "client_id", "client_secret"}, true
	case grantClient:
		return []string{"scope", "client_id", "client_secret"}, true
	default:
		return nil, false
	}
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	q, err := readTokenRequest(w, r)
	leave := s.enter(q, r.Header)
	defer leave()
	if err != nil || !s.pass(r.Context(), &s.traffic.lwa) {
		panic(http.ErrAbortHandler)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.send(w, r, delivery{reply: plainReply(http.StatusMethodNotAllowed, "Method Not Allowed\n")}, leave)
		return
	}
	s.send(w, r, s.decide(q), leave)
}

// readTokenRequest fails only when the client went away. What cannot be parsed
// is an empty form, because Amazon answers it as a missing grant_type.
func readTokenRequest(w http.ResponseWriter, r *http.Request) (*tokenRequest, error) {
	q := &tokenRequest{form: url.Values{}}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		q.oversized = true
		return q, nil
	}
	if err != nil {
		return q, err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/x-www-form-urlencoded":
		q.parseForm(body)
	case "application/json":
		q.parseJSON(body)
	}
	return q, nil
}

func (q *tokenRequest) parseForm(body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return
	}
	q.form = form
	for _, values := range form {
		// RFC 6749, section 3.2: parameters must not be included more than once.
		q.malformed = q.malformed || len(values) > 1
	}
}

func (q *tokenRequest) parseJSON(body []byte) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for name, raw := range members {
		var text *string
		switch err := json.Unmarshal(raw, &text); {
		case err == nil && text != nil:
			q.form.Set(name, *text)
		case err != nil && isParameter(name):
			q.malformed = true
		}
	}
}

// isParameter tells parameters from surplus members, which real clients send
// and Amazon ignores.
func isParameter(name string) bool {
	return slices.Contains([]string{
		"grant_type", "refresh_token", "code", "redirect_uri", "scope", "client_id", "client_secret",
	}, name)
}

// refusal is an error answer; its texts are those users of LWA reported.
type refusal struct {
	status            int
	code, description string
}

func malformedRequest() *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", "Malformed request"}
}

func missingParameter(name string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", "The request is missing a required parameter : " + name}
}

func unsupportedGrantType() *refusal {
	return &refusal{
		http.StatusBadRequest, "unsupported_grant_type",
		"The authorization grant type is not supported by the authorization server",
	}
}

func invalidClient() *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", "Client authentication failed"}
}

func invalidGrant(parameter string) *refusal {
	return &refusal{
		http.StatusBadRequest, "invalid_grant",
		"The request has an invalid grant parameter : " + parameter,
	}
}

func revokedGrant() *refusal {
	return invalidGrant("refresh_token. User may have revoked or didn't grant the permission.")
}

func unauthorizedClient() *refusal {
	return &refusal{http.StatusBadRequest, "unauthorized_client", "Not authorized for requested operation"}
}

func invalidScope() *refusal {
	return &refusal{http.StatusBadRequest, "invalid_scope", "The request has an invalid parameter : scope"}
}

// answer is a success before it is written down, so that faults can alter it.
type answer struct {
	AccessToken  *string         `json:"access_token,omitempty"`
	RefreshToken string          `json:"refresh_token,omitempty"`
	Scope        string          `json:"scope,omitempty"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in,omitempty"`

	grant  string
	client string
	issued accessToken
}

func (a *answer) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil { //nolint:gosec // an answer is there to hold tokens
		panic(err) // only strings and literals of this package
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// exchange checks in the order grant type, parameters, client, grant, scope.
// The caller holds s.mu, and stores the access token of the answer.
func (s *Server) exchange(q *tokenRequest, now time.Time) (*answer, *refusal) {
	required, ok := q.required()
	switch {
	case q.oversized:
		return nil, malformedRequest()
	case !ok:
		return nil, unsupportedGrantType()
	case q.malformed:
		return nil, malformedRequest()
	}
	for _, name := range required {
		if q.form.Get(name) == "" {
			return nil, missingParameter(name)
		}
	}
	clientID := q.form.Get("client_id")
	app, ok := s.registry.authenticate(clientID, q.form.Get("client_secret"), now)
	if !ok {
		return nil, invalidClient()
	}

	token := newAccessToken()
	a := &answer{
		AccessToken: &token,
		TokenType:   "bearer",
		ExpiresIn:   wholeSeconds(s.registry.lifetime),
		grant:       q.grant(),
		client:      clientID,
		issued:      accessToken{client: clientID, expires: now.Add(s.registry.lifetime)},
	}
	switch a.grant {
	case grantRefresh:
		return a, s.refreshGrant(a, q)
	case grantCode:
		return a, s.codeGrant(a, q, now)
	default:
		return a, s.scopeGrant(a, app, q)
	}
}

func wholeSeconds(d time.Duration) json.RawMessage {
	return json.RawMessage(strconv.FormatInt(int64(d/time.Second), 10))
}

func (s *Server) refreshGrant(a *answer, q *tokenRequest) *refusal {
	submitted := q.form.Get("refresh_token")
	known, ok := s.registry.refresh[submitted]
	switch {
	case !ok:
		return invalidGrant("refresh_token")
	case known.clientID != a.client:
		return unauthorizedClient()
	case known.revoked:
		return revokedGrant()
	}
	a.RefreshToken = submitted
	a.issued.account = known.account
	return nil
}

func (s *Server) codeGrant(a *answer, q *tokenRequest, now time.Time) *refusal {
	code, ok := s.registry.codes[q.form.Get("code")]
	redirectURI := q.form.Get("redirect_uri")
	switch {
	case !ok, code.used, code.clientID != a.client, !now.Before(code.expires),
		redirectURI != "" && code.redirectURI != "" && redirectURI != code.redirectURI:
		return invalidGrant("code")
	}
	code.used = true
	a.RefreshToken = s.registry.authorize(code.clientID, code.account)
	a.issued.account = code.account
	return nil
}

func (s *Server) scopeGrant(a *answer, app *client, q *tokenRequest) *refusal {
	scopes := strings.Fields(q.form.Get("scope"))
	for _, scope := range scopes {
		offered := scope == ScopeMigration && s.registry.migration.offersScope(a.client)
		if !offered && !slices.Contains(app.scopes, scope) {
			return invalidScope()
		}
	}
	if len(scopes) == 0 {
		return invalidScope()
	}
	a.Scope = strings.Join(scopes, " ")
	a.issued.scopes = scopes
	return nil
}
