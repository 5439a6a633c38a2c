// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// csvSource reads one line at a time, and each on its own: no field of an account
// holds a line break, so that a quote left open spoils its line only.
func csvSource(name string, lines *lineReader, opts Options) (*Source, *Problem) {
	header, ok := firstLine(lines)
	comma, said := separator(header.text)
	if said {
		header, ok = firstLine(lines)
	}
	at := Place{File: name, Line: header.number}
	switch {
	case !ok:
		return nil, &Problem{Place: Place{File: name}, Text: emptyFile}
	case header.err != nil:
		return nil, &Problem{Place: at, Text: header.err.Error()}
	}
	if !said {
		comma = delimiter(header.text)
	}
	columns, err := splitCSV(header.text, comma)
	if err != nil {
		return nil, &Problem{Place: at, Text: "the header " + err.Error()}
	}
	columns = withoutSurplus(columns, 0)
	unknown, err := checkHeader(columns, opts)
	if err != nil {
		return nil, &Problem{Place: at, Text: err.Error()}
	}
	source := &Source{Name: name, header: header.number, lines: true, ignored: len(unknown) > 0, next: func() (Item, bool) {
		for {
			read, ok := firstLine(lines)
			if !ok {
				return Item{}, false
			}
			if item := csvItem(Place{File: name, Line: read.number}, read, comma, columns, opts); item != (Item{}) {
				return item, true
			}
		}
	}}
	if len(unknown) > 0 {
		source.Notes = append(source.Notes, Note{at, "ignored: " + strings.Join(unknown, ", ")})
	}
	return source, nil
}

// firstLine is the next line that is not blank.
func firstLine(lines *lineReader) (line, bool) {
	for {
		if read, ok := lines.next(); !ok || !read.blank() {
			return read, ok
		}
	}
}

var separatorShape = regexp.MustCompile(`^(?i:"?sep=(.)"?)$`)

// separator is what the line "sep=;" says, which Excel puts before the header.
func separator(text string) (comma rune, said bool) {
	found := separatorShape.FindStringSubmatch(strings.TrimRight(text, " "))
	if found == nil {
		return 0, false
	}
	comma, _ = utf8.DecodeRuneInString(found[1])
	return comma, true
}

// withoutSurplus leaves out empty fields at the end, but for the first few. Excel
// writes them where a cell was cleared.
func withoutSurplus(fields []string, keep int) []string {
	for len(fields) > keep && strings.TrimSpace(fields[len(fields)-1]) == "" {
		fields = fields[:len(fields)-1]
	}
	return fields
}

// delimiter is the one that gives the header most columns that are known. Where
// the comma is for decimals, Excel writes semicolons.
func delimiter(header string) rune {
	best, most := ',', 0
	for _, comma := range []rune{',', ';', '\t'} {
		columns, err := splitCSV(header, comma)
		if err != nil {
			continue
		}
		known := 0
		for _, column := range columns {
			if slices.Contains(Columns(), columnName(column)) {
				known++
			}
		}
		if known > most {
			best, most = comma, known
		}
	}
	return best
}

// splitCSV gives the fields of one line. Its errors hold nothing of the line.
func splitCSV(text string, comma rune) ([]string, error) {
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = comma
	reader.FieldsPerRecord = -1
	fields, err := reader.Read()
	if err != nil {
		return nil, errors.New(`is no CSV: a quote (") is left open, or stands inside of a field without being doubled`)
	}
	return fields, nil
}

func columnName(column string) string { return strings.ToLower(strings.TrimSpace(column)) }

// checkHeader puts the columns into their usual form, and returns those that are
// not known. Without permission to ignore them they are an error: a misspelled
// column would be lost.
func checkHeader(columns []string, opts Options) (unknown []string, err error) {
	known := 0
	for i, column := range columns {
		columns[i] = columnName(column)
		switch {
		case !slices.Contains(Columns(), columns[i]):
			shown := fmt.Sprintf("column %d", i+1)
			if name := label(strings.TrimSpace(column)); name != "" {
				shown = fmt.Sprintf("column %q", name)
			}
			unknown = append(unknown, shown)
			columns[i] = ""
		case slices.Contains(columns[:i], columns[i]):
			return nil, fmt.Errorf("the column %q stands twice in the header", columns[i])
		default:
			known++
		}
	}
	switch {
	case known == 0:
		return nil, fmt.Errorf("this is no header: it names none of the columns %s", strings.Join(Columns(), ", "))
	case !slices.Contains(columns, "refresh_token"):
		return nil, errors.New("the header lacks the column refresh_token")
	case !slices.Contains(columns, "account") && opts.Account == "":
		return nil, errors.New("the header lacks the column account; for a file with one account, --account NAME names it")
	case slices.Contains(columns, "account") && opts.Account != "":
		return nil, errors.New("the file names its accounts in the column account: leave --account out")
	case len(unknown) > 0 && !opts.IgnoreUnknown:
		return nil, fmt.Errorf("not known: %s; known are %s (--ignore-unknown leaves others out)", strings.Join(unknown, ", "), strings.Join(Columns(), ", "))
	}
	return unknown, nil
}

// csvItem reads a line; one of which all fields are empty gives nothing.
func csvItem(at Place, read line, comma rune, columns []string, opts Options) Item {
	if read.err != nil {
		return Item{Problem: &Problem{Place: at, Text: read.err.Error()}}
	}
	fields, err := splitCSV(read.text, comma)
	if err != nil {
		return Item{Problem: &Problem{Place: at, Text: "the line " + err.Error()}}
	}
	if len(withoutSurplus(fields, 0)) == 0 {
		return Item{}
	}
	if fields = withoutSurplus(fields, len(columns)); len(fields) != len(columns) {
		return Item{Problem: &Problem{Place: at, Text: fmt.Sprintf("the line has %d fields, the header %d", len(fields), len(columns))}}
	}
	values := map[string]any{}
	for i, column := range columns {
		if column != "" {
			values[column] = fields[i]
		}
	}
	return record(at, values, opts)
}
