# Every target sets up what it needs. `check` never edits, `fmt` does.
PYTHON  ?= python3
CLUSTER ?= embedded
VENV    := .venv
BIN     := $(VENV)/bin
SOURCES := harness images/sidecar/base/sidecar images/app/v1/app loadtests e2e benchmarks tests

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/ready-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $(VENV)/ready $@

$(VENV)/ready-bench: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[bench]'
	@touch $(VENV)/ready $@

setup: $(VENV)/ready ## virtual environment with the pinned dependencies

e2e: $(VENV)/ready ## the main job: hot upgrades under load, and its negative control (CLUSTER=embedded)
	$(BIN)/python -m pytest e2e -s --cluster $(CLUSTER)

bench-handover: $(VENV)/ready ## hundreds of hand-overs, counted (needs wrk, nghttp2-client; about ten minutes)
	$(BIN)/python -m benchmarks.handover --handovers 100 --connections 10000

test: $(VENV)/ready-dev ## the project's own tests
	$(BIN)/python -m pytest tests -q --numprocesses 3 --dist worksteal

bench: $(VENV)/ready-bench ## the sidecar's speed beside Envoy, HAProxy and nginx (wrk); writes benchmarks/results.md
	$(BIN)/python -m benchmarks.speed

cases: $(VENV)/ready-dev ## which test stands for which case of a hand-over (docs/handover-cases.md)
	$(BIN)/python -m tests.cases

fuzz: $(VENV)/ready-dev ## every parser of bytes from outside, for FUZZ_SECONDS (60 for all)
	PYTHONPATH=images/sidecar/base $(BIN)/python -m tests.fuzz

check: $(VENV)/ready-dev ## ruff, mypy --strict, import contracts; edits nothing
	$(BIN)/ruff check --no-cache $(SOURCES)
	$(BIN)/ruff format --check --no-cache $(SOURCES)
	$(BIN)/mypy
	PYTHONPATH=images/sidecar/base:images/app/v1 $(BIN)/lint-imports --no-cache

fmt: $(VENV)/ready-dev ## format and mend what ruff can mend
	$(BIN)/ruff check --no-cache --fix $(SOURCES)
	$(BIN)/ruff format --no-cache $(SOURCES)

clean: ## remove the virtual environment and caches, keep reports/
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup e2e test bench check fmt clean cases fuzz bench-handover
