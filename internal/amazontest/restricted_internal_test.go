// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every operation is found by its generic path and by a specific one, is told from
// the others, and takes its dataElements only.
func TestRestrictedOperations(t *testing.T) {
	t.Parallel()
	tokens := newRestricting()
	for _, op := range restrictedOperations() {
		name := op.method + " " + op.path
		for _, path := range []string{op.path, specificPath(op.path)} {
			found, _, ok := findRestricted(op.method, path)
			require.True(t, ok, name)
			require.Equal(t, op, found)

			_, refused := tokens.refuse([]RestrictedResource{{op.method, path, nil}})
			require.Equal(t, op.specific && path == op.path, refused, name)
			if op.specific {
				continue
			}
			for _, element := range []string{elementBuyerInfo, elementShippingAddress, elementTaxInformation} {
				_, refused := tokens.refuse([]RestrictedResource{{op.method, path, []string{element}}})
				require.NotEqual(t, strings.Contains(strings.Join(op.elements, " "), element), refused, name+" "+element)
			}
		}
	}
}

func specificPath(path string) string {
	start, end := strings.Index(path, "{"), strings.Index(path, "}")
	if start < 0 {
		return path
	}
	return path[:start] + "X-1.2:3" + path[end+1:]
}

func TestRestrictedCoversEveryOtherOperationNot(t *testing.T) {
	t.Parallel()
	all := restrictedOperations()
	for i, asked := range all {
		for j, opened := range all {
			r := Restricted{Resources: []RestrictedResource{{asked.method, asked.path, asked.elements}}}
			_, value, _ := findRestricted(opened.method, specificPath(opened.path))
			elements, ok := r.covers(opened, value)
			require.Equal(t, i == j, ok, "%s %s and %s %s", asked.method, asked.path, opened.method, opened.path)
			if ok {
				require.Equal(t, asked.elements, elements)
			}
		}
	}
}
