# Everything a user or developer runs. `make demo`, `make up` and `make test` need nothing but Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
# of `make crashes`; SEED=… draws the same ones again
KILLS ?= 200
# of the archive that `make bench` measures
FRAMES ?= 500000

.PHONY: demo up test conformance-venvs venv lint types layers check bench fuzz one-object four-workers properties crashes simulate clean

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: venv
	$(BIN)/starferry demo --data ./demo-data --port $(PORT)

up: venv
	$(BIN)/starferry up --data ./data --port $(PORT)

test: venv
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

# Environments of other people's clients, which tests/conformance runs; without them its tests make their own, or are skipped.
conformance-venvs: venv
	$(BIN)/python -m tests.conformance.environments

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

types: venv
	$(BIN)/mypy

layers: venv
	$(BIN)/lint-imports

check: layers types lint

bench: venv
	$(BIN)/python -m tests.benchmarks --frames $(FRAMES)

fuzz: venv
	$(BIN)/python -m tests.fuzz

# Uploads under faults, crashes and races, at every step of each provider's; the suite has a selection.
one-object: venv
	SEARCH=1 ONE_OBJECT_TIMES=20 $(BIN)/python -m pytest -n 2 tests/property/test_one_object.py

# 2 000 transfers shared by four workers, of which one is killed and one cut off from the database for a minute.
four-workers: venv
	$(BIN)/python -m tests.soak

# All properties with other examples than the suite's; state machines of every aggregate and of the whole system, with
# fifty times as many.
properties: venv
	SEARCH=1 $(BIN)/python -m pytest -n 2 tests/property tests/unit
	PROPERTY_TIMES=50 $(BIN)/python -m pytest -n 2 tests/property -k machine
	PROPERTY_TIMES=50 $(BIN)/python -m pytest tests/property/test_whole_system.py

# Random `kill -9` of API, projections, workers and PostgreSQL under load, and a judgement of what came of it.
crashes: venv
	$(BIN)/python -m tests.crashes --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# The whole service on a simulated clock, network and disk; the suite has some hundreds of seeds.
SEEDS ?= 10000
FROM ?= 0
JOBS ?= 2
simulate: venv
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM) --jobs $(JOBS)

clean:
	rm -rf $(VENV) .conformance demo-data build *.egg-info
