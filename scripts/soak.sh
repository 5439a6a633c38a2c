#!/usr/bin/env bash
# Builds what the soak needs and becomes it. SOAK says for how long, 10m if
# empty.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
out=$BIN/bench
mkdir -p "$out"
vault=$(scripts/get-vault.sh)
say "building the plugin, the reference plugin and the soak: up to 2 minutes the first time"
CGO_ENABLED=0 go build -trimpath -o "$out/" ./bench/soak ./bench/inspected ./bench/reference
# exec: Ctrl-C has to reach the soak, and nothing else.
exec "$out/soak" -vault "$vault" -inspected "$out/inspected" -reference "$out/reference" -for "${SOAK:-10m}"
