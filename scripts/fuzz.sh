#!/usr/bin/env bash
# A bounded run of every fuzz test, one after the other, FUZZTIME each.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
fuzztime=${FUZZTIME:-10s}
ran=0

module=$(go list -m)
for package in $(go list ./... | grep -v "^$module/\(acceptance\|bench\)"); do
	# Apart from grep, which fails when it finds none.
	names=$(go test -list '^Fuzz' "$package")
	for name in $(grep '^Fuzz' <<<"$names" || true); do
		say "$package $name for $fuzztime"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "$package"
		ran=$((ran + 1))
	done
done

((ran > 0)) || die "found no fuzz test"
printf '%d fuzz tests ran for %s each\n' "$ran" "$fuzztime"
