.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Most tests wait for processes, so more of them run than there are cores. A file stays together, for its fixtures; the
# files keep their order, because xdist's own puts those with few but long tests last.
JOBS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
CLUSTER = $(BIN)/python -m pytest tests/cluster -v -o log_cli=true -o log_cli_level=INFO \
  -o log_cli_format="%(asctime)s %(message)s" -o log_cli_date_format=%H:%M:%S
IMAGE ?= ghcr.io/traffic-tacos/reservation-worker
TAG ?= dev
# What `make up` starts: localstack or light, and observability beside it.
PROFILES ?= localstack
COMPOSE := docker compose $(addprefix --profile ,$(PROFILES))
ALL_PROFILES := --profile localstack --profile light --profile observability
# $(call need,COMMAND,what to do): a plain message where a tool is missing.
need = @command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)"; exit 1; }
engine = @docker info >/dev/null 2>&1 || { echo "no Docker engine answers: install Docker, or start it"; exit 1; }
compose = @docker compose version >/dev/null 2>&1 || { echo "docker compose is missing: install Docker's Compose plugin"; exit 1; }
buildx = @docker buildx version >/dev/null 2>&1 || { echo "docker buildx is missing: install Docker's Buildx plugin"; exit 1; }

help: ## Show this list
	@[ ! -t 1 ] || [ -n "$$NO_COLOR" ] || { colour=$$(printf '\033[36m') plain=$$(printf '\033[0m'); }; \
	  awk -v colour="$$colour" -v plain="$$plain" 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %s%-20s%s %s\n", colour, $$1, plain, $$2}' $(MAKEFILE_LIST)

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
	@$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

test-coverage: $(READY) ## Run all tests; the report is coverage/coverage.html
	@rm -f .coverage .coverage.*
	@$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html:coverage $(ARGS)
	@cp coverage/index.html coverage/coverage.html

test-integration: $(READY) ## Run the queue's contract and the acceptance tests against LocalStack
	@.ci/localstack $(BIN)/python -m pytest tests/contract/test_queue.py tests/acceptance/test_kill.py tests/acceptance/test_outage.py tests/acceptance/test_stop.py tests/acceptance/test_notifications.py -k "external or acceptance" $(ARGS)

bench: $(READY) ## Measure speed, cost and scale against the goals; ARGS=--quick: under a minute
	@$(BIN)/python -m benchmarks.bench $(ARGS)

capacity: $(READY) ## Draw the capacity plan anew: docs/capacity.md and its charts
	@$(BIN)/python -m benchmarks.capacity $(ARGS)

faults: $(READY) ## Run the whole fault campaign, 2.5 hours; the report goes to build/faults
	@$(BIN)/python -m tests.faults.harness.campaign $(ARGS)

cluster-programs: $(READY)
	@test "$$(id -u)" = 0 || { echo "not root: pods get users, networks and limits of their own; sudo make cluster-test"; exit 1; }
	$(call need,ip,on Debian and Ubuntu apt-get install iproute2)
	@$(BIN)/python -m tests.cluster.harness.build

cluster-test: cluster-programs ## Run workers in a Kubernetes cluster with KEDA; the first time builds it, 20 minutes
	@$(CLUSTER) -m "cluster and not slow" $(ARGS)

cluster-timeline: cluster-programs ## Compare the replicas that KEDA makes with the capacity model, 20 minutes
	@$(CLUSTER) -m "cluster and slow" $(ARGS)

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

rules: $(READY) ## Make the PrometheusRule from the alert rules
	@$(BIN)/python k8s/monitoring/generate.py

pins: $(READY) ## Pin the newest dependencies that setup.cfg allows
	@$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --output-file requirements-dev.txt --extra dev setup.cfg
	@$(BIN)/pip-compile --quiet --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --constraint requirements-dev.txt --output-file requirements.txt setup.cfg
	@$(BIN)/pip-compile --quiet --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --constraint requirements-dev.txt --only-build-deps --build-deps-for wheel --output-file requirements-build.txt setup.py

deps: $(READY) ## Install the pinned dependencies anew and check that they fit together
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip check --disable-pip-version-check

build: $(READY) ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist

docker-build: ## Build the image for this machine
	$(engine)
	@docker build --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE):$(TAG) .

build-linux: ## Build the image for linux/arm64
	$(engine)
	$(buildx)
	@docker buildx build --platform linux/arm64 --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE):$(TAG)-arm64 --load .

docker-push: ## Push the image: make docker-push TAG=v1.0.0
	$(engine)
	@docker push $(IMAGE):$(TAG)

docker-run: ## Run the image with the settings in .env.local
	$(engine)
	@test -f .env.local || { echo ".env.local is missing: cp .env.example .env.local, then set SQS_QUEUE_URL in it"; exit 1; }
	@docker run --rm --read-only --cap-drop ALL --env-file .env.local --publish 127.0.0.1:8040:8040 $(IMAGE):$(TAG)

# As ~/.aws as a whole: boto3 looks for the tokens of a login (SSO) nowhere else.
docker-run-with-aws: ## The same, with the AWS profiles of this machine
	$(engine)
	@test -f .env.local || { echo ".env.local is missing: cp .env.example .env.local, then set SQS_QUEUE_URL in it"; exit 1; }
	@test -d "$$HOME/.aws" || { echo "~/.aws is missing: aws configure sso"; exit 1; }
	@docker run --rm --read-only --cap-drop ALL --user "$$(id -u):$$(id -g)" --env-file .env.local --env AWS_PROFILE --env HOME=/home --volume "$$HOME/.aws:/home/.aws:ro" --publish 127.0.0.1:8040:8040 $(IMAGE):$(TAG)

localstack: ## Start LocalStack alone on port 4566
	$(engine)
	$(compose)
	@docker compose --profile localstack up --detach --wait localstack

localstack-stop: ## Stop LocalStack
	$(engine)
	$(compose)
	@docker compose --profile localstack rm --force --stop localstack

up: ## Start the development stack; PROFILES="light observability" for other parts
	$(engine)
	$(compose)
	@$(if $(filter observability,$(PROFILES)),OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4317) $(COMPOSE) up --build --detach --wait worker $(if $(filter observability,$(PROFILES)),otel-collector prometheus grafana)
	@echo "worker http://127.0.0.1:8040  neighbours http://127.0.0.1:8050/ledger  AWS http://127.0.0.1:4566"

down: ## Stop the development stack
	$(engine)
	$(compose)
	@docker compose $(ALL_PROFILES) down --remove-orphans

logs: ## Follow the worker's log in the development stack
	$(engine)
	$(compose)
	@docker compose logs --follow --no-log-prefix worker

burst: $(READY) ## Settle 1,000 events in the development stack and show how fast
	@AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test $(BIN)/reservation-worker burst --queue-url http://127.0.0.1:4566/000000000000/reservation-events --seed-url http://127.0.0.1:8050 $(ARGS)

grpcui: ## A web page for the debug server on port 8041
	$(call need,grpcui,go install github.com/fullstorydev/grpcui/cmd/grpcui@latest)
	@grpcui -plaintext localhost:$${GRPC_DEBUG_PORT:-8041}

pprof: ## Profile 10 s of the running worker (DEBUG_ENDPOINTS=true) into build/pprof
	$(call need,curl,install it)
	@mkdir -p build/pprof
	@curl -fsS "http://127.0.0.1:$${SERVER_PORT:-8040}/debug/pprof/profile?seconds=10" -o build/pprof/profile.pb.gz \
	  || { echo "no profile: start the worker on this machine with DEBUG_ENDPOINTS=true"; exit 1; }
	@if command -v go >/dev/null; then go tool pprof -top -sample_index=wall build/pprof/profile.pb.gz | head -25; fi
	@echo "build/pprof/profile.pb.gz: go tool pprof -http=: FILE, or speedscope"

info: $(READY) ## Show versions
	@$(BIN)/reservation-worker --version
	@$(BIN)/python --version
	@echo "$$(grep -c "^[a-zA-Z].*==" requirements.txt) runtime packages pinned"

clean: ## Remove the virtual environment and everything generated
	@rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help init run run-with-env demo test test-coverage test-integration bench capacity faults cluster-programs cluster-test cluster-timeline fmt lint verify proto rules pins deps build docker-build build-linux docker-push docker-run docker-run-with-aws localstack localstack-stop up down logs burst grpcui pprof info clean
