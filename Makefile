# make run     build and run the example application behind the proxy (APP=nextjs for the Next.js one)
# make check   what one runs all day: format, lints, dependency rules, all tests that need Rust alone
# make test    everything, with what it needs installed first (Debian, root)

SHELL := /bin/bash
# Where tests/install-tools puts a newer Node.js than the system's, if that is too old.
export PATH := $(CURDIR)/.cache/node/node_modules/node/bin:$(PATH)
APP ?= origin

.PHONY: help run check lint test test-unit test-reloads test-suites test-nextjs tools crds

help: ## Say what there is to make
	@sed -n 's/^# make/make/p' Makefile

run: ## Run an example: APP=origin (Rust alone) or APP=nextjs (Node.js)
	@examples/run $(APP)

check: lint test-unit ## Format, lints, tests that need Rust alone

lint: ## Format, clippy, documentation and dependency rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; \
	  else echo "cargo-deny is not installed, so the dependency rules were not checked here; make test installs it"; fi

test-unit: ## Unit, model, property and front-door tests
	cargo test --workspace --quiet

test: tools ## Everything
	$(MAKE) lint
	$(MAKE) test-unit
	$(MAKE) test-reloads
	$(MAKE) test-suites
	$(MAKE) test-nextjs

test-reloads: ## 200 reloads of 10,000 routes under load (the debug build does 20)
	cargo test --release -p kube-isr --test proxy reloads_under_load

test-suites: ## The public conformance suite http-tests/cache-tests (npm)
	cargo test -p kube-isr --features external-suites --test cache_tests -- --nocapture

test-nextjs: ## A real Next.js application behind the proxy (npm)
	cargo test -p kube-isr --features external-suites --test nextjs -- --nocapture

crds: ## Write crds/ anew from the Rust types
	cargo run --quiet -p kube-isr -- crd > crds/isrroutes.yaml

tools: ## Install what the tests need: compiler packages, Node.js, cargo-deny
	@tests/install-tools
