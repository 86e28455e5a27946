# The two commands of the README are `make demo` and `make test`. Everything they need is installed by `make setup`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
export PYTHON VENV

.PHONY: help setup setup-test setup-test-all demo fleet-demo test test-all lint format docs matrix bench clean
help:
	@echo "make demo      build GMP, MPFR, MPC, FLINT, gmpy2, python-flint; install them with pip; show the proof"
	@echo "make fleet-demo  the processes of compose.yaml on this machine: a tiny library goes through them"
	@echo "make test      install what is needed and run the tests"
	@echo "make test-all  also the long ones: every recipe for every platform, upstream test suites"
	@echo "make lint      ruff, mypy strict, import-linter, zizmor, schemas and actionlint of workflows"
	@echo "make matrix    docs/matrix.md from the ledger in FARM_HOME"
	@echo "make bench     all benchmarks"

setup:
	@sh scripts/setup

setup-test:
	@sh scripts/setup apt-packages.txt apt-packages-test.txt

setup-test-all:
	@sh scripts/setup apt-packages.txt apt-packages-test.txt apt-packages-test-all.txt

demo: setup
	@$(BIN)/python scripts/demo.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/lint_workflows.py

fleet-demo: setup-test
	@$(BIN)/python tests/fleet_demo.py

test: setup-test
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

test-all: setup-test-all
	$(BIN)/python -m pytest

format: setup
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: setup
	$(BIN)/python -m farm.catalog.reference

matrix: setup
	$(BIN)/python scripts/matrix.py

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .farm $(VENV)
