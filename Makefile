# `make help` lists what can be done. Everything is installed in .venv; nothing else on the machine is changed, except
# that `make test` installs the system packages that its tests need when it is run by root.

PYTHON ?= python3
CONFIG_DIR ?= config
PREFIX ?= /usr

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-all lint bench chaos check-config install clean

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: .venv/.run-installed ## Run the server in the foreground: CONFIG_DIR=config, PORT and RESALLOC_STATE_DIR as you like
	@CONFIG_DIR='$(CONFIG_DIR)' exec $(BIN)/python -m config.run.serve

check-config: .venv/.run-installed ## Say what is wrong with the files in CONFIG_DIR
	@CONFIG_DIR='$(CONFIG_DIR)' exec $(BIN)/python -m config check

# docs/testing.md says which tests are quick, and how long each part takes.
# Tests wait more than they compute, so there are three of them for two processors.
PYTEST = $(BIN)/python -m pytest -n $$(($$(nproc) * 3 / 2)) --dist worksteal

test: .venv/.dev-installed ## Run the linters and the quick tests side by side; PYTEST_ARGS='-k ...' for some of them
	@tests/install-system-packages.sh
	@mkdir -p build
	@$(MAKE) --no-print-directory lint >build/lint.log 2>&1 & lint=$$!; \
	$(PYTEST) -m 'not thorough' $(PYTEST_ARGS); tests=$$?; \
	wait $$lint; linters=$$?; cat build/lint.log; exit $$((tests || linters))

test-all: test ## Run `make test`, then the thorough tests, and all properties with ten times as many examples
	$(PYTEST) -m 'thorough or hypothesis' --hypothesis-profile=thorough $(PYTEST_ARGS)

lint: .venv/.dev-installed ## Check style, types, import directions and shell scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck --external-sources $$(grep -lsE '^#!(/usr)?/bin/(env )?(ba|da)?sh' \
	    shim/* config/*.sh config/hooks/* scheduler/*.sh tests/*.sh tests/*/*.sh .ci/run)

install: ## Lay the files where a distribution would: PREFIX=/usr, DESTDIR, PYTHON, EXTRAS
	@PYTHON='$(PYTHON)' DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' EXTRAS='$(EXTRAS)' config/install.sh

bench: .venv/.dev-installed ## Measure the performance table, or some of its rows: ROW='name ...'
	$(BIN)/python -m tests.bench $(ROW)

chaos: .venv/.dev-installed ## Kill and break the server again and again, and check it: CHAOS='--seconds 900 --seed 1 MODULE ...'
	$(BIN)/python -m tests.chaos $(CHAOS)

clean: ## Remove .venv and caches; the state in var/ stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: name one with 'make PYTHON=python3.12 ...'" >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[run]'
	@touch $@

.venv/.dev-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.run-installed
