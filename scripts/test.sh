#!/usr/bin/env bash
# Runs the unit and the acceptance tests with the race detector, and says at
# the end how many of each ran. Fails when one failed, or when a kind has none.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go
need_cc
build_tool gotestsum testsum gotest.tools/gotestsum "10 seconds"

# Both kinds need Vault and a browser: internal/vaulttest and browsertest test
# themselves. Assigned apart from export, which would hide a failure.
SPAPI_TEST_CHROMIUM=$(scripts/get-chromium.sh)
SPAPI_TEST_NODE=$(scripts/get-node.sh)
export SPAPI_TEST_NODE # get-node.sh looks at it, too.
SPAPI_TEST_NODE_PACKAGES=$(scripts/get-node.sh packages)
SPAPI_TEST_VAULT=$(scripts/get-vault.sh)
say "building the plugin and spapictl with the race detector: up to 2 minutes the first time"
SPAPI_TEST_PLUGIN=$(scripts/build.sh race)
SPAPI_TEST_SPAPICTL=$(scripts/build.sh race spapictl)
export SPAPI_TEST_CHROMIUM SPAPI_TEST_NODE_PACKAGES SPAPI_TEST_VAULT SPAPI_TEST_PLUGIN SPAPI_TEST_SPAPICTL

total_passed=0
total_failed=0
summary=()
broken=0

# run_kind KIND [GO TEST FLAGS AND PACKAGES...]
run_kind() {
	local kind=$1 log=$BIN/test-$1.log json=$BIN/test-$1.json passed failed status=0
	shift
	rm -f "$log" "$json"
	say "$kind tests"
	"$BIN/gotestsum" --format pkgname --hide-summary=skipped --jsonfile "$json" -- -race "$@" 2>&1 | tee "$log" || status=$?
	# Every test and subtest ends in one event; those of whole packages name no
	# test.
	passed=$(grep -c '"Action":"pass".*"Test":' "$json" || true)
	failed=$(grep -c '"Action":"fail".*"Test":' "$json" || true)
	summary+=("$kind: $passed passed, $failed failed")
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	if ((status != 0 || failed != 0)); then
		summary+=("$kind tests FAILED: the end is above, all output in ${log#"$ROOT/"}, every event in ${json#"$ROOT/"}")
		broken=1
	elif ((passed == 0)); then
		summary+=("$kind tests FAILED: none ran")
		broken=1
	fi
}

packages=$(go list ./...)
acceptance_pattern="^$(go list -m)/acceptance\(/\|\$\)"
units=$(grep -v "$acceptance_pattern" <<<"$packages")
acceptances=$(grep "$acceptance_pattern" <<<"$packages" || true)

# Package names hold no blanks.
# shellcheck disable=SC2086
run_kind unit $units
if [[ -n $acceptances ]]; then
	# Never from the cache: it does not know the plugin binary as an input.
	# shellcheck disable=SC2086
	run_kind acceptance -count=1 -timeout 20m $acceptances
else
	summary+=("acceptance tests FAILED: there is no package")
	broken=1
fi

printf '\n'
printf '%s\n' "${summary[@]}"
# A package that fails without a failed test (it does not compile, say) counts
# as one failure here, so that this line is never clean by mistake.
if ((broken && total_failed == 0)); then
	total_failed=1
fi
printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
exit "$broken"
