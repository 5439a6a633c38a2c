#!/usr/bin/env bash
# Builds the plugin into bin/ and prints its path.
#   build.sh        as it is released: static, the same from any directory, and
#                   with spapictl beside it
#   build.sh race   with the race detector, for the acceptance tests
#   build.sh race v1.2.3   the same as that version, for tests of an upgrade
#   build.sh race spapictl   spapictl in place of the plugin, for the same tests
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
name=vault-plugin-secrets-spapi
package=./cmd/$name

case ${1:-} in
race)
	need_cc
	target=$BIN/$name-race flags=""
	if [[ ${2:-} == spapictl ]]; then
		target=$BIN/spapictl-race package=./cmd/spapictl
	elif [[ -n ${2:-} ]]; then
		target+=-$2 flags="-X main.version=$2"
	fi
	CGO_ENABLED=1 go build -race -ldflags "$flags" -o "$target" "$package"
	printf '%s\n' "$target"
	;;
"")
	# Vault takes only vX.Y.Z as a plugin's version. Anything else that git
	# describes keeps the program's own default, v0.0.0-dev.
	flags="-s -w"
	version=$(git describe --tags --exact-match 2>/dev/null || true)
	if [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
		flags+=" -X main.version=$version"
	fi
	if commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
		flags+=" -X main.commit=$commit"
	fi
	CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$BIN/" "$package" ./cmd/spapictl
	printf '%s\n' "$BIN/$name"
	;;
*)
	die "usage: build.sh [race [VERSION | spapictl]]"
	;;
esac
