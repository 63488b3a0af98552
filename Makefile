# Two commands for people: `make demo` and `make test`. Each does its own set-up.
#   make test T=tests/sealedsecrets    these tests only, and only the programs that they need
#   make lint                          ruff and mypy, in seconds
export PYTHON ?= python3
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/gatekeeper
export CARGO_TARGET_DIR ?= $(CACHE)/cargo
BIN := .venv/bin
SOURCES := pyproject.toml requirements.lock rust/Cargo.toml rust/Cargo.lock $(wildcard rust/src/*.rs rust/allocator/Cargo.toml rust/allocator/src/*.rs)
# Test files or folders; all if empty.
T ?=

.PHONY: demo test lint bench tools wheel lock clean

demo: .venv/ready
	@$(BIN)/python examples/demo.py

test: .venv/ready
	@$(BIN)/python -m tests.run $(T)

lint: .venv/packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/optimized
	$(BIN)/gatekeeper tools install kustomize helm opa sops conftest kubeconform
	$(BIN)/python -m tests.bench.bench

# A wheel for this platform, with the compiled engine and gatekeeper-upstream: it needs neither Rust nor Go.
wheel: .venv/ready
	$(BIN)/gatekeeper tools install gatekeeper-upstream
	@.ci/wheel release dist

# Everything that tests run, from source.
tools: .venv/ready
	@$(BIN)/python -m tests.servers

lock:
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml requirements.in -o requirements.lock
	$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 requirements-go.in -o requirements-go.lock

.venv/packages: requirements.lock
	@.ci/environment packages
	@touch $@

.venv/ready: $(SOURCES)
	@.ci/environment quick
	@touch .venv/packages $@

# The engine as it is released; it compiles longer than `quick`, on one core.
.venv/optimized: .venv/ready
	@.ci/environment release
	@touch $@

clean:
	rm -rf .venv rust/target build dist *.egg-info gatekeeper/_native*.so gatekeeper/bin
