// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// jsonSource reads one JSON object per line, with the columns of CSV as members.
func jsonSource(name string, lines *lineReader, opts Options) (*Source, *Problem) {
	first, ok := firstLine(lines)
	if !ok {
		return nil, &Problem{Place: Place{File: name}, Text: emptyFile}
	}
	if several := strings.TrimSpace(jsonStart.FindString(first.text)); several != "" {
		filter := "."
		if several[0] == '[' {
			filter = ".[]"
		}
		return nil, &Problem{Place: Place{File: name, Line: first.number}, Text: fmt.Sprintf("the file is JSON, but not with an object on each line; jq writes it so: jq -c '%s'", filter)}
	}
	begun := false
	source := &Source{Name: name, lines: true}
	source.next = func() (Item, bool) {
		read := first
		if begun {
			if read, ok = firstLine(lines); !ok {
				return Item{}, false
			}
		}
		begun = true
		return source.jsonItem(Place{File: name, Line: read.number}, read, opts), true
	}
	return source, nil
}

// jsonStart is how an array begins, and an object of several lines.
var jsonStart = regexp.MustCompile(`^\s*(\[\s*(\{|\]|$)|\{\s*$)`)

func (s *Source) jsonItem(at Place, read line, opts Options) Item {
	err := read.err
	var values map[string]any
	if err == nil {
		values, err = s.members(read.text, opts)
	}
	if err != nil {
		return Item{Problem: &Problem{Place: at, Text: err.Error()}}
	}
	return record(at, values, opts)
}

var errNoObject = errors.New("the line is no JSON object")

// members are the members of the object in a line. Unlike json.Unmarshal it
// refuses a member that is there twice, of which one would be lost.
func (s *Source) members(text string, opts Options) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errNoObject
	}
	values := map[string]any{}
	for position := 1; decoder.More(); position++ {
		key, err := decoder.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errNoObject
		}
		var raw json.RawMessage
		if decoder.Decode(&raw) != nil {
			return nil, errNoObject
		}
		if !slices.Contains(Columns(), name) {
			if opts.IgnoreUnknown {
				s.ignored = true
				continue
			}
			return nil, unknownMember(name, position)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("the member %q is there twice", name)
		}
		if values[name], err = member(name, raw); err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil || decoder.More() {
		return nil, errNoObject
	}
	return values, nil
}

func unknownMember(name string, position int) error {
	shown := fmt.Sprintf("member %d", position)
	if name = label(name); name != "" {
		shown = fmt.Sprintf("member %q", name)
	}
	return fmt.Errorf("not known: %s; known are %s (--ignore-unknown leaves others out)", shown, strings.Join(Columns(), ", "))
}

// member reads a value: a list for marketplace_ids, an object for metadata, true,
// false or a number where they make sense, and text for all.
func member(name string, raw json.RawMessage) (any, error) {
	into := any(new(string))
	switch first := raw[0]; {
	case bytes.Equal(raw, []byte("null")):
		return "", nil
	case first == '[' && name == "marketplace_ids":
		into = new([]string)
	case first == '{' && name == "metadata":
		into = new(map[string]string)
	case (first == 't' || first == 'f') && (name == "enabled" || name == "generate_lease"),
		first >= '0' && first <= '9' && name == "token_min_ttl":
		return string(raw), nil
	}
	if json.Unmarshal(raw, into) != nil {
		return nil, fmt.Errorf("the member %q has the wrong type", name)
	}
	switch into := into.(type) {
	case *[]string:
		return *into, nil
	case *map[string]string:
		return *into, nil
	}
	return *into.(*string), nil
}
