// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"vault-plugin-secrets-spapi/backend/sellingpartner"
	"vault-plugin-secrets-spapi/backend/store"
)

const (
	maxAllowedAccounts   = 1000
	maxPathParameters    = 10
	maxResourcePath      = 512
	maxPathParameter     = 256
	maxRoleDescription   = 512
	maxTargetApplication = 256
)

var (
	accountPatternShape = regexp.MustCompile(`^[\w.@*-]{1,256}$`)
	parameterNameShape  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	// A segment of a path is a placeholder, or what stands in a URL as it is.
	resourcePathShape = regexp.MustCompile(`^(/([A-Za-z0-9._~:@!$&'()*+,;=-]+|\{[A-Za-z][A-Za-z0-9_]{0,63}\}))+$`)
	// No slash, no percent sign: the value stays within its segment, encoded or not.
	parameterValueShape = regexp.MustCompile(`^[A-Za-z0-9._~:@=+-]+$`)
)

// readRole sets the fields that a write names.
func readRole(f *fields, role *store.Role) error {
	f.resources("restricted_resources", &role.Resources)
	f.list("allowed_accounts", &role.AllowedAccounts, maxAllowedAccounts, accountPatternShape, "the name of an account, in which * stands for anything")
	f.list("path_parameters", &role.PathParameters, maxPathParameters, parameterNameShape, "the name of a placeholder, without braces")
	f.text("target_application", maxTargetApplication, &role.TargetApplication, "", oneWord)
	f.text("description", maxRoleDescription, &role.Description, "", nil)
	if f.err == nil && len(role.Resources) == 0 {
		f.fail("restricted_resources", "is required to create the role: 1 to %d", sellingpartner.MaxRestrictedResources)
	}
	for at, name := range role.PathParameters {
		if !slices.ContainsFunc(role.Resources, func(r store.RestrictedResource) bool {
			return slices.Contains(sellingpartner.Placeholders(r.Path), name)
		}) {
			f.fail("path_parameters", "%s is no placeholder of restricted_resources", name)
		}
		if slices.Contains(role.PathParameters[:at], name) {
			f.fail("path_parameters", "%s stands there twice", name)
		}
	}
	return f.err
}

// resources reads restricted resources, as JSON or as a text that holds JSON.
func (f *fields) resources(name string, into *[]store.RestrictedResource) {
	value, present := f.value(name, func() { *into = nil })
	if !present {
		return
	}
	text, isText := value.(string)
	if !isText {
		encoded, err := json.Marshal(value)
		if err != nil {
			f.fail(name, "cannot be read")
			return
		}
		text = string(encoded)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(text), &elements); err != nil {
		f.fail(name, `must be a list of objects as JSON, such as [{"method": "GET", "path": "/orders/v0/orders/{orderId}/address"}]`)
		return
	}
	if len(elements) < 1 || len(elements) > sellingpartner.MaxRestrictedResources {
		f.fail(name, "must hold 1 to %d resources, not %d", sellingpartner.MaxRestrictedResources, len(elements))
		return
	}
	resources := make([]store.RestrictedResource, len(elements))
	for at, element := range elements {
		resource, err := readResource(element)
		if err != nil {
			f.fail(name, "resource %d: %s", at+1, err)
			return
		}
		resources[at] = resource
	}
	*into = resources
}

// readResource is strict: a misspelled member would open less than was meant, and
// of one that stands there twice a reader may see the other.
func readResource(element json.RawMessage) (resource store.RestrictedResource, err error) {
	into := map[string]any{"method": &resource.Method, "path": &resource.Path, "dataElements": &resource.DataElements}
	members := json.NewDecoder(bytes.NewReader(element))
	if opening, err := members.Token(); err != nil || opening != json.Delim('{') {
		return resource, errors.New("is no object with method, path and dataElements")
	}
	for members.More() {
		name, err := members.Token()
		if err != nil {
			return resource, errors.New("cannot be read")
		}
		member := fmt.Sprint(name)
		switch value, left := into[member]; {
		case !left:
			return resource, fmt.Errorf("%q is unknown, or stands there twice; there are method, path and dataElements", shorten(member))
		case members.Decode(value) != nil:
			return resource, fmt.Errorf("%s has the wrong type", member)
		}
		delete(into, member)
	}
	if methods := sellingpartner.Methods(); !slices.Contains(methods, resource.Method) {
		return resource, fmt.Errorf("method must be one of %s", strings.Join(methods, ", "))
	}
	if err := resourcePath(resource.Path); err != nil {
		return resource, err
	}
	known := sellingpartner.DataElements()
	for at, dataElement := range resource.DataElements {
		if !slices.Contains(known, dataElement) {
			return resource, fmt.Errorf("dataElements must be of %s", strings.Join(known, ", "))
		}
		if slices.Contains(resource.DataElements[:at], dataElement) {
			return resource, fmt.Errorf("dataElements holds %s twice", dataElement)
		}
	}
	return resource, nil
}

func resourcePath(path string) error {
	switch {
	case len(path) > maxResourcePath:
		return fmt.Errorf("path is longer than %d bytes", maxResourcePath)
	case !resourcePathShape.MatchString(path):
		return errors.New("path must begin with / and hold no host, query, space or percent sign; a placeholder is a whole segment in braces")
	case hasDots(path):
		return errors.New("path must not hold a segment of one or two dots only")
	}
	return nil
}

func hasDots(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

// pathParameters reads the values of a role's placeholders.
func (f *fields) pathParameters(name string) map[string]string {
	if _, present := f.value(name, func() {}); !present {
		return nil
	}
	values := f.data.Get(name).(map[string]string)
	if len(values) > maxPathParameters {
		f.fail(name, "has more than %d", maxPathParameters)
	}
	for _, parameter := range slices.Sorted(maps.Keys(values)) {
		value := values[parameter]
		switch {
		case !parameterNameShape.MatchString(parameter): // which is not repeated
			f.fail(name, "%s", "has a bad name; give name=value")
		case len(value) > maxPathParameter || !parameterValueShape.MatchString(value):
			f.fail(name, "%s must be 1 to %d letters, digits and . _ ~ : @ = + -", parameter, maxPathParameter)
		case strings.Contains(value, "..") || value == ".":
			f.fail(name, "%s must not hold two dots in a row, nor be one", parameter)
		}
	}
	return values
}
