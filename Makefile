# Two commands do all set-up: `make demo` shows the node at work, `make check` proves it. Both print what they do.
#
#   make demo               generated CT and MR studies through a real node; then it keeps serving until Ctrl-C
#   make demo ARGS=--once   the same, and ends by itself: exit 0 when all that it showed worked
#   make check              format, lint, types, import contracts, tests against real peers: what .ci/run runs
#   make crash              at least 200 kill -9 under load (minutes)
#   make bench              the benchmarks in full, beside DCMTK, Orthanc and pynetdicom (long)
#   make bench-oncall       the on-call engine's: simulated nights, a plan blanc, how fast it answers
#   make fuzz               garbage against everything that reads a peer's bytes, FUZZ_S seconds each
#   make clean              removes what the others made, but never data

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help demo check peers format-check lint types imports test crash bench bench-oncall fuzz clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
FUZZ_S ?= 60
# Most tests wait for other processes; each worker has a PostgreSQL cluster of its own, so more is not always faster.
TEST_WORKERS ?= 2

# pynetdicom installs programs of DCMTK's names: in an activated virtual environment they would be found first.
PEERS_FIRST = PATH="/usr/bin:/usr/sbin:$$PATH"

# $(call step,what,command): say what is done, do it, say how long it took.
define step
@printf '\n==> %s\n' '$(1)'; begun=$$(date +%s); \
if { $(2); }; then printf '    done in %s s\n' "$$(( $$(date +%s) - begun ))"; \
else code=$$?; printf '    FAILED after %s s: %s\n' "$$(( $$(date +%s) - begun ))" '$(1)'; exit $$code; fi
endef

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/bin/python:
	$(call step,virtual environment in $(VENV) with $(PYTHON),PYTHON='$(PYTHON)' sh .ci/environment $(VENV))

$(VENV)/.runtime: $(VENV)/bin/python setup.cfg pyproject.toml constraints.txt
	$(call step,install Telegarde with the pinned libraries,$(BIN)/pip install --quiet --constraint constraints.txt --editable . && touch $@)

$(VENV)/.development: $(VENV)/.runtime
	$(call step,install the pinned development tools,$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' && touch $@)

demo: $(VENV)/.runtime
	@$(BIN)/python -m territory.demo $(ARGS)

check: $(VENV)/.development
	@begun=$$(date +%s); \
	$(MAKE) --no-print-directory peers format-check lint types imports test || exit $$?; \
	printf '\n==> everything holds (%s s)\n' "$$(( $$(date +%s) - begun ))"

peers:
	$(call step,Debian packages of the peers that tests talk to,sh .ci/peers)

format-check: $(VENV)/.development
	$(call step,format (ruff format --check),$(BIN)/ruff format --check .)

lint: $(VENV)/.development
	$(call step,lint (ruff check),$(BIN)/ruff check .)

types: $(VENV)/.development
	$(call step,types (mypy strict),$(BIN)/mypy)

imports: $(VENV)/.development
	$(call step,import contracts (lint-imports),$(BIN)/lint-imports)

test: $(VENV)/.development
	$(call step,tests,$(PEERS_FIRST) $(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist worksteal $(ARGS))

crash: $(VENV)/.development
	$(call step,crash tests in their long form,$(PEERS_FIRST) TELEGARDE_CRASH_KILLS=200 $(BIN)/python -m pytest -q tests/crash $(ARGS))

bench: $(VENV)/.development
	$(call step,benchmark of receiving,$(PEERS_FIRST) $(BIN)/python -m benchmarks.ingest $(ARGS))
	$(call step,benchmark of sending on,$(PEERS_FIRST) $(BIN)/python -m benchmarks.retrieve $(ARGS))

bench-oncall: $(VENV)/.development
	$(call step,nights of the on-call engine,$(BIN)/python -m benchmarks.nights --output benchmarks/results/nights.json)
	$(call step,a plan blanc of 500 people,$(BIN)/python -m benchmarks.recall)
	$(call step,how fast the on-call engine answers,$(BIN)/python -m benchmarks.oncall)
	$(call step,a report from its signature to its delivery,$(BIN)/python -m benchmarks.delivery)
	$(call step,the worklist that a console waits for,$(BIN)/python -m benchmarks.worklist)
	$(call step,HL7 messages that are taken in and answered,$(BIN)/python -m benchmarks.hl7)
	$(call step,from the last evidence to the reading list,$(BIN)/python -m benchmarks.completeness)
	$(call step,figures over 100000 cases,$(BIN)/python -m benchmarks.figures)

fuzz: $(VENV)/.development
	$(call step,fuzzing each target for $(FUZZ_S) s,for target in tests/fuzz/fuzz_*.py; do \
	$(BIN)/python -m tests.fuzz.$$(basename $$target .py) --seconds $(FUZZ_S) $(ARGS) || exit 1; done)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
