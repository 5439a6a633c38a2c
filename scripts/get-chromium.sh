#!/usr/bin/env bash
# Prints the path of a Chromium or Chrome for the tests that drive a browser:
# $SPAPI_TEST_CHROMIUM, else one that is installed, else Debian's package, which
# is installed then.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# version_of EXECUTABLE prints its version, and fails for what is no browser
# that tests can drive. A snap is none: it sees neither /tmp nor our files. Nor
# is Ubuntu's chromium-browser without its snap, which only says so.
version_of() {
	local version
	version=$("$1" --version 2>/dev/null) || return 1
	[[ $version == *Chrom* && $version != *snap* ]] || return 1
	# One line, without the blank at the end.
	read -r version <<<"$version"
	printf '%s\n' "$version"
}

# print_installed prints the path of an installed browser, and fails if there
# is none. Chrome goes first: for its sandbox Ubuntu makes the exception that a
# Chromium from elsewhere lacks, such as the one on GitHub's machines.
print_installed() {
	local name path version
	for name in google-chrome google-chrome-stable chromium chromium-browser \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
		/Applications/Chromium.app/Contents/MacOS/Chromium; do
		path=$(command -v "$name") || continue
		if version=$(version_of "$path"); then
			say "using $version: $path"
			printf '%s\n' "$path"
			return
		fi
		say "not using $path: it does not start, or is a snap, which tests cannot drive"
	done
	return 1
}

# missing WHY
missing() {
	die "a browser for the tests is missing, and $1. Install Chromium (Debian: apt-get install chromium) or Google Chrome (https://www.google.com/chrome/; Ubuntu needs this one, its Chromium is a snap), or set SPAPI_TEST_CHROMIUM to the path of one"
}

if [[ -n ${SPAPI_TEST_CHROMIUM:-} ]]; then
	version_of "$SPAPI_TEST_CHROMIUM" >/dev/null ||
		die "SPAPI_TEST_CHROMIUM is $SPAPI_TEST_CHROMIUM, which does not start, or is no Chromium or Chrome that tests can drive"
	printf '%s\n' "$SPAPI_TEST_CHROMIUM"
	exit
fi

print_installed ||
	apt_install chromium "90 MB to fetch, up to 2 minutes" chromium chromium-sandbox
