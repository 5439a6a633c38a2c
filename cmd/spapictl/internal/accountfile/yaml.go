// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"vault-plugin-secrets-spapi/backend/credential"
)

// The time that the parser takes grows with the square of what it reads, and
// faster with brackets in each other. A complete account has 11 tokens, and no
// bracket.
const (
	maxTokens   = 50_000
	maxBrackets = 32
	// maxMerges bounds merges into each other, maxFields the fields of all maps,
	// those that are merged each time.
	maxMerges = 8
	maxFields = 200_000
)

// yamlAccount is one map of credentials.yml.
type yamlAccount struct {
	place    Place
	name     string
	fields   map[string]yamlValue
	template bool // an anchor for others
	problem  string
}

type yamlValue struct {
	text string
	line int
}

// yamlFile reads the syntax tree of a credentials.yml, since lines are needed.
type yamlFile struct {
	name    string
	anchors map[string]ast.Node
	bad     []*Problem
	fields  int // read so far
}

// yamlSource reads credentials.yml of python-amazon-sp-api: a map for each
// account, with refresh_token, lwa_app_id and lwa_client_secret.
func yamlSource(name, text string, opts Options) (*Source, *Problem) {
	text = unixLines(text)
	tokens := lexer.Tokenize(text)
	if problem := tooMuch(name, tokens); problem != nil {
		return nil, problem
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, &Problem{Place: Place{name, errorLine(err)}, Text: "the file is not readable as YAML from this line on"}
	}
	f := &yamlFile{name: name, anchors: map[string]ast.Node{}}
	var accounts []yamlAccount
	for _, doc := range tree.Docs {
		accounts = append(accounts, f.accounts(doc.Body)...)
	}
	accounts = slices.DeleteFunc(accounts, func(a yamlAccount) bool { return a.template })
	if len(accounts) == 0 && len(f.bad) == 0 {
		return nil, &Problem{Place: Place{File: name}, Text: "holds no account"}
	}
	b := &builder{opts: opts, count: len(accounts)}
	if !b.canName(false) {
		return nil, &Problem{Place: Place{File: name}, Text: fmt.Sprintf("--account names one account, and the file names %d: leave it out", len(accounts))}
	}
	for _, problem := range f.bad {
		b.refuse(problem)
	}
	for _, same := range byName(accounts) {
		if same.differ() {
			b.refuse(&Problem{Place: same[0].place, Account: shownName(same[0].name), Text: fmt.Sprintf("the account stands in %s, with different values: only one of them can be right", same.places())})
			continue
		}
		for _, account := range same {
			b.addYAML(account)
		}
	}
	return b.source(name), nil
}

// tooMuch says what would take the parser long.
func tooMuch(name string, tokens token.Tokens) *Problem {
	open := 0
	for _, read := range tokens {
		switch read.Type { //nolint:exhaustive // brackets only
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		}
		if open > maxBrackets {
			return &Problem{Place: Place{name, read.Position.Line}, Text: "the YAML is nested too deeply"}
		}
	}
	if len(tokens) > maxTokens {
		return &Problem{Place: Place{File: name}, Text: "the YAML is too long; for more than 4,000 accounts use CSV or JSON lines"}
	}
	return nil
}

// sameName are the accounts of one name, in the order of the file.
type sameName []yamlAccount

func byName(accounts []yamlAccount) []sameName {
	var all []sameName
	index := map[string]int{}
	for _, account := range accounts {
		i, again := index[account.name]
		if !again {
			i = len(all)
			index[account.name] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], account)
	}
	return all
}

// differ reports whether there are several with different values. Programs take
// the last one, so that the others are out of date.
func (s sameName) differ() bool {
	return slices.ContainsFunc(s[1:], func(other yamlAccount) bool {
		return s[0].problem != "" || other.problem != "" ||
			!maps.EqualFunc(s[0].fields, other.fields, func(a, b yamlValue) bool { return a.text == b.text })
	})
}

func (s sameName) places() string {
	var places []string
	for _, account := range s {
		places = append(places, account.place.String())
	}
	return strings.Join(places, " and ")
}

// errorLine is where the parser gave up. Its text quotes the file.
func errorLine(err error) int {
	if syntax, ok := err.(yaml.Error); ok && syntax.GetToken() != nil && syntax.GetToken().Position != nil { //nolint:errorlint // an interface of theirs, never wrapped
		return syntax.GetToken().Position.Line
	}
	return 0
}

func (f *yamlFile) at(node ast.Node) Place {
	if token := node.GetToken(); token != nil && token.Position != nil {
		return Place{f.name, token.Position.Line}
	}
	return Place{File: f.name}
}

func (f *yamlFile) refuse(node ast.Node, text string) {
	f.bad = append(f.bad, &Problem{Place: f.at(node), Text: text})
}

// accounts are the maps of a document.
func (f *yamlFile) accounts(body ast.Node) []yamlAccount {
	if body == nil {
		return nil
	}
	top, ok := f.resolve(body).(ast.MapNode)
	if !ok {
		f.refuse(body, "is no map of accounts")
		return nil
	}
	var accounts []yamlAccount
	for entries := top.MapRange(); entries.Next(); {
		key, value := entries.Key(), entries.Value()
		name, isText := f.scalar(key)
		if _, merge := key.(*ast.MergeKeyNode); merge || !isText {
			f.refuse(key, "a merge key or a key that is no text stands where an account should")
			continue
		}
		_, anchored := value.(*ast.AnchorNode)
		inner, isMap := f.resolve(value).(ast.MapNode)
		if !isMap {
			if name != "version" {
				f.refuse(key, "is no account: an account is a map with refresh_token")
			}
			continue
		}
		account := yamlAccount{place: f.at(key), name: name, fields: map[string]yamlValue{}}
		f.fill(&account, inner, 0)
		_, hasToken := account.fields["refresh_token"]
		account.template = anchored && !hasToken
		accounts = append(accounts, account)
	}
	return accounts
}

// fill takes the fields of a map; those that are merged in come after its own.
func (f *yamlFile) fill(account *yamlAccount, from ast.MapNode, depth int) {
	own := map[string]int{}
	var merged []ast.Node
	for entries := from.MapRange(); entries.Next(); {
		if f.fields++; depth > maxMerges || f.fields > maxFields {
			account.problem = "merges too many maps into each other"
			return
		}
		key, value := entries.Key(), entries.Value()
		if _, merge := key.(*ast.MergeKeyNode); merge {
			merged = append(merged, value)
			continue
		}
		name, isText := f.scalar(key)
		text, isValue := f.scalar(value)
		switch {
		case !isText || !isValue:
			account.problem = fmt.Sprintf("line %d is no text", f.at(key).Line)
		case own[name] > 0:
			account.problem = fmt.Sprintf("lines %d and %d have the same key: only one of them can be right", own[name], f.at(key).Line)
		default:
			own[name] = f.at(key).Line
			if _, given := account.fields[name]; !given {
				account.fields[name] = yamlValue{text, f.at(key).Line}
			}
		}
	}
	for _, node := range merged {
		f.merge(account, node, depth)
	}
}

func (f *yamlFile) merge(account *yamlAccount, node ast.Node, depth int) {
	switch node := f.resolve(node).(type) {
	case ast.MapNode:
		f.fill(account, node, depth+1)
	case *ast.SequenceNode:
		for _, value := range node.Values {
			if inner, ok := f.resolve(value).(ast.MapNode); ok {
				f.fill(account, inner, depth+1)
				continue
			}
			account.problem = "merges what is no map"
			return
		}
	default:
		account.problem = "merges what is no map"
	}
}

// resolve sees through anchors, aliases and tags. An alias that leads nowhere, or
// to itself, gives nil.
func (f *yamlFile) resolve(node ast.Node) ast.Node {
	for range maxMerges {
		switch n := node.(type) {
		case *ast.AnchorNode:
			if n.Name != nil && n.Name.GetToken() != nil {
				f.anchors[n.Name.GetToken().Value] = n.Value
			}
			node = n.Value
		case *ast.AliasNode:
			if n.Value == nil || n.Value.GetToken() == nil {
				return nil
			}
			node = f.anchors[n.Value.GetToken().Value]
		case *ast.TagNode:
			node = n.Value
		default:
			return node
		}
	}
	return nil
}

// scalar is the text of a node. Numbers are taken as they are written.
func (f *yamlFile) scalar(node ast.Node) (string, bool) {
	switch n := f.resolve(node).(type) {
	case *ast.NullNode:
		return "", true
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true
		}
		return n.Value.Value, true
	case ast.ScalarNode:
		if n.GetToken() == nil {
			return "", false
		}
		return n.GetToken().Value, true
	}
	return "", false
}

// outdated are keys of versions that signed requests with AWS credentials.
func outdated() []string {
	return []string{"aws_access_key", "aws_secret_key", "role_arn", "aws_role_arn"}
}

// shownKey is the key of a field with that of its account before it, or its place.
func (a yamlAccount) shownKey(key string) string {
	if name := shownName(a.name); name != "" {
		return name + "." + key
	}
	return fmt.Sprintf("line %d", a.fields[key].line)
}

func (b *builder) addYAML(account yamlAccount) {
	refuse := func(text string) {
		b.refuse(&Problem{Place: account.place, Account: shownName(account.name), Text: text})
	}
	if account.problem != "" {
		refuse(account.problem)
		return
	}
	byLine := slices.SortedFunc(maps.Keys(account.fields), func(a, b string) int {
		return cmp.Compare(account.fields[a].line, account.fields[b].line)
	})
	for _, key := range byLine {
		value := account.fields[key]
		switch {
		case slices.Contains([]string{"refresh_token", "lwa_app_id", "lwa_client_secret"}, key):
		case slices.Contains(outdated(), key):
			if len(b.notes) == 0 {
				b.notes = append(b.notes, Note{Place{account.place.File, value.line}, "AWS credentials are not needed any more, and are left out"})
			}
		case !b.opts.IgnoreUnknown:
			refuse(fmt.Sprintf("line %d has a key that is not known; known are refresh_token, lwa_app_id and lwa_client_secret (--ignore-unknown leaves others out)", value.line))
			return
		}
	}
	var of *Application
	if id := strings.TrimSpace(account.fields["lwa_app_id"].text); id != "" {
		if err := checkClientID(id); err != nil {
			refuse(err.Error())
			return
		}
		secret := credential.Secret{}
		if text := account.fields["lwa_client_secret"].text; strings.TrimSpace(text) != "" {
			var err error
			if secret, err = newCredential("lwa_client_secret", text); err != nil {
				refuse(err.Error())
				return
			}
		}
		of = b.sameApplication(id, secret, Place{account.place.File, account.fields["lwa_app_id"].line})
		if !secret.IsZero() {
			of.SecretNames = append(of.SecretNames, account.shownKey("lwa_client_secret"))
		}
	}
	b.add(Account{Place: account.place, Name: account.name, Application: of, TokenName: account.shownKey("refresh_token")}, account.fields["refresh_token"].text)
}
