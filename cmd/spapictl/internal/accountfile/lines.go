// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of CSV or JSON. A refresh token has about 400 bytes.
const maxLine = 64 << 10

// line is a line without its end, and what is wrong with it as a line.
type line struct {
	number int
	text   string
	err    error
}

func (l line) blank() bool { return l.err == nil && strings.TrimSpace(l.text) == "" }

// lineReader reads lines of bounded length. A line that is too long is skipped,
// and those behind it are read.
type lineReader struct {
	from   *bufio.Reader
	number int
}

func (r *lineReader) next() (line, bool) {
	text, long, err := r.read()
	if err != nil && len(text) == 0 && !long {
		if errors.Is(err, io.EOF) {
			return line{}, false
		}
		// The text of a read error may hold more than the name of the file.
		r.number++
		failed := line{number: r.number, err: errors.New("the file cannot be read from here on")}
		r.from = bufio.NewReader(strings.NewReader(""))
		return failed, true
	}
	r.number++
	read := line{number: r.number}
	switch text := bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")); {
	case long:
		read.err = fmt.Errorf("the line is longer than %d bytes", maxLine)
	case !utf8.Valid(text):
		read.err = errors.New("the line is not UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		read.err = errors.New("the line holds a NUL byte")
	case bytes.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		read.err = errors.New("the line holds a control character")
	default:
		read.text = string(text)
	}
	return read, true
}

func (r *lineReader) read() (text []byte, long bool, err error) {
	for {
		part, err := r.from.ReadSlice('\n')
		if !long && len(text)+len(part) > maxLine {
			text, long = nil, true
		}
		if !long {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, long, err
		}
	}
}
