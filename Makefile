.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One virtual environment for everything, made again when a pin changes.
$(READY): requirements.txt requirements-dev.txt setup.cfg
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or later, or name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: install Python 3.11 or later, or name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

init: $(READY) ## Set up the virtual environment with all pinned dependencies

run: $(READY) ## Run the worker with the environment (and .env, .env.local) of this directory
	@exec $(BIN)/reservation-worker run

run-with-env: $(READY) ## Run the worker with the settings in .env.local
	@test -f .env.local || { echo ".env.local is missing: cp .env.example .env.local, then set SQS_QUEUE_URL in it"; exit 1; }
	@exec $(BIN)/reservation-worker run

demo: $(READY) ## Settle 1,000 events on embedded parts and reconcile the ledger
	@exec $(BIN)/reservation-worker demo $(ARGS)

test: $(READY) ## Run all tests with the coverage gate
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

faults: $(READY) ## Run the whole fault campaign, 1.5 hours; the report goes to build/faults
	@$(BIN)/python -m tests.faults.campaign $(ARGS)

fmt: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(READY) ## Check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

verify: lint test ## Everything a pull request must pass

proto: $(READY) ## Generate the gRPC stubs from protos/
	@$(BIN)/python protos/generate.py

pins: $(READY) ## Pin the newest dependencies that setup.cfg allows
	@$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --output-file requirements-dev.txt --extra dev setup.cfg
	@$(BIN)/pip-compile --quiet --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --constraint requirements-dev.txt --output-file requirements.txt setup.cfg

info: $(READY) ## Show versions
	@$(BIN)/reservation-worker --version
	@$(BIN)/python --version
	@echo "$$(grep -c "^[a-zA-Z].*==" requirements.txt) runtime packages pinned"

clean: ## Remove the virtual environment and everything generated
	@rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help init run run-with-env demo test faults fmt lint verify proto pins info clean
