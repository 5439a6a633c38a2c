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
	"github.com/goccy/go-yaml/parser"

	"vault-plugin-secrets-spapi/backend/credential"
)

// The file is small, and nested twice. Deep nesting takes the parser long.
const (
	maxMerges = 8
	maxMaps   = 10_000
	maxFlow   = 100
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
	maps    int // read so far, merged ones each time
}

// yamlSource reads credentials.yml of python-amazon-sp-api: a map for each
// account, with refresh_token, lwa_app_id and lwa_client_secret.
func yamlSource(name, text string, opts Options) (*Source, *Problem) {
	text = unixLines(text)
	for i, read := range strings.Split(text, "\n") {
		if strings.Count(read, "[")+strings.Count(read, "{") > maxFlow {
			return nil, &Problem{Place: Place{name, i + 1}, Text: "the YAML is nested too deeply"}
		}
	}
	tree, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
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
	for _, account := range accounts {
		b.addYAML(account)
	}
	return b.source(name), nil
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
	f.maps++
	if depth > maxMerges || f.maps > maxMaps {
		account.problem = "merges too many maps into each other"
		return
	}
	own := map[string]bool{}
	var merged []ast.Node
	for entries := from.MapRange(); entries.Next(); {
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
		case own[name]:
			account.problem = fmt.Sprintf("line %d repeats a key", f.at(key).Line)
		default:
			own[name] = true
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
	}
	b.add(account.place, account.name, account.fields["refresh_token"].text, of)
}
