#!/usr/bin/env bash
# Prints the path of a vault executable: the one on PATH if it is new enough,
# else one that is built once into bin/ from tools/vault/go.mod.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Older ones were never tried with this plugin.
oldest=1.21

if on_path=$(command -v vault); then
	version=$("$on_path" version 2>/dev/null | sed -n 's/^Vault v\([0-9][0-9.]*\).*/\1/p')
	if [[ -n $version && $(printf '%s\n%s\n' "$oldest" "$version" | sort -V | head -n 1) == "$oldest" ]]; then
		say "using vault $version from PATH: $on_path"
		printf '%s\n' "$on_path"
		exit
	fi
	say "not using $on_path: its version (${version:-unknown}) is not $oldest or newer"
fi

# -tags minimal leaves out the databases, clouds and storages that nothing here
# needs.
build_tool vault vault github.com/hashicorp/vault "3 to 6 minutes" -tags minimal
printf '%s\n' "$BIN/vault"
