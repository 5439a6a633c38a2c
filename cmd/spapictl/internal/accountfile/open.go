// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxWhole bounds the types that are read at once.
	maxWhole = 1 << 20
	peeked   = 4 << 10

	emptyFile = "the file is empty: 0 accounts"
)

// Open opens a file.
func Open(path string, opts Options) (*Source, *Problem) {
	at := Place{File: path}
	file, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, &Problem{Place: at, Text: whyNot(err)}
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Err: errors.New("is a directory")}
	}
	if err != nil {
		_ = file.Close()
		return nil, &Problem{Place: at, Text: whyNot(err)}
	}
	source, problem := Read(path, file, opts)
	if problem != nil {
		_ = file.Close()
		return nil, problem
	}
	source.close = file.Close
	source.Stays = info.Mode().IsRegular()
	source.Endless = !source.Stays
	link, err := os.Lstat(path)
	source.plain = err == nil && link.Mode().IsRegular()
	if info.Mode().IsRegular() && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		source.Notes = append(source.Notes, Note{at, "others than you can read the file, and it holds credentials: chmod 600"})
	}
	if source.Accounts == 0 && info.Mode().IsRegular() {
		source.Accounts = max(0, countLines(path)-source.header)
	}
	return source, nil
}

// whyNot is the cause of an error without the path, which stands before it.
func whyNot(err error) string {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return "cannot be opened"
}

// Read reads a stream, such as standard input.
func Read(name string, from io.Reader, opts Options) (*Source, *Problem) {
	buffered := bufio.NewReaderSize(from, 2*peeked)
	// A stream may be slow: where the type is said, its mark is all that is needed.
	ahead := peeked
	if opts.Type != "" {
		ahead = len("\xef\xbb\xbf")
	}
	start, err := buffered.Peek(ahead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &Problem{Place: Place{File: name}, Text: "cannot be read: " + whyNot(err)}
	}
	if utf16(start) {
		return nil, &Problem{Place: Place{File: name, Line: 1}, Text: "the file is UTF-16: save it as UTF-8"}
	}
	if rest, ok := bytes.CutPrefix(start, []byte("\xef\xbb\xbf")); ok {
		_, _ = buffered.Discard(len(start) - len(rest))
		start = rest
	}
	switch kind := typeOf(name, start, opts.Type); kind {
	case CSV:
		return csvSource(name, &lineReader{from: buffered}, opts)
	case JSONLines:
		return jsonSource(name, &lineReader{from: buffered}, opts)
	case Env, YAML:
		text, problem := whole(name, buffered)
		if problem != nil {
			return nil, problem
		}
		if kind == Env {
			return envSource(name, text, opts)
		}
		return yamlSource(name, text, opts)
	}
	if len(bytes.TrimSpace(start)) == 0 {
		return nil, &Problem{Place: Place{File: name}, Text: emptyFile}
	}
	return nil, &Problem{Place: Place{File: name}, Text: fmt.Sprintf("cannot tell what type of file it is: --type says it (%s)", strings.Join(Types(), ", "))}
}

// utf16 recognizes UTF-16 by its mark, or by the half of the first character that
// is zero in it.
func utf16(start []byte) bool {
	if bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		return true
	}
	return len(start) >= 2 && (start[0] == 0) != (start[1] == 0)
}

// whole reads a file of the types that are small.
func whole(name string, from io.Reader) (string, *Problem) {
	at := Place{File: name}
	content, err := io.ReadAll(io.LimitReader(from, maxWhole+1))
	switch {
	case err != nil:
		return "", &Problem{Place: at, Text: "cannot be read: " + whyNot(err)}
	case len(content) > maxWhole:
		return "", &Problem{Place: at, Text: fmt.Sprintf("the file is larger than %d bytes; for many accounts use CSV or JSON lines", maxWhole)}
	case len(bytes.TrimSpace(content)) == 0:
		return "", &Problem{Place: at, Text: emptyFile}
	}
	for i, text := range bytes.Split(content, []byte("\n")) {
		at.Line = i + 1
		if !utf8.Valid(text) {
			return "", &Problem{Place: at, Text: "the line is not UTF-8"}
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return "", &Problem{Place: at, Text: "the line holds a NUL byte"}
		}
	}
	return string(content), nil
}

// typeOf goes by what the user says, by the name of the file, by its beginning.
func typeOf(name string, start []byte, said Type) Type {
	if said != "" {
		return said
	}
	base := strings.ToLower(filepath.Base(name))
	switch filepath.Ext(base) {
	case ".env":
		return Env
	case ".yml", ".yaml":
		return YAML
	case ".csv", ".tsv":
		return CSV
	case ".jsonl", ".ndjson", ".json":
		return JSONLines
	}
	if strings.HasPrefix(base, ".env.") {
		return Env
	}
	return typeOfContent(string(start))
}

var yamlStart = regexp.MustCompile(`^(---|['"]?[\w.@-]+['"]?[ \t]*:([ \t]|$))`)

func typeOfContent(start string) Type {
	for text := range strings.SplitSeq(unixLines(start), "\n") {
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		equals := assignmentStart.FindString(text)
		columns, _ := splitCSV(trimmed, delimiter(trimmed)) // none if it is no CSV
		switch {
		case strings.HasPrefix(trimmed, "{"), jsonStart.MatchString(trimmed):
			return JSONLines
		case separatorShape.MatchString(trimmed):
			return CSV
		case strings.HasSuffix(strings.TrimRight(equals, " \t"), "="):
			return Env
		case slices.ContainsFunc(columns, func(c string) bool { return columnName(c) == "refresh_token" }):
			return CSV
		case yamlStart.MatchString(text):
			return YAML
		}
		return ""
	}
	return ""
}

// countLines tells about how many accounts a file of one line each has.
func countLines(path string) int {
	file, err := os.Open(path) //nolint:gosec // as in Open
	if err != nil {
		return 0
	}
	defer file.Close() //nolint:errcheck // only read
	lines, part, last := 0, make([]byte, 64<<10), byte('\n')
	for {
		n, err := file.Read(part)
		read := part[:n]
		lines += bytes.Count(read, []byte("\n"))
		if len(read) > 0 {
			last = read[len(read)-1]
		}
		if err != nil && last != '\n' {
			lines++
		}
		if err != nil {
			return lines
		}
	}
}
