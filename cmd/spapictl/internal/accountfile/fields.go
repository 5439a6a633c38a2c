// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package accountfile

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vault-plugin-secrets-spapi/backend/credential"
	"vault-plugin-secrets-spapi/backend/sellingpartner"
)

// The bounds are those of the paths in Vault, so that a dry run finds what Vault
// would refuse.
const (
	maxName           = 256
	maxCredential     = 16 << 10
	maxMarketplaceIDs = 64
	maxPairs          = 64
	maxPairKey        = 128
	maxPairValue      = 512
)

var (
	nameShape        = regexp.MustCompile(`^\w([\w.@-]*\w)?$`)
	wordShape        = regexp.MustCompile(`^[\w.@-]+$`)
	partnerShape     = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	marketplaceShape = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
	labelShape       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ -]{0,39}$`)
)

// CheckName says what is wrong with the name of an account, without the name.
func CheckName(name string) error {
	switch {
	case LooksSecret(name):
		return errors.New("the account's name looks like a credential")
	case len(name) > maxName:
		return fmt.Errorf("the account's name is longer than %d bytes", maxName)
	case !nameShape.MatchString(name):
		return errors.New("the account's name must begin and end with a letter, a digit or an underscore, with those and - . @ between")
	}
	return nil
}

// LooksSecret recognizes the credentials that Amazon gives out, in a place where
// none belongs.
func LooksSecret(text string) bool {
	for _, prefix := range []string{"Atzr|", "Atza|", "Atc|", "amzn1.oa2-cs.", "amzn.mws."} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(prefix)) {
			return true
		}
	}
	return false
}

// label is a name of a column or member that can be shown, or "".
func label(name string) string {
	if labelShape.MatchString(name) && !LooksSecret(name) {
		return name
	}
	return ""
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// newCredential takes a value as Vault does: trimmed, without control characters.
func newCredential(what, value string) (credential.Secret, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return credential.Secret{}, fmt.Errorf("%s is missing", what)
	}
	if err := plain(value, maxCredential); err != nil {
		return credential.Secret{}, fmt.Errorf("%s %w", what, err)
	}
	return credential.New(value), nil
}

// plain says what is wrong with a text, without repeating it.
func plain(text string, limit int) error {
	switch {
	case len(text) > limit:
		return fmt.Errorf("is longer than %d bytes", limit)
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	case strings.ContainsRune(text, 0):
		return errors.New("holds a NUL byte")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("holds a control character")
	}
	return nil
}

// settings are the columns and members besides account and refresh_token. Each
// reads a text; an empty one never gets here.
func settings() map[string]func(text string) (any, error) {
	return map[string]func(string) (any, error){
		"region":                   region,
		"selling_partner_id":       shaped(partnerShape, "must be 1 to 64 letters and digits"),
		"marketplace_ids":          marketplaceIDs,
		"kind":                     kind,
		"metadata":                 metadata,
		"authorized_at":            timestamp,
		"authorization_expires_at": timestamp,
		"enabled":                  boolean,
		"generate_lease":           boolean,
		"token_min_ttl":            duration,
	}
}

// Columns are the names of all columns and members.
func Columns() []string {
	return append([]string{"account", "refresh_token"}, slices.Sorted(maps.Keys(settings()))...)
}

func region(text string) (any, error) {
	text = strings.ToLower(text)
	if !sellingpartner.Region(text).Valid() {
		return nil, fmt.Errorf("must be one of %s", sellingpartner.RegionNames())
	}
	return text, nil
}

func kind(text string) (any, error) {
	text = strings.ToLower(text)
	if text != "seller" && text != "vendor" {
		return nil, errors.New("must be seller or vendor")
	}
	return text, nil
}

func shaped(shape *regexp.Regexp, want string) func(string) (any, error) {
	return func(text string) (any, error) {
		if !shape.MatchString(text) {
			return nil, errors.New(want)
		}
		return text, nil
	}
}

// marketplaceIDs are separated by blanks, semicolons or commas.
func marketplaceIDs(text string) (any, error) {
	ids := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ';' || r == ',' })
	return checkMarketplaceIDs(ids)
}

func checkMarketplaceIDs(ids []string) (any, error) {
	if len(ids) > maxMarketplaceIDs {
		return nil, fmt.Errorf("has more than %d elements", maxMarketplaceIDs)
	}
	for _, id := range ids {
		if !marketplaceShape.MatchString(id) {
			return nil, errors.New("must be ids of 1 to 32 letters and digits, separated by blanks")
		}
	}
	return ids, nil
}

// metadata is key=value;key=value.
func metadata(text string) (any, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		if _, twice := pairs[key]; !ok || twice {
			return nil, errors.New("must be key=value;key=value, with each key once")
		}
		pairs[key] = strings.TrimSpace(value)
	}
	return checkMetadata(pairs)
}

func checkMetadata(pairs map[string]string) (any, error) {
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("has more than %d pairs", maxPairs)
	}
	for key, value := range pairs {
		if key == "" || plain(key, maxPairKey) != nil || plain(value, maxPairValue) != nil {
			return nil, fmt.Errorf("must have keys of 1 to %d and values of at most %d bytes, without control characters", maxPairKey, maxPairValue)
		}
		if LooksSecret(key) || LooksSecret(value) {
			return nil, errors.New("holds what looks like a credential; readers of tokens would see it")
		}
	}
	return pairs, nil
}

func timestamp(text string) (any, error) {
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, errors.New("must be a time such as 2026-01-31T12:00:00Z")
	}
	if moment.Year() < 2000 || moment.Year() > 2200 {
		return nil, errors.New("must lie between the years 2000 and 2200")
	}
	return moment.UTC().Format(time.RFC3339), nil
}

func boolean(text string) (any, error) {
	value, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return nil, errors.New("must be true or false")
	}
	return value, nil
}

// duration is 30m, or a number of seconds.
func duration(text string) (any, error) {
	length, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.ParseInt(text, 10, 32); notNumber == nil {
		length, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || length < time.Minute || length > 55*time.Minute {
		return nil, errors.New("must be a duration from 1m to 55m, such as 30m or 1800")
	}
	return text, nil
}
