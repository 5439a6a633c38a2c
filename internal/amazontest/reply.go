// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	contentTypeJSON = "application/json;charset=UTF-8"
	contentTypeHTML = "text/html;charset=UTF-8"
	contentTypeText = "text/plain;charset=UTF-8"
)

// reply is what goes on the wire, headers common to all answers aside.
type reply struct {
	status      int
	sp          bool // of the SP-API, not of Login with Amazon
	header      http.Header
	contentType string
	errorCode   string // of an error in Login with Amazon's JSON shape
	description string
	location    string
	retryAfter  string
	body        []byte
}

func plainReply(status int, text string) reply {
	return reply{status: status, contentType: contentTypeText, body: []byte(text)}
}

func htmlReply(status int, text string) reply {
	return reply{
		status: status, contentType: contentTypeHTML,
		body: []byte("<!DOCTYPE html><html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>"),
	}
}

func jsonReply(body []byte) reply {
	return reply{status: http.StatusOK, contentType: contentTypeJSON, body: body}
}

func (f *refusal) reply() reply {
	return reply{status: f.status, contentType: contentTypeJSON, errorCode: f.code, description: f.description}
}

// errorBody has the members and the order of recorded answers.
type errorBody struct {
	ErrorIndex       string `json:"error_index"`
	ErrorDescription string `json:"error_description"`
	Error            string `json:"error"`
	RequestID        string `json:"request_id"`
}

// errorType follows the one recorded value, OA2UnsupportedGrantTypeException;
// that the others are built alike is inferred.
func errorType(code string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(code, "_") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return "OA2" + name.String() + "Exception:http://internal.amazon.com/coral/com.amazon.panda/"
}

// writeHead fills in what depends on the request id, and returns the body.
func (s *Server) writeHead(w http.ResponseWriter, rep reply) []byte {
	requestID := newUUID()
	h := w.Header()
	h.Set("X-Amzn-Requestid", requestID)
	if !rep.sp {
		h.Set("Server", "Server")
		h.Set("X-Amz-Rid", pick(upperDigits, ridLength))
		h.Set("X-Amz-Date", s.now().UTC().Format(http.TimeFormat))
		h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
		h.Set("Pragma", "no-cache")
		h.Set("Vary", "Content-Type,Accept-Encoding,User-Agent")
		h.Set("Strict-Transport-Security", "max-age=47474747; includeSubDomains; preload")
	}
	maps.Copy(h, rep.header)

	if rep.errorCode != "" {
		h.Set("X-Amzn-Errortype", errorType(rep.errorCode))
		rep.body = mustJSON(errorBody{
			ErrorIndex:       randomBase64(errorIndexBytes),
			ErrorDescription: rep.description,
			Error:            rep.errorCode,
			RequestID:        requestID,
		})
	}
	if rep.location != "" {
		h.Set("Location", rep.location)
	}
	if rep.retryAfter != "" {
		h.Set("Retry-After", rep.retryAfter)
	}
	if rep.contentType != "" {
		h.Set("Content-Type", rep.contentType)
	} else {
		h["Content-Type"] = nil // net/http would invent one
	}
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	w.WriteHeader(rep.status)
	return rep.body
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only types of this package
	}
	return b
}

// delivery is a reply and how the fault, if any, brings it to the client.
type delivery struct {
	reply reply
	fault Fault
}

// send leaves before the last byte: who has read an answer must not find its
// request still in flight.
func (s *Server) send(w http.ResponseWriter, r *http.Request, d delivery, leave func()) {
	ctx := r.Context()
	switch d.fault.Kind {
	case FaultHang:
		<-ctx.Done()
		panic(http.ErrAbortHandler)
	case FaultReset:
		if d.fault.Delay > 0 && !sleep(ctx, d.fault.Delay) {
			panic(http.ErrAbortHandler)
		}
		leave()
		lingerZero(ctx)
		panic(http.ErrAbortHandler)
	case FaultSlowBody:
		body := s.writeHead(w, d.reply)
		half := len(body) / 2
		writeNow(w, body[:half])
		if !sleep(ctx, d.fault.Delay) {
			panic(http.ErrAbortHandler)
		}
		leave()
		_, _ = w.Write(body[half:])
		return
	}
	if d.fault.Delay > 0 && !sleep(ctx, d.fault.Delay) {
		panic(http.ErrAbortHandler)
	}
	body := s.writeHead(w, d.reply)
	leave()
	if d.fault.Kind == FaultTruncatedBody {
		writeNow(w, body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func writeNow(w http.ResponseWriter, b []byte) {
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
}

// sleep is true after d; false when the client or the server went away first,
// which is the only end of a d of zero.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		<-ctx.Done()
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// lingerZero makes the close that follows an aborted handler a TCP reset.
func lingerZero(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(interface{ SetLinger(sec int) error }); ok {
		_ = c.SetLinger(0)
	}
}

// serveElsewhere is where redirect faults lead. It tempts with a good-looking
// answer, so that a client which follows gets a token that is nobody's.
func (s *Server) serveElsewhere(w http.ResponseWriter, r *http.Request) {
	s.countRedirect()
	token := newAccessToken()
	bait := answer{
		AccessToken: &token, RefreshToken: newRefreshToken(),
		TokenType: "bearer", ExpiresIn: wholeSeconds(defaultTokenLifetime),
	}
	s.send(w, r, delivery{reply: jsonReply(bait.encode())}, func() {})
}

// serveElsewhereSP is serveElsewhere for the SP-API, with a code that is nobody's.
func (s *Server) serveElsewhereSP(w http.ResponseWriter, r *http.Request) {
	s.countRedirect()
	s.send(w, r, delivery{reply: spReply(authorizationCodeBody(newCode()))}, func() {})
}

// serveElsewhereRestricted is serveElsewhere for restricted data tokens.
func (s *Server) serveElsewhereRestricted(w http.ResponseWriter, r *http.Request) {
	s.countRedirect()
	token := newRestrictedToken()
	bait := restrictedAnswer{Token: &token, ExpiresIn: wholeSeconds(restrictedLifetime)}
	s.send(w, r, delivery{reply: spReply(mustJSON(bait))}, func() {})
}

func (s *Server) countRedirect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traffic.redirectsFollowed++
}
