#!/usr/bin/env bash
# Builds what the demo needs and becomes it. ONESHOT=1 ends it after its steps.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
vault=$(scripts/get-vault.sh)
say "building the plugin, the simulated Amazon and the demo: up to 2 minutes the first time"
plugin=$(scripts/build.sh)
go build -o "$BIN/amazontest" ./internal/amazontest/cmd/amazontest
go build -o "$BIN/demo" ./internal/demo

args=(-vault "$vault" -plugin "$plugin" -amazon "$BIN/amazontest")
if [[ ${ONESHOT:-} == 1 ]]; then
	args+=(-oneshot)
fi
# exec: Ctrl-C has to reach the demo, and nothing else.
exec "$BIN/demo" "${args[@]}"
