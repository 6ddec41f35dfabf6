# Everything a user or developer runs. `make demo`, `make up` and `make test` need nothing but Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

.PHONY: demo up test venv lint types layers check bench fuzz clean

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
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

types: venv
	$(BIN)/mypy

layers: venv
	$(BIN)/lint-imports

check: layers types lint

bench: venv
	$(BIN)/python -m tests.benchmarks

fuzz: venv
	$(BIN)/python -m tests.fuzz

clean:
	rm -rf $(VENV) demo-data build *.egg-info
