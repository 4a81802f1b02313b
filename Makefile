# make run       optimise the dosing of the default scenario and show the result
# make test      the test suite, without the tests marked slow
# make test-all  the whole test suite
# make test-jax  the test suite without the slow tests, by the JAX engine
# make mutants   the share of small changes of the code that a test sees, in half an hour: SAMPLE=60 SEED=1 MINUTES=30
# make lint      style, types and import layers
# make bench     measure speed beside other solvers, a quarter of an hour on two idle cores, and write docs/performance.md
# make bench-sweeps  the same of sweeps, some minutes
# make figures   make the pictures of README.md and docs/ again, a quarter of an hour
# make imports   draw the imports between packages again, two seconds
# make units     write the conversions of the shipped library's units again, a quarter of a minute
# make clean     remove the environment, caches and builds (results stay)

PYTHON ?= python3
SCENARIO ?= mouse-mc38-depot
WORKERS ?= 2
BIN := .venv/bin

# The quick tests compile hundreds of programs and run most of them once: XLA's plainer generator of code takes half the time.
# The slow ones are compiled as users have it.
test test-jax: export XLA_FLAGS := --xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0

# Each worker takes the next file, in the order of names: a long one at the end would leave the other worker idle.
PYTEST := $(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: run test test-jax test-all mutants lint bench bench-sweeps figures imports units clean
.DELETE_ON_ERROR:

run: .venv/run.stamp
	$(BIN)/nanomg optimize $(SCENARIO) -o results/$(SCENARIO).h5 --force

test: .venv/dev.stamp
	$(PYTEST) -m "not slow"

test-jax: export NANOMG_ENGINE := jax
test-jax: .venv/dev.stamp
	$(PYTEST) -m "not slow"

test-all: test
	$(PYTEST) -m slow

# Small changes, one at a time, in a copy of what is committed; each is tested by the files that tests/mutation/covering.toml names.
# Before any change their tests must pass. Changes that the time does not suffice for are not counted.
SAMPLE ?= 60
SEED ?= 1
MINUTES ?= 30
MUTANTS := .cache/mutants
mutants: export XLA_FLAGS := --xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0
mutants: export NANOMG_ENGINE := native
mutants: export PATH := $(abspath $(BIN)):$(PATH)
mutants: .venv/dev.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -r tests/mutation/requirements.txt
	rm -rf $(MUTANTS)
	git clone --quiet . $(MUTANTS)
	cd $(MUTANTS) && cosmic-ray init tests/mutation/cosmic_ray.toml session.sqlite
	cd $(MUTANTS) && python tests/mutation/sample.py session.sqlite $(SAMPLE) $(SEED)
	cd $(MUTANTS) && python -P tests/mutation/covering.py
	cd $(MUTANTS) && { timeout $(MINUTES)m cosmic-ray exec tests/mutation/cosmic_ray.toml session.sqlite || [ $$? = 124 ]; }
	cd $(MUTANTS) && cr-report --surviving-only --show-diff session.sqlite && python tests/mutation/shares.py session.sqlite

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/run.py -o results/bench.json --page docs/performance.md
	$(BIN)/python benchmarks/roofline.py -o results/bench-roofline.json --page docs/performance.md

bench-sweeps: .venv/dev.stamp
	$(BIN)/python benchmarks/sweeps.py -o results/bench-sweeps.json --page docs/performance.md

# Each picture is drawn by `nanomg plot` from a result, which is made where it is not there.
PLOT := $(BIN)/nanomg plot --force
PICTURES := figure plot-optimum plot-grid plot-subjects plot-feasibility plot-sensitivity plot-validation

figures: $(PICTURES:%=docs/%.png) imports

# The packages and what they import, for docs/architecture.md.
imports: .venv/dev.stamp
	$(BIN)/python docs/imports.py

# What a process with an empty cache would ask of pint, which takes longer to load than to simulate a scenario.
units: .venv/dev.stamp
	$(BIN)/python docs/units.py

docs/figure.png: results/mouse-mc38-depot.h5
	$(PLOT) $< interstitium.C_poor tumour.volume -o $@
docs/plot-optimum.png: results/mouse-mc38-depot.h5
	$(PLOT) $< -o $@
docs/plot-%.png: results/%.h5
	$(PLOT) $< -o $@

results/mouse-mc38-depot.h5: | .venv/run.stamp
	$(BIN)/nanomg optimize mouse-mc38-depot -o $@ --force
results/grid.h5: | .venv/run.stamp
	$(BIN)/nanomg sweep mouse-mc38-depot --vary "dose.liposome.intratumoral.amount=0.5..10 mg:log:13" \
	  --vary "dose.liposome.intratumoral.interval=6..72 h:lin:12" --keep interstitium.C_poor:max -o $@ --force
results/subjects.h5: | .venv/run.stamp
	$(BIN)/nanomg sweep mouse-mc38-depot --subjects 200 --population mouse-c57bl6 --keep tumour.volume:series \
	  --keep interstitium.C_poor:max --keep tumour.volume:final -o $@ --force
results/feasibility.h5: | .venv/run.stamp
	$(BIN)/nanomg feasibility mouse-mc38-depot -o $@ --force
results/sensitivity.h5: | .venv/run.stamp
	$(BIN)/nanomg sensitivity mouse-mc38-iv --of interstitium.C:mean -o $@ --force
results/validation.h5: | .venv/run.stamp
	$(BIN)/nanomg validate -o $@ --force

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
