#!/usr/bin/env bash
# Finds what the tests with real clients of the SP-API need.
#   get-node.sh            prints the path of Node.js: $SPAPI_TEST_NODE, else one
#                          that is installed, else Debian's, which is installed
#                          then, with npm
#   get-node.sh packages   prints the directory with the packages that
#                          acceptance/sdk/package-lock.json names, which are
#                          fetched once
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What the packages ask for.
oldest=18

# version_of EXECUTABLE prints its version, and fails for what is too old or no
# Node.js.
version_of() {
	local version
	version=$("$1" --version 2>/dev/null) || return 1
	[[ $version =~ ^v([0-9]+)\. ]] || return 1
	((BASH_REMATCH[1] >= oldest)) || return 1
	printf '%s\n' "$version"
}

# print_installed prints the path of an installed Node.js that has npm, and
# fails if there is none.
print_installed() {
	local name path version
	for name in node nodejs; do
		path=$(command -v "$name") || continue
		if ! version=$(version_of "$path"); then
			say "not using $path: it does not start, or is older than $oldest"
		elif ! npm_of "$path" >/dev/null; then
			say "not using $path: npm is missing"
		else
			say "using Node.js $version: $path"
			printf '%s\n' "$path"
			return
		fi
	done
	return 1
}

# npm_of NODE prints the path of the npm beside it, else of the one on PATH.
npm_of() {
	local beside
	beside=$(dirname "$1")/npm
	if [[ -x $beside ]]; then
		printf '%s\n' "$beside"
		return
	fi
	command -v npm
}

# missing WHY
missing() {
	die "Node.js $oldest or newer with npm, for the tests, is missing, and $1. Install it (Debian 12 and newer, Ubuntu 24.04 and newer: apt-get install nodejs npm; elsewhere: https://nodejs.org/en/download), or set SPAPI_TEST_NODE to the path of one"
}

find_node() {
	if [[ -z ${SPAPI_TEST_NODE:-} ]]; then
		print_installed || apt_install node "100 MB to fetch, up to 3 minutes" nodejs npm
		return
	fi
	version_of "$SPAPI_TEST_NODE" >/dev/null ||
		die "SPAPI_TEST_NODE is $SPAPI_TEST_NODE, which does not start, or is no Node.js of $oldest or newer"
	printf '%s\n' "$SPAPI_TEST_NODE"
}

# install_packages fetches the packages to a directory, outside of what is
# tracked, unless that has been done for this lock file.
install_packages() {
	local target=$BIN/sdk stamp=$BIN/.sdk.stamp log=$BIN/sdk.log partial node npm want
	want=$(cat acceptance/sdk/package.json acceptance/sdk/package-lock.json | cksum)
	if [[ -d $target/node_modules && -e $stamp && $(<"$stamp") == "$want" ]]; then
		printf '%s\n' "$target/node_modules"
		return
	fi
	node=$(find_node)
	npm=$(npm_of "$node") || missing "there is no npm for $node"
	say "fetching the packages of acceptance/sdk/package-lock.json: 30 seconds, once"
	partial=$target.$$
	mkdir -p "$partial"
	cp acceptance/sdk/package.json acceptance/sdk/package-lock.json "$partial"
	# Their scripts do not run: none of them needs to.
	PATH=$(dirname "$node"):$PATH "$npm" ci --prefix "$partial" --ignore-scripts --no-audit --no-fund &>"$log" || {
		rm -rf "$partial"
		tail -n 20 "$log" >&2
		die "npm could not fetch the packages (all it said is in ${log#"$ROOT/"})"
	}
	# Moved into place when whole.
	rm -rf "$target"
	mv "$partial" "$target"
	printf '%s\n' "$want" >"$stamp"
	printf '%s\n' "$target/node_modules"
}

case ${1:-} in
"") find_node ;;
packages) install_packages ;;
*) die "usage: get-node.sh [packages]" ;;
esac
