# `make help` lists the targets. All work twice in a row, from a path with spaces, as root and as a normal user.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
SPINE := $(TARGET)/debug/spine
# What a target runs ends with make, also where make is killed.
GUARD := $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)

.PHONY: help setup build demo dev test lint bench clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

setup: ## Get the servers (nats-server, Temporal, PostgreSQL) into .tools/, if they are not there
	@exec bash crates/testkit/servers/setup

build: setup ## Build the spine binary
	@cargo build --locked --package spine

demo: build ## Send real events through a throw-away stack and check every outcome
	@exec $(GUARD) "$(SPINE)" demo

dev: build ## Run everything on this machine until Ctrl-C; state is kept in .spine/
	@exec $(GUARD) "$(SPINE)" dev --example

test: build ## Run all tests on real servers
	@if cargo nextest --version >/dev/null 2>&1; then
		exec $(GUARD) cargo nextest run --locked --workspace
	else
		echo "cargo-nextest is not installed: using cargo test, one test at a time"
		exec $(GUARD) cargo test --locked --workspace -- --test-threads=1
	fi

lint: ## Check formatting, clippy, dependencies
	@cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	if [ "$$(cargo tree --locked --workspace --prefix none --format '{p}' | grep -oE '^opentelemetry v[0-9.]+' | sort -u | wc -l)" -gt 1 ]; then
		echo "two versions of opentelemetry are in the tree; they can't share a tracer" >&2
		exit 1
	fi
	if ! cargo deny --version >/dev/null 2>&1; then
		echo "NOT CHECKED: licences, bans, sources and advisories, as cargo-deny is not installed (cargo install cargo-deny)"
		exit 0
	fi
	cargo deny --locked check bans licenses sources
	if cargo deny fetch db >/dev/null 2>&1; then
		cargo deny --locked check advisories
	else
		echo "NOT CHECKED: advisories, as their database can't be reached from here"
	fi

bench: setup ## Measure, and print tables; the second one as JSON in target/bench.json as well
	@cargo bench --locked --quiet --package spine-schemas --bench matching
	cargo build --locked --release --package spine --package spine-loadtest
	exec $(GUARD) "$(TARGET)/release/spine-bench" --spine "$(TARGET)/release/spine" --json "$(TARGET)/bench.json"

clean: ## Remove what was built, the servers, and the state of `make dev`
	@cargo clean --quiet
	rm -rf .tools .spine
