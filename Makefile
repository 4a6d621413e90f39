# Every target sets up what it needs. `check` never edits, `fmt` does.
PYTHON  ?= python3
CLUSTER ?= embedded
PLATFORMS ?= linux/amd64 linux/arm64
# Of the base image, for which wheels are fetched: python:3.11-slim's unless BASE_IMAGE names another.
PYTHON_VERSION ?= 3.11
VENV    := .venv
BIN     := $(VENV)/bin
RECORDED_IMAGES := trace/app:v1 trace/agent:v1 trace/agent:v2 trace/agent:v3 trace/empty:v1 trace/empty:v2
SOURCES := harness images/sidecar/base/sidecar images/app/v1/app images/mutants loadtests e2e benchmarks tests

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Containers like to set it, and then every start of a command compiles the harness anew: a third of a second each.
export PYTHONDONTWRITEBYTECODE :=

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

$(VENV)/ready-kind: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[kind]'
	@touch $(VENV)/ready $@

setup: $(VENV)/ready ## virtual environment with the pinned dependencies

e2e: $(VENV)/ready $(if $(filter kind,$(CLUSTER)),$(VENV)/ready-kind) ## the main job: hot upgrades under load, and its negative control (CLUSTER=embedded, kind, current)
	$(BIN)/python -m pytest e2e -s --cluster $(CLUSTER)

# What a workflow passes reaches the shell as variables of its environment ($$NAME), never as text of the command.
conformance: $(VENV)/ready-kind ## a run for the record: MANIFEST=FILE, TO="IMAGE IMAGE", PROFILE or UPGRADES and PODS, VERSION_HEADER, CLUSTER
	@test -n "$$MANIFEST" || { echo "MANIFEST is needed: the SidecarSet's YAML file"; exit 2; }
	@set -f; for image in $$TO; do set -- "$$@" --to "$$image"; done; \
	if test -n "$$PROFILE"; then set -- "$$@" --profile "$$PROFILE"; else set -- "$$@" --upgrades "$${UPGRADES:-5}" --pods "$${PODS:-2}"; fi; \
	$(BIN)/hotupgrade run --cluster $(CLUSTER) --file "$$MANIFEST" "$$@" \
		--version-header "$${VERSION_HEADER-x-sidecar-version}"

load-test: $(VENV)/ready $(if $(filter kind,$(CLUSTER)),$(VENV)/ready-kind) ## a ramp to the knee, then a soak under upgrades: DURATION in minutes, MANIFEST, TO="IMAGE IMAGE", CLUSTER
	@set -f; for image in $$TO; do set -- "$$@" --to "$$image"; done; \
	$(BIN)/hotupgrade load-test --cluster $(CLUSTER) --file "$${MANIFEST:-e2e/manifests/reference-sidecarset.yaml}" \
		"$$@" --duration "$${DURATION:-5}"

job-summary: ## the newest report's Markdown into GITHUB_STEP_SUMMARY
	@test ! -e reports/latest/summary.md || cat reports/latest/summary.md >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

allow-namespaces: ## where AppArmor keeps ordinary users from making namespaces: let them (needs sudo)
	sudo sysctl -e -w kernel.apparmor_restrict_unprivileged_userns=0

wheel: $(BIN)/python ## the wheel, into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

release: ## a GitHub release of TAG with the wheel (needs gh)
	@test -n "$$TAG" || { echo "TAG is needed: the tag to release"; exit 2; }
	gh release create "$$TAG" --verify-tag --generate-notes dist/*.whl

images: $(VENV)/ready ## the images with Docker (WHEELHOUSE=DIR builds without network, BASE_IMAGE=… from a mirror)
	$(BIN)/hotupgrade images build

images-push: $(VENV)/ready ## the images for several architectures, to a registry (REGISTRY=…, PLATFORMS="linux/amd64 linux/arm64"; needs docker buildx)
	@test -n "$$REGISTRY" || { echo "REGISTRY is needed: where to push, such as REGISTRY=registry.example.com/mesh"; exit 2; }
	$(BIN)/hotupgrade images bake --registry "$$REGISTRY" $(PLATFORMS:%=--platform %) > $(VENV)/bake.json
	docker buildx bake --file $(VENV)/bake.json --push

wheelhouse: $(VENV)/ready ## wheels for make images, into WHEELHOUSE=DIR; run it where there is a network
	@test -n "$(WHEELHOUSE)" || { echo "WHEELHOUSE is needed: a folder for the wheels"; exit 2; }
	$(BIN)/pip download --quiet --only-binary :all: --python-version $(PYTHON_VERSION) --dest $(WHEELHOUSE) \
		--requirement images/runtime/requirements.txt --requirement images/runtime-sidecar/requirements.txt

bench-handover: $(VENV)/ready ## hundreds of hand-overs, counted (needs wrk, nghttp2-client; about ten minutes)
	$(BIN)/python -m benchmarks.handover --handovers 100 --connections 10000

bench-ledger: $(VENV)/ready ## what it takes to judge ten million requests, and a thousand upgrades: seconds, memory, size
	$(BIN)/python -m benchmarks.ledger

selftest: $(VENV)/ready ## show that every fault is caught, that the reference passes, and that a busy machine raises no false alarm (half an hour)
	$(BIN)/hotupgrade selftest

selftest-short: $(VENV)/ready ## some of the faults, and two clean runs
	$(BIN)/hotupgrade selftest --short

test: $(VENV)/ready-dev ## the project's own tests
	$(BIN)/python -m pytest tests -q --numprocesses 3 --dist worksteal -m "not conformance"

test-browser: $(VENV)/ready-dev ## the report's page in Chromium (needs apt-get install chromium)
	$(BIN)/pip install --quiet --editable '.[browser]'
	$(BIN)/python -m pytest tests/report/test_browser.py -q -s

conformance-controller: $(VENV)/ready-dev ## the reference controller beside 27 recorded sequences of OpenKruise (three minutes)
	$(BIN)/python -m pytest tests/controller -q -m conformance

record: $(VENV)/ready-dev $(if $(filter kind,$(CLUSTER)),$(VENV)/ready-kind) ## play those sequences on a cluster and compare (CLUSTER=kind; OUT=DIR, SEQUENCES="inject cycles")
	$(if $(filter kind,$(CLUSTER)),$(BIN)/hotupgrade images build --images tests/controller/images $(RECORDED_IMAGES))
	$(BIN)/python -m tests.controller --cluster $(CLUSTER) --images tests/controller/images $(if $(OUT),--out $(OUT)) $(SEQUENCES)

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

.PHONY: help setup e2e images images-push conformance job-summary allow-namespaces wheel release wheelhouse conformance-controller record test test-browser bench check fmt clean cases fuzz bench-handover bench-ledger selftest selftest-short load-test
