#!/usr/bin/env bash
# Checks formatting and lints; with "fmt" as argument, formats instead.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
build_tool golangci-lint lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "2 to 4 minutes"

case ${1:-} in
fmt)
	"$BIN/golangci-lint" fmt ./...
	;;
"")
	"$BIN/golangci-lint" config verify
	# This checks the formatting, too.
	"$BIN/golangci-lint" run ./...
	# Not an error when it is missing: the scripts are few, and CI has it.
	if command -v shellcheck >/dev/null; then
		shellcheck --external-sources scripts/*.sh .ci/run
	fi
	;;
*)
	die "usage: lint.sh [fmt]"
	;;
esac
