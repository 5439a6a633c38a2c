// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/fault"
	"vault-plugin-secrets-spapi/backend/store"
)

// fields reads the fields of a request into variables. A field that the request
// leaves out leaves its variable alone, null in a PATCH sets it to the default.
// The first bad field becomes err, and what follows is not read.
type fields struct {
	data  *framework.FieldData
	patch bool
	err   error
}

func readFields(req *logical.Request, data *framework.FieldData) *fields {
	return &fields{data: data, patch: req.Operation == logical.PatchOperation}
}

// value returns the raw value of a field. present is false also for null, which
// runs reset.
func (f *fields) value(name string, reset func()) (value any, present bool) {
	value, given := f.data.Raw[name]
	if f.err != nil || !given {
		return nil, false
	}
	if value != nil {
		return value, true
	}
	if f.patch {
		reset()
	} else {
		f.fail(name, "is null: leave it out to keep what is stored, or PATCH it with null for the default")
	}
	return nil, false
}

func (f *fields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = fault.BadField(name, format, args...)
	}
}

// text reads a string of at most limit bytes without control characters, trimmed.
// check, if not nil, says what else is wrong with one that is not empty.
func (f *fields) text(name string, limit int, into *string, fallback string, check func(string) error) {
	value, present := f.value(name, func() { *into = fallback })
	if !present {
		return
	}
	text := strings.TrimSpace(fmt.Sprint(value))
	if err := plainText(text, limit); err != nil {
		f.fail(name, "%s", err)
		return
	}
	if text != "" && check != nil {
		if err := check(text); err != nil {
			f.fail(name, "%s", err)
			return
		}
	}
	*into = text
	if text == "" {
		*into = fallback
	}
}

// secret reads a credential, which cannot be empty.
func (f *fields) secret(name string) credential.Secret {
	var text string
	value, given := f.data.Raw[name]
	if !given || f.err != nil {
		return credential.Secret{}
	}
	if value != nil {
		f.text(name, maxFieldSize, &text, "", nil)
	}
	if text == "" {
		f.fail(name, "must not be empty")
	}
	return credential.New(text)
}

// requiredSecret is secret for a credential that the request has to carry.
func (f *fields) requiredSecret(name string) credential.Secret {
	secret := f.secret(name)
	f.must(name, secret.Reveal())
	return secret
}

// must fails for a text that the request has to carry and did not.
func (f *fields) must(name, value string) {
	if value == "" {
		f.fail(name, "is required")
	}
}

// boolean reads true or false.
func (f *fields) boolean(name string, into *bool, fallback bool) {
	if _, present := f.value(name, func() { *into = fallback }); present {
		*into = f.data.Get(name).(bool)
	}
}

// optionalBoolean reads true or false; null means unset.
func (f *fields) optionalBoolean(name string, into **bool) {
	if _, present := f.value(name, func() { *into = nil }); present {
		value := f.data.Get(name).(bool)
		*into = &value
	}
}

// integer reads a whole number from low to high.
func (f *fields) integer(name string, into *int, fallback, low, high int) {
	value, present := f.value(name, func() { *into = fallback })
	if !present {
		return
	}
	number, err := strconv.Atoi(strings.TrimSpace(fmt.Sprint(value)))
	switch {
	case err != nil:
		f.fail(name, "must be a whole number")
	case number < low || number > high:
		f.fail(name, "must be from %d to %d", low, high)
	default:
		*into = number
	}
}

// duration reads a duration from low to high, in whole seconds.
func (f *fields) duration(name string, into *time.Duration, fallback, low, high time.Duration) {
	value, present := f.value(name, func() { *into = fallback })
	if !present {
		return
	}
	duration, ok := parseDuration(value)
	switch {
	case !ok:
		f.fail(name, "must be %s", expected(framework.TypeSignedDurationSecond))
	case duration < low || duration > high:
		f.fail(name, "must be from %s to %s", shortDuration(low), shortDuration(high))
	default:
		*into = duration.Truncate(time.Second)
	}
}

// parseDuration reads Vault's forms of a duration: seconds, Go's, or days. It is
// not the SDK's, which overflows to a small number for a very large one.
func parseDuration(value any) (time.Duration, bool) {
	text := strings.TrimSpace(fmt.Sprint(value))
	const maxSeconds = int64(100 * 365 * 24 * 60 * 60)
	unit := time.Second
	digits := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		digits, unit = days, 24*time.Hour
	}
	if number, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if limit := maxSeconds / int64(unit/time.Second); number > limit || number < -limit {
			return time.Duration(maxSeconds) * time.Second, number > 0
		}
		return time.Duration(number) * unit, true
	}
	duration, err := time.ParseDuration(text)
	return duration, err == nil
}

// shortDuration prints 55m0s as 55m.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if trimmed := strings.TrimSuffix(text, zero); strings.HasSuffix(trimmed, "m") || strings.HasSuffix(trimmed, "h") {
			text = trimmed
		}
	}
	return text
}

// timestamp reads a time in RFC 3339 of this or the next century.
func (f *fields) timestamp(name string, into *time.Time, fallback time.Time) {
	value, present := f.value(name, func() { *into = fallback })
	if !present {
		return
	}
	moment, err := time.Parse(time.RFC3339, strings.TrimSpace(fmt.Sprint(value)))
	switch {
	case err != nil:
		f.fail(name, "must be %s", expected(framework.TypeTime))
	case moment.Year() < 2000 || moment.Year() > 2200:
		f.fail(name, "must lie between the years 2000 and 2200")
	default:
		*into = moment.UTC().Truncate(time.Second)
	}
}

// list reads at most limit strings that match shape; an empty list clears.
func (f *fields) list(name string, into *[]string, limit int, shape *regexp.Regexp, want string) {
	if _, present := f.value(name, func() { *into = nil }); !present {
		return
	}
	values := f.data.Get(name).([]string)
	if len(values) > limit {
		f.fail(name, "has more than %d elements", limit)
		return
	}
	for _, value := range values {
		if !shape.MatchString(value) {
			f.fail(name, "each element must be %s", want)
			return
		}
	}
	*into = values
}

const (
	maxPairs       = 64
	maxPairKey     = 128
	maxPairValue   = 512
	pairsExplained = "at most 64 pairs, keys of 1 to 128 and values of at most 512 bytes, without control characters"
)

// pairs reads key=value pairs. In a PATCH, an object is merged into what is
// stored, and null removes a key (RFC 7396); everything else replaces it.
func (f *fields) pairs(name string, into *store.Metadata) {
	raw, present := f.value(name, func() { *into = nil })
	if !present {
		return
	}
	merged := map[string]string{}
	object, isObject := raw.(map[string]any)
	if isObject && f.patch {
		merged = into.Map()
	}
	maps.Copy(merged, f.data.Get(name).(map[string]string))
	for key, value := range object {
		if value == nil {
			delete(merged, key)
		}
	}
	if len(merged) > maxPairs {
		f.fail(name, "holds too much: %s", pairsExplained)
		return
	}
	for key, value := range merged {
		if key == "" || plainText(key, maxPairKey) != nil || plainText(value, maxPairValue) != nil {
			f.fail(name, "holds a bad pair: %s", pairsExplained)
			return
		}
	}
	*into = store.NewMetadata(merged)
}

// plainText says what is wrong with a text, without repeating it.
func plainText(text string, limit int) error {
	switch {
	case len(text) > limit:
		return fmt.Errorf("is longer than %d bytes", limit)
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("holds a control character")
	}
	return nil
}

// seconds is how durations are answered.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// rfc3339 is how times are answered.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
