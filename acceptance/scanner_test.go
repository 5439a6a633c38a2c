// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newMarker returns a text that stands nowhere else. It holds characters that
// change when they are encoded.
func newMarker() string {
	text := rand.Text()
	return text[:10] + "&|" + text[10:20]
}

// scanner looks for texts in whatever form a leak might have.
type scanner struct {
	needles map[string][]byte // by name
}

// add makes the scanner look for a text, under a name that is safe to print.
func (s *scanner) add(name, text string) {
	if s.needles == nil {
		s.needles = map[string][]byte{}
	}
	quoted, _ := json.Marshal(text) // of a string it cannot fail
	for form, encoded := range map[string]string{
		"plain":     text,
		"query":     url.QueryEscape(text),
		"path":      url.PathEscape(text),
		"JSON":      strings.Trim(string(quoted), `"`),
		"HTML":      html.EscapeString(text),
		"hex":       hex.EncodeToString([]byte(text)),
		"upper hex": strings.ToUpper(hex.EncodeToString([]byte(text))),
	} {
		s.needles[name+" ("+form+")"] = []byte(encoded)
	}
	for shift := range 3 {
		for form, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			s.needles[fmt.Sprintf("%s (%s, %d)", name, form, shift)] = insideBase64(encoding, text, shift)
		}
	}
}

// insideBase64 is the part of a text's encoding that does not depend on what
// stands around it, when shift bytes stand before it in its group of three.
func insideBase64(encoding *base64.Encoding, text string, shift int) []byte {
	encoded := encoding.EncodeToString([]byte(strings.Repeat("x", shift) + text))
	first := []int{0, 2, 3}[shift]
	return []byte(encoded[first : (shift+len(text))/3*4])
}

func (s *scanner) find(data []byte) []string {
	var found []string
	for name, needle := range s.needles {
		if bytes.Contains(data, needle) {
			found = append(found, name)
		}
	}
	return found
}

// findUnder scans all files under a directory, apart from those in skip.
func (s *scanner) findUnder(dir, skip string) (found []string, files int, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == skip:
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		files++
		for _, name := range s.find(content) {
			found = append(found, path+": "+name)
		}
		return err
	})
	return found, files, err
}

// The canary test proves nothing unless the scanner finds what there is.
func TestScannerFindsPlantedMarkers(t *testing.T) {
	t.Parallel()
	marker := newMarker()
	var s scanner
	s.add("marker", marker)
	require.Empty(t, s.find([]byte(newMarker())))
	asJSON, err := json.Marshal(map[string]string{"field": "Atzr|" + marker + "/1"})
	require.NoError(t, err)
	for _, planted := range []string{
		"in a line: Atzr|" + marker + "/1",
		url.Values{"refresh_token": {"Atzr|" + marker}}.Encode(),
		url.PathEscape(marker),
		string(asJSON),
		"<p>" + html.EscapeString(marker),
		fmt.Sprintf("%x", "Atzr"+marker), fmt.Sprintf("%X", "Atzr"+marker),
		base64.StdEncoding.EncodeToString([]byte(marker + "z")),
		base64.StdEncoding.EncodeToString([]byte("a" + marker + "z")),
		base64.URLEncoding.EncodeToString([]byte("ab" + marker)),
		base64.StdEncoding.EncodeToString([]byte("abc" + marker)),
		"\x00\x01binary\xff" + marker + "\x00",
	} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "deep", "skipped"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "deep", "file"), []byte(planted), 0o600))
		found, files, err := s.findUnder(dir, "skipped")
		require.NoError(t, err)
		require.Equal(t, 1, files)
		require.NotEmpty(t, found, "%q", planted)
	}
}
