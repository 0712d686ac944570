# `make up` is all it takes; `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# The newest interpreter that is here, from 3.11 on; name another with PYTHON=…
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$python && break; done)
TOWER_VENV ?= .venv
export TOWER_VENV
VENV_PYTHON := $(TOWER_VENV)/bin/python
LAUNCH := exec $(VENV_PYTHON) -m controltower.launch
BOOTSTRAP = "$(PYTHON)" controltower/launch/bootstrap.py
TESTS ?=
# Test processes side by side: many tests wait, so there may be more of them than cores.
JOBS ?= 3
OPTIONS ?=

# Tools that stay out of the environment: they would bring thirty packages with them.
RUN_TOOL = $(TOWER_VENV)/bin/uv tool run --quiet
# One lock for every machine and Python that the product runs on.
COMPILE = $(TOWER_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

ifeq ($(MODEL),local)
export TOWER_MODEL := local
SETUP_FLAGS := --local
endif

.PHONY: help python setup up down reset doctor packs lock sbom audit test bench screenshots chaos simulate fuzz ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (apt-get install python3)." >&2; exit 2; }

setup: python ## Make .venv and install what is needed (quick when nothing changed)
	@$(BOOTSTRAP) $(SETUP_FLAGS)

up: setup ## Start everything and show where it is; Ctrl-C stops it (MODEL=local: model on this machine)
	@$(LAUNCH) up

down: ## Stop what `make up` started elsewhere
	@test -x $(VENV_PYTHON) || { echo "Nothing was set up yet; nothing runs."; exit 0; }; $(LAUNCH) down

reset: ## Delete all data under var/ (asks first; YES=1 does not ask)
	@test -x $(VENV_PYTHON) || { echo "Nothing was set up yet."; exit 0; }; $(LAUNCH) reset $(if $(YES),--yes)

doctor: ## Say what runs, what is wrong, and how to mend it
	@test -x $(VENV_PYTHON) || { echo "Nothing was set up yet: run \`make up\`."; exit 1; }; $(LAUNCH) doctor

packs: ## Load the packs again into the running tower (first start does it by itself)
	@$(LAUNCH) packs

lock: python ## Write deploy/locks anew from requirements*.txt (UPGRADE=1 takes newer releases)
	@$(BOOTSTRAP) --dev
	@$(COMPILE) requirements.txt -o deploy/locks/base.txt
	@$(COMPILE) requirements-dev.txt requirements-local.txt -c deploy/locks/base.txt -o deploy/locks/dev.txt
	@$(COMPILE) requirements-local.txt -c deploy/locks/dev.txt -o deploy/locks/local.txt
	@sed -n 's/^# no-deps: //p' requirements-local.txt | $(COMPILE) --no-deps - -o deploy/locks/model.txt

sbom: python ## Write what the product is made of to var/sbom.json (CycloneDX)
	@$(BOOTSTRAP) --dev
	@mkdir -p var
	@$(RUN_TOOL) --from cyclonedx-bom==7.5.0 cyclonedx-py requirements deploy/locks/base.txt --pyproject pyproject.toml -o var/sbom.json 2>/dev/null
	@echo "var/sbom.json names $$(grep -c '"purl"' var/sbom.json) packages."

audit: python ## Look for known weaknesses in what is installed (asks osv.dev)
	@$(BOOTSTRAP) --dev
	@$(RUN_TOOL) pip-audit@2.10.1 --disable-pip --require-hashes --strict -s osv -r deploy/locks/base.txt

test: python ## Run every test (TESTS="-k name" chooses, JOBS=3 at a time)
	@$(BOOTSTRAP) --dev
	@exec $(VENV_PYTHON) -m pytest $(if $(TESTS),$(TESTS),-n $(JOBS)) $(OPTIONS)

bench: setup ## Measure the engine beside its peers (ONLY="throughput latency" SCALE=quick BACKLOG=n)
	@exec $(VENV_PYTHON) -m tests.benchmarks --scale $(or $(SCALE),full) $(if $(ONLY),--only $(ONLY)) $(if $(BACKLOG),--backlog $(BACKLOG))

screenshots: ## Photograph the running tower for the README
	@$(BOOTSTRAP) --dev
	@exec $(VENV_PYTHON) -m tests.screenshots

chaos: python ## Break things for MINUTES=10 with SEED=… and check what is left (CHAOS=gate: all of it)
	@$(BOOTSTRAP) --dev
	@exec $(VENV_PYTHON) -m tests.faults.chaos $(CHAOS) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

simulate: python ## Let SEEDS=10000 simulated towers break under faults, or tell what happens with SEED=n
	@$(BOOTSTRAP) --dev
	@exec $(VENV_PYTHON) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

fuzz: python ## Send CASES=1000 hostile values from every side, with SEED=1 (FIRST=n begins there)
	@$(BOOTSTRAP) --dev
	@exec $(VENV_PYTHON) -m tests.fuzz --cases $(or $(CASES),1000) --seed $(or $(SEED),1) --first $(or $(FIRST),0)

ci: ## Run every check, fastest first, then every test
	@exec .ci/run
