# make run       optimise the dosing of the default scenario and show the result
# make test      the test suite, without the tests marked slow
# make test-all  the whole test suite
# make lint      style, types and import layers
# make bench     measure speed beside other solvers, a quarter of an hour on two idle cores, and write docs/performance.md
# make bench-sweeps  the same of sweeps, ten minutes
# make clean     remove the environment, caches and builds (results stay)

PYTHON ?= python3
SCENARIO ?= mouse-mc38-depot
WORKERS ?= 2
BIN := .venv/bin

# Compiled solves are kept between runs and shared by the test workers.
export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0.5

.PHONY: run test test-all lint bench bench-sweeps clean
.DELETE_ON_ERROR:

run: .venv/run.stamp
	$(BIN)/nanomg optimize $(SCENARIO) -o results/$(SCENARIO).h5 --force

test: .venv/dev.stamp
	$(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-all: .venv/dev.stamp
	$(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/run.py -o results/bench.json --page docs/performance.md

bench-sweeps: .venv/dev.stamp
	$(BIN)/python benchmarks/sweeps.py -o results/bench-sweeps.json --page docs/performance.md

.venv/pip.stamp:
	$(PYTHON) -c 'import sys; sys.exit("nanomg needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	touch $@

.venv/run.stamp: .venv/pip.stamp pyproject.toml constraints.txt
	@echo "installing into .venv, which takes a minute the first time"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev.stamp: .venv/pip.stamp pyproject.toml constraints.txt
	@echo "installing into .venv, which takes a minute the first time"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@ .venv/run.stamp

clean:
	rm -rf .venv .cache build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
