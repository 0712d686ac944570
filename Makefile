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

ifeq ($(MODEL),local)
export TOWER_MODEL := local
SETUP_FLAGS := --local
endif

.PHONY: help python setup up down reset doctor packs test bench screenshots chaos simulate fuzz ci

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
