# Everything that a developer or a curious visitor needs. `make` alone lists it.

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python,\
	$(shell command -v $(name) 2>/dev/null)))
RUN := .venv/bin
LOCK := $(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench chaos screenshots clean lock

SEED := 1
RUNS := 200

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install everything into .venv and .local (no root needed); quick when nothing changed
	@test -n "$(PYTHON)" || { \
		echo "No Python was found: install Python 3.11, 3.12 or 3.13 and run this again." >&2; exit 1; }
	@"$(PYTHON)" deploy/setup.py

demo: setup ## run everything on this machine with a simulated hospital
	@$(RUN)/tocsin demo

test: setup lint ## check formatting, types and layers, then run all tests
	@$(RUN)/python -m pytest

lint: setup ## formatting, style, types, layers
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

bench: setup ## measure throughput and latency, into bench.json and bench.html
	@$(RUN)/tocsin bench --naive tests/bench/naive.py --workers 1,2,4 \
		--json bench.json --report bench.html

chaos: setup ## 200 seeded runs with faults, into chaos.json (SEED=1 RUNS=200)
	@$(RUN)/python -m tests.chaos --seed $(SEED) --runs $(RUNS) --json chaos.json --keep chaos-logs

screenshots: setup ## take the pictures of README and docs anew, from a simulated ward
	@$(RUN)/python -m tests.screenshots

clean: ## stop what runs from the default working folder, remove what setup and tests made
	@test ! -x $(RUN)/tocsin || test ! -d .tocsin || $(RUN)/tocsin down
	@rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find connectors models streams tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +

lock: setup ## pin the dependencies of pyproject.toml anew (UPGRADE=--upgrade: to their latest)
	@$(LOCK) $(UPGRADE) pyproject.toml -o requirements/connectors.txt
	@$(LOCK) $(UPGRADE) pyproject.toml --extra models -o requirements/runtime.txt
	@$(LOCK) $(UPGRADE) pyproject.toml --extra dev -o requirements/all.txt
	@echo uv | $(LOCK) $(UPGRADE) - -o requirements/uv.txt
