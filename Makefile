# Thin on purpose: what a target does stands in scripts/. Go, git and make are
# all it takes; the tests also need a C compiler for the race detector, and a
# browser and Node.js, which they install on Debian.

.DEFAULT_GOAL := help
SHELL := bash

.PHONY: help build test lint fmt fuzz demo bench soak clean

help: ## Show this list
	@printf 'Targets:\n'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target what; do printf '%-13s %s\n' "$$target" "$$what"; done

build: ## Build the plugin and spapictl into bin/
	@scripts/build.sh

test: ## Run unit and acceptance tests with the race detector
	@scripts/test.sh

lint: ## Check formatting and lint
	@scripts/lint.sh

fmt: ## Format the Go files
	@scripts/lint.sh fmt

fuzz: ## Run every fuzz test for FUZZTIME (10s) each
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

demo: ## Show the plugin in a real Vault with a simulated Amazon; ONESHOT=1 ends by itself
	@ONESHOT=$(ONESHOT) scripts/demo.sh

bench: ## Measure against a plugin that does nothing, in about 20 minutes; BENCH=short in 3
	@BENCH=$(BENCH) scripts/bench.sh

soak: ## Run a mixed load with failures for SOAK (10m), and see that memory stays level
	@SOAK=$(SOAK) scripts/soak.sh

clean: ## Remove bin/, with the tools and the Vault that were built there
	rm -rf bin
