# The two commands of the README are `make demo` and `make test`; each creates what it needs and works twice in a row.
# ARGS goes to the program behind the target: make demo ARGS=--once, make test ARGS="-k wire".

SHELL := /bin/sh
PYTHON ?= python3
ARGS ?=

# Two workers find what one hides (tests that lean on each other), and halve the time.
WORKERS ?= 2

# .venv in the checkout when it is ours or can be made; else one of our own outside (a checkout that root made, or a
# second user's). `make VENV=… test` names another.
ifndef VENV
VENV := $(shell \
	if [ -e .venv ]; then if [ -O .venv ] && [ -w .venv ]; then echo .venv; exit; fi; \
	elif [ -w . ]; then echo .venv; exit; fi; \
	echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/partywall/venv-$$(pwd -P | cksum | cut -d' ' -f1)")
endif

BIN = $(VENV)/bin
# What the tools remember lies in the environment: the checkout may be read-only, or another user's.
CACHE = $(VENV)/cache
export RUFF_CACHE_DIR = $(CACHE)/ruff
export MYPY_CACHE_DIR = $(CACHE)/mypy
export HYPOTHESIS_STORAGE_DIRECTORY = $(CACHE)/hypothesis
# So does the bytecode, whatever the environment says of it: the tests start some hundred proxies, and to compile takes
# a third of each start.
export PYTHONPYCACHEPREFIX = $(abspath $(CACHE))/bytecode
export PYTHONDONTWRITEBYTECODE =
export PIP_DISABLE_PIP_VERSION_CHECK = 1
PYTEST = $(BIN)/python -m pytest -o cache_dir=$(CACHE)/pytest

.PHONY: help demo test test-long kills fuzz suites lint format bench lock venv clean

help:
	@echo "make demo       an embedded PostgreSQL, sample tenants and the proxy   (ARGS=--once: a scripted tour)"
	@echo "make test       all tests   (ARGS goes to pytest)"
	@echo "make test-long  the same with twenty times as many seeds, and every case at every server"
	@echo "make kills      backups, restores and moves killed at every named point and at 25 random moments of each"
	@echo "make fuzz       long runs over the codec, SCRAM, the lifter, COPY and sessions   (ARGS=\"codec --seconds 600\")"
	@echo "make suites     the drivers' own test suites, directly and through the proxy; writes docs/compatibility.md"
	@echo "make lint       format, lint, types, storeys"
	@echo "make bench      benchmarks; writes benchmarks/RESULTS.md"
	@echo "make format     formats the tree"
	@echo "make lock       pins the dependencies of pyproject.toml anew (needs uv)"
	@echo "make clean      removes the environment and what tools have left"

demo: venv
	@exec $(BIN)/python -m proxy demo $(ARGS)

test: venv
	$(PYTEST) -n $(WORKERS) --dist loadfile $(ARGS)

test-long: venv
	PARTYWALL_TEST_EFFORT=20 $(PYTEST) -n $(WORKERS) --dist loadfile --timeout 3600 $(ARGS)

# One after another, so that what they print can be read; PARTYWALL_TEST_SEED draws other moments.
kills: venv
	PARTYWALL_TEST_EFFORT=20 $(PYTEST) -s --timeout 3600 tests/backup/test_killed.py tests/backup/test_chain_killed.py \
		tests/cli/test_move_killed.py tests/cli/test_move_mode_killed.py tests/cli/test_move_moments.py \
		tests/cli/test_move_troubles.py $(ARGS)

# atheris is no part of the environment of everybody: it is large, and has no wheel for every Python.
fuzz: venv
	$(BIN)/python -m pip install --quiet --require-hashes -r tests/fuzz/requirements.lock
	$(BIN)/python -m tests.fuzz $(ARGS)

suites: venv
	$(BIN)/python -m tests.drivers.suites $(ARGS)

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict proxy tests
	$(BIN)/lint-imports --cache-dir $(CACHE)/import-linter --no-logo

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv
	$(BIN)/python -m benchmarks $(ARGS)

# Neither the index nor this machine is named in the result: whoever installs uses their own.
lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

# The environment is complete when its stamp says for which lock, pyproject and interpreter it was made. The package is
# installed from a folder of links inside the environment, so that nothing is written into the checkout.
venv:
	@set -eu; \
	command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "$(PYTHON) is missing. On Debian and Ubuntu: apt-get install python3 python3-venv" >&2; exit 2; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). On Debian 12 and later:" \
			"apt-get install python3 python3-venv" >&2; exit 2; }; \
	want="$$( { pwd -P; $(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)'; \
		cat requirements.lock pyproject.toml; } | cksum)"; \
	if [ "$$(cat '$(VENV)/stamp' 2>/dev/null)" = "$$want" ] && '$(BIN)/python' -c '' 2>/dev/null; then exit 0; fi; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }; \
	echo "Preparing $(VENV) ..." >&2; \
	clear=; '$(BIN)/python' -m pip --version >/dev/null 2>&1 || clear=--clear; \
	mkdir -p "$$(dirname '$(VENV)')" || { \
		echo "Say where the environment may stand: make VENV=/some/folder ..." >&2; exit 2; }; rm -f '$(VENV)/stamp'; \
	$(PYTHON) -m venv $$clear '$(VENV)' || { \
		echo "The environment $(VENV) could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 2; }; \
	'$(BIN)/python' -m pip install --quiet --require-hashes -r requirements.lock; \
	rm -rf '$(VENV)/package'; mkdir -p '$(VENV)/package'; \
	for part in pyproject.toml README.md LICENSE proxy; do ln -s "$$(pwd -P)/$$part" '$(VENV)/package/'; done; \
	'$(BIN)/python' -m pip install --quiet --no-deps --no-build-isolation --no-index -e '$(VENV)/package'; \
	printf '%s\n' "$$want" > '$(VENV)/stamp'

# .venv only when it is this user's: root's clean does not take away another's.
clean:
	@case '$(VENV)' in .venv|*/partywall/venv-*) rm -rf '$(VENV)';; esac
	rm -rf build dist .demo .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find proxy tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
