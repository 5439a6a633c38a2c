#!/usr/bin/env bash
# Builds what the benchmark needs and becomes it. BENCH=short measures less,
# within 3 minutes; arguments go to the benchmark (-only, -profile).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
out=$BIN/bench
mkdir -p "$out"
vault=$(scripts/get-vault.sh)
say "building the plugin, the reference plugin and the benchmark: up to 2 minutes the first time"
plugin=$(scripts/build.sh)
CGO_ENABLED=0 go build -trimpath -o "$out/" ./bench ./bench/inspected ./bench/reference

args=(-vault "$vault" -plugin "$plugin" -inspected "$out/inspected" -reference "$out/reference" -out "$out")
case ${BENCH:-} in
"" | full) ;;
short) args+=(-short) ;;
*) die "BENCH is ${BENCH}, must be short or full" ;;
esac
# exec: Ctrl-C has to reach the benchmark, and nothing else.
exec "$out/bench" "${args[@]}" "$@"
