# Two commands for a fresh machine (Python 3.11 or newer with venv, git, make):
#   make demo    install into .venv and trade for a minute on the embedded exchange
#   make test    install the development extras and run the whole suite

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test lint types format wheel clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo 'make demo    trade for a minute on the embedded exchange'
	@echo 'make test    the whole test suite'
	@echo 'make lint    ruff: rules and format      make types   mypy --strict'
	@echo 'make format  let ruff rewrite            make wheel   build dist/*.whl'
	@echo 'make clean   remove the environment and what was built'

demo: $(VENV)/.installed
	$(BIN)/runner run strategies/quickstart.yml --for 60s

# Two workers to a core: half of the suite waits and half of it computes. A file stays with one worker, for its
# fixtures, and the order is ours: files with slow tests come first.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Editable, so that the demo, the tests and an edited strategy all run the files you are looking at.
# The build backend is installed first and used without isolation: a build in isolation would take whatever
# version is newest today, since `-c` does not reach into it. One stamp per set of packages, so that pip runs
# again only when what it should install has changed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt hatchling editables
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt hatchling editables
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[dev,backtest,parquet]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The runner needs Python 3.11 or newer, and '$(PYTHON)' is not:" >&2; $(PYTHON) --version >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON)' cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
