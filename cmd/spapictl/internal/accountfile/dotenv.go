// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"errors"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// assignment is NAME=value of a .env file or of the environment.
type assignment struct {
	place Place
	name  string
	value string
	err   error // the line is none, or its value cannot be taken
	// broken quotes: where the next assignment begins is a guess, whosever
	// variable this is.
	broken bool
}

// unixLines makes all line ends \n.
func unixLines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// assignments finds where each assignment of a .env file begins and ends, and
// leaves what its value means to godotenv, one assignment at a time. Its errors
// quote the file, and so are not shown.
func assignments(file, text string) []assignment {
	var found []assignment
	rest, number := unixLines(text), 1
	for rest != "" {
		first := firstOf(rest)
		length := len(first)
		if trimmed := strings.TrimSpace(first); trimmed != "" && trimmed[0] != '#' {
			var read assignment
			read, length = nextAssignment(rest)
			read.place = Place{File: file, Line: number}
			found = append(found, read)
		}
		number += strings.Count(rest[:length], "\n")
		rest = rest[length:]
	}
	return found
}

// firstOf is the first line, with its end.
func firstOf(text string) string {
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return text[:end+1]
	}
	return text
}

var assignmentStart = regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:][ \t]*`)

// nextAssignment reads the assignment at the beginning of text, and how long it
// is. One that cannot be read takes one line.
func nextAssignment(text string) (read assignment, length int) {
	first := firstOf(text)
	start := assignmentStart.FindStringSubmatch(first)
	if start == nil {
		return assignment{err: errors.New("the line is no NAME=value")}, len(first)
	}
	read.name = start[1]
	value := text[len(start[0]):]
	length = len(first)
	quote := byte(0)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		quote = value[0]
		end := closingQuote(value, quote)
		if end < 0 {
			read.err, read.broken = errors.New("the quote of the value is left open"), true
			return read, length
		}
		behind := firstOf(value[end+1:])
		length = len(start[0]) + end + 1 + len(behind)
		if behind = strings.TrimSpace(behind); behind != "" && !strings.HasPrefix(behind, "#") {
			read.err, read.broken = errors.New("text follows the closing quote of the value"), true
			return read, len(first)
		}
	}
	read.value, read.err = meaning(read.name, text[:length], quote)
	return read, length
}

// closingQuote is where the quoted value ends; -1 if it does not.
func closingQuote(value string, quote byte) int {
	for i := 1; i < len(value); i++ {
		if value[i] == quote && value[i-1] != '\\' {
			return i
		}
	}
	return -1
}

// meaning is the value of one assignment, as godotenv reads it.
func meaning(name, text string, quote byte) (string, error) {
	// For a $ godotenv would put the value of another variable, or nothing. It has
	// to find out whether the $ is in the value: the file holds no NUL.
	if quote != '\'' {
		text = strings.ReplaceAll(text, "$", "\x00")
	}
	values, err := godotenv.Unmarshal(text)
	if err != nil {
		return "", errors.New("the value cannot be read")
	}
	value, ok := values[name]
	if !ok || len(values) != 1 {
		return "", errors.New("the value cannot be read")
	}
	if strings.ContainsRune(value, 0) {
		return strings.ReplaceAll(value, "\x00", "$"), errors.New("the value holds a $; in single quotes it is taken as it is")
	}
	return value, nil
}
