# Everything a newcomer needs: `make demo`, `make test`. Each target sets up what it uses.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# One BLAS or OpenMP thread a process: the engine parallelises.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes, and a process that finds no compiled modules compiles ours for 0.4 seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test coverage test-fast test-long check format bench gpu clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make .venv with Curator, every extra, and the developers' tools

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,recognisers]' --group dev
	# What building leaves here would be found before what is installed, with the entry points of that day.
	rm -rf ./*.egg-info
	./docs/install-programs
	touch $(STAMP)

demo: $(STAMP) ## Curate the packaged sample corpus, train on it, and print what happened
	rm -rf runs/demo runs/demo-comparison
	recipe=demo-apertium; if ! $(BIN)/curator doctor -r demo-apertium >/dev/null 2>&1; then \
	  echo "Apertium is not installed: taking the recipe demo, without back-translation"; recipe=demo; fi; \
	$(BIN)/curator process pipelines/sample/*.jsonl.zst -o runs/demo -r $$recipe
	$(BIN)/curator ablate demo --on 'pipelines/sample/*.jsonl.zst' -o runs/demo-comparison --tokens 200000 \
	  --set model.depth=2 --set data.sequence=128 --set tokenizer.vocabulary=4096
	$(BIN)/curator report runs/demo --comparison runs/demo-comparison | tail -n 1

# A process more than cores, four at most: tests wait for processes of their own nearly half of their time. Each has whole
# files, whose tests share what they make.
PROCESSES ?= $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))
PARALLEL := --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder

test: $(STAMP) ## All tests that fit into 20 minutes on two cores
	$(BIN)/python -m pytest $(PARALLEL) -m 'not long'

test-fast: $(STAMP) ## The tests that are quick each: two minutes together
	$(BIN)/python -m pytest $(PARALLEL) -m 'not long and not slow and not browser'

coverage: $(STAMP) ## The tests of `make test`, and which lines they run
	$(BIN)/python -m pytest $(PARALLEL) -m 'not long' --cov --cov-report=term:skip-covered

test-long: $(STAMP) ## The tests that take longer: runs killed up to two hundred times
	$(BIN)/python -m pytest -m long

check: $(STAMP) ## ruff, mypy, import-linter, deptry, and the linters of docker/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/healthcheck docker/serve docker/prepare docs/install-programs .ci/run
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.service.yaml

format: $(STAMP) ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

CORPUS ?= runs/corpus.jsonl.zst

bench: $(STAMP) $(CORPUS) ## Measure speed and memory (CORPUS=file.jsonl.zst, else one built from packages)
	$(BIN)/python benchmarks/signatures.py $(CORPUS)
	$(BIN)/python benchmarks/pipeline.py $(CORPUS)
	$(BIN)/python benchmarks/language.py
	test ! -f $(CORPUS:.jsonl.zst=.truth.jsonl.zst) || \
	  $(BIN)/python benchmarks/dedup.py $(CORPUS) $(CORPUS:.jsonl.zst=.truth.jsonl.zst)

$(CORPUS):
	mkdir -p $(dir $(CORPUS))
	$(BIN)/python benchmarks/build_corpus.py $(CORPUS) --megabytes 100

GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))

gpu: ## On a machine with CUDA: check and measure the Triton kernels (GPU_PYTHON=python3 for one without .venv)
	PYTHONPATH=. $(GPU_PYTHON) benchmarks/gpu.py

clean: ## Remove what was made
	rm -rf $(VENV) runs build dist ./*.egg-info
