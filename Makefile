# The verbs of this project. `make help` lists them; each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
KUBECTL ?= $(shell command -v kubectl || echo hack/controlplane/bin/kubectl)
IMG ?= lmcache-operator-coordinator:latest
AGENT_IMG ?= lmcache-operator-agent:latest
PLATFORMS ?= linux/amd64,linux/arm64
PYTEST_ARGS ?=
PROTO := proto/lmcache_nodehealth/v1/nodehealth.proto

##@ General

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*##"} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*##/ {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it

.PHONY: demo
demo: setup ## Start a control plane with four GPU nodes, the operator and the samples; show the result
	@$(BIN)/python -m hack.demo up

.PHONY: demo-down
demo-down: ## End what `make demo` started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m hack.demo down; else echo "nothing to end"; fi

##@ Develop

.PHONY: setup
setup: $(READY) ## Make the virtual environment with the locked dependencies

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Set PYTHON=…"; exit 1; }
	@echo "setting up $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv does not work: install your system's python3-venv package."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: generate
generate: setup ## Generate the protobuf code
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m hack.generate proto

.PHONY: manifests
manifests: setup ## Generate the CRD
	@$(BIN)/python -m coordinator.api.crd --write

.PHONY: docs
docs: setup ## Generate the reference pages
	@$(BIN)/python -m hack.reference --write

.PHONY: lock
lock: setup ## Resolve the dependencies anew into requirements/
	@$(BIN)/python -m hack.generate lock

.PHONY: fmt
fmt: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

.PHONY: vet
vet: setup ## Check types
	@$(BIN)/mypy coordinator nodeagent hack tests

.PHONY: lint
lint: setup vet ## Check style, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

.PHONY: test
test: setup controlplane ## Run all tests: unit, contract, integration on a real API server, the demo
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-unit
test-unit: setup ## Run the tests that need no control plane
	@$(BIN)/python -m pytest tests/unit tests/contract $(PYTEST_ARGS)

.PHONY: controlplane
controlplane: setup ## Find or build etcd, kube-apiserver and the others
	@$(BIN)/python -m hack.controlplane build

##@ Build

.PHONY: build
build: setup ## Build the wheel into dist/
	@$(BIN)/python -m hack.generate wheel

.PHONY: docker-build
docker-build: ## Build both images (IMG=…, AGENT_IMG=…)
	docker build -f Dockerfile.coordinator -t $(IMG) .
	docker build -f Dockerfile.agent -t $(AGENT_IMG) .

.PHONY: docker-push
docker-push: ## Push both images
	docker push $(IMG)
	docker push $(AGENT_IMG)

.PHONY: docker-buildx
docker-buildx: ## Build and push both images for PLATFORMS
	docker buildx build --platform $(PLATFORMS) --push -f Dockerfile.coordinator -t $(IMG) .
	docker buildx build --platform $(PLATFORMS) --push -f Dockerfile.agent -t $(AGENT_IMG) .

##@ Deploy (to the cluster of KUBECONFIG)

.PHONY: install
install: ## Install the CRD
	$(KUBECTL) apply --server-side -k deploy/crds

.PHONY: uninstall
uninstall: ## Remove the CRD, and with it every engine
	$(KUBECTL) delete --ignore-not-found -k deploy/crds

.PHONY: deploy
deploy: setup ## Install the operator (IMG=…, AGENT_IMG=…)
	@$(BIN)/python -m hack.deploy --image $(IMG) --agent-image $(AGENT_IMG) --kubectl $(KUBECTL)

.PHONY: undeploy
undeploy: ## Remove the operator; engines and their caches stay
	$(KUBECTL) delete --ignore-not-found namespace lmcache-operator-system
	$(KUBECTL) delete clusterrole,clusterrolebinding -l app.kubernetes.io/part-of=lmcache-operator
