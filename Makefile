# make run     build and run the example application behind the proxy (APP=sveltekit, nuxt, nextjs, nextjs-pages or nextjs-app)
# make check   what one runs all day: format, lints, dependency rules, all tests that need Rust alone
# make test    everything, with what it needs installed first (Debian, root)
# make bench   what a page costs, beside nginx, HAProxy, Varnish and Traffic Server (Debian)

SHELL := /bin/bash
# Where tests/install-tools puts a newer Node.js than the system's, if that is too old.
export PATH := $(CURDIR)/.cache/node/node_modules/node/bin:$(PATH)
APP ?= origin
# A property is tried with the same cases in each run, so that the same code gets the same answer; make explore tries others.
export PROPTEST_RNG_SEED ?= 1

.PHONY: help run check lint test test-unit explore test-cost test-reloads test-shared test-api bench bench-report bench-routes bench-replicas bench-pages bench-control-plane test-chart kind-up kind-down e2e test-e2e test-suites test-nextjs test-frameworks tools crds chart image image-files

help: ## Say what there is to make
	@sed -n 's/^# make/make/p' Makefile

run: ## Run an example: APP=origin (Rust alone), or sveltekit, nuxt, nextjs, nextjs-pages, nextjs-app (Node.js)
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

explore: ## Properties and histories of replicas that no run has had, CASES and HISTORIES of each
	unset PROPTEST_RNG_SEED && PROPTEST_CASES=$(or $(CASES),10000) HISTORIES=$(or $(HISTORIES),1000) SEED=$$(date +%s) \
	  cargo test --workspace --lib --bins

PARTS := lint test-unit test-cost test-reloads test-shared test-api test-chart test-suites test-nextjs test-frameworks test-e2e

test: ## Everything, and at the end how long each part took
	@for part in tools $(PARTS); do \
	  begun=$$SECONDS; $(MAKE) $$part || exit 1; \
	  times+=$$(printf '\n%5d s  %s' $$((SECONDS - begun)) $$part); \
	done; echo "everything passed:$$times"

# The same packages and features for every suite, so that nothing is compiled twice.
SUITES := cargo test --workspace --features isr-store/external-suites,kube-isr/external-suites

test-cost: image-files ## What a hit and a lookup take in instructions in the image's program, as valgrind counts them
	tests/cost/run $(PROGRAM)

test-reloads: image-files ## 200 reloads of 10,000 routes under load, and 200 kills, by the image's program (the debug build does 20)
	KUBE_ISR_PROGRAM=$(PROGRAM) cargo test --workspace --test proxy -- reloads_under_load killed_at_any_moment

test-api: ## The operator against a real API server (Go modules, built once)
	tests/cluster/build >/dev/null
	$(SUITES) --test api

test-shared: ## The shared tier on a real server (redis-server or valkey-server)
	$(SUITES) --lib shared
	$(SUITES) --test shared

# A run of everything writes bench/results.json, the picture and the README's table; part of one is only printed.
BENCH = --peers "$$(tests/bench/peers/install)" --kube-isr $(PROGRAM) \
  $(if $(ROWS),--rows $(ROWS)) $(if $(SERVERS),--servers $(SERVERS)) \
  $(if $(QUICK),--quick) $(if $(ROWS)$(SERVERS)$(QUICK),,--write)

bench: image-files ## The image's program beside nginx, HAProxy, Varnish, Traffic Server: 20 minutes; QUICK=1: 2. ROWS=hit, SERVERS=nginx
	cargo build --release -p bench
	target/release/bench $(BENCH)

bench-report: ## The picture and the README's table anew from bench/results.json
	cargo run --release -p bench -- report

bench-routes: ## What a table of 100,000 routes takes: to compile, to change, to keep, to look up
	cargo test --release -p isr-routes --test scale -- --ignored --nocapture

bench-replicas: image-files ## What replicas that agree cost, by the image's program
	KUBE_ISR_PROGRAM=$(PROGRAM) $(SUITES) --test shared scale -- --ignored --nocapture

bench-pages: image-files ## A million pages: their memory, a start with them, and a purge of all, by the image's program; PAGES=100000
	KUBE_ISR_PROGRAM=$(PROGRAM) $(SUITES) --test proxy scale_a_million -- --ignored --nocapture

bench-control-plane: image-files ## The control plane with 10,000 and 100,000 routes, by the image's program
	tests/cluster/build >/dev/null
	KUBE_ISR_PROGRAM=$(PROGRAM) $(SUITES) --test api thousand_routes -- --ignored --nocapture --test-threads=1

test-chart: ## The Helm chart: lints, schemas, alerts, and a real API server (Go modules, built once)
	tests/cluster/build >/dev/null
	tests/chart/tools/build >/dev/null
	$(SUITES) --test chart

kind-up: tools ## A cluster of kind with Traefik in front, and the images of this checkout in it
	tests/kind/up
	$(MAKE) image
	# The same program as an earlier release of it: its image is what an upgrade replaces.
	docker tag $(IMAGE) kube-isr:previous
	tests/kind/load $(IMAGE) kube-isr:previous kube-isr-example-origin:dev $$(tests/kind/valkey)

kind-down: ## The end of that cluster, and of the Docker engine if it was started for it
	tests/kind/down

e2e: kind-up ## Everything together, on kind; the plugin of kubectl is the image's own program
	. tests/kind/env && export PATH=$(dir $(PROGRAM)):$$(tests/cluster/build kind):$$(tests/chart/tools/build):$$PATH && \
	  $(SUITES) --test e2e -- --nocapture --test-threads=1

test-e2e: ## The same, and the end of the cluster whether or not all went well
	$(MAKE) e2e; result=$$?; $(MAKE) kind-down && exit $$result

test-suites: ## The public conformance suite http-tests/cache-tests (npm)
	$(SUITES) --test cache_tests -- --nocapture

test-nextjs: ## A real Next.js application behind the proxy, and the package that it takes (npm)
	node --test packages/next/test/*.test.js
	$(SUITES) --test nextjs -- --nocapture

test-frameworks: ## The quickstart in SvelteKit, Nuxt and Next.js behind the proxy, in a browser too (npm, Chromium)
	$(SUITES) --test frameworks -- --nocapture

crds: ## Write the CustomResourceDefinition anew from the Rust types
	UPDATE=1 cargo test --quiet -p kube-isr --test crd

chart: ## Write the chart's values.yaml, its README's table and the renderings that tests compare with
	$$(tests/chart/tools/build)/values charts/kube-isr
	UPDATE=1 $(SUITES) --quiet --test chart renders

# The architecture by the name that images have for it, and by Rust's.
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
TRIPLE = $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-musl
IMAGE ?= kube-isr:dev
PROGRAM = $(CURDIR)/target/image/$(ARCH)/kube-isr/kube-isr
# Names of functions stay, for backtraces; lines do not.
image-files: export CARGO_PROFILE_RELEASE_STRIP = debuginfo
export CC_aarch64_unknown_linux_musl ?= aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER ?= rust-lld

image-files: ## Build the static programs that images are made of: ARCH=amd64 or arm64
	rustup target add $(TRIPLE)
	cargo build --release --target $(TRIPLE) -p kube-isr -p example-origin
	rm -rf target/image/$(ARCH) && mkdir -p target/image/$(ARCH)/kube-isr target/image/$(ARCH)/example-origin
	cp target/$(TRIPLE)/release/kube-isr target/image/$(ARCH)/kube-isr/
	ln -s kube-isr target/image/$(ARCH)/kube-isr/kubectl-isr
	cp target/$(TRIPLE)/release/example-origin target/image/$(ARCH)/example-origin/

image: image-files ## Build the images kube-isr:dev and kube-isr-example-origin:dev (Docker)
	DOCKER_BUILDKIT=0 docker build --quiet --build-arg TARGETARCH=$(ARCH) --tag $(IMAGE) .
	DOCKER_BUILDKIT=0 docker build --quiet --build-arg TARGETARCH=$(ARCH) --tag kube-isr-example-origin:dev --file examples/origin/Dockerfile .

tools: ## Install what the tests need: compiler packages, Node.js, cargo-deny
	@tests/install-tools
