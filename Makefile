# Two commands for a fresh machine: `make demo` and `make test`. Both make the virtual environment they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# nbgrader calls alembic by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test test-nbgrader docs lint fuzz qualify quality bench profile install clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	rm -rf demo-out
	$(BIN)/autograder demo --out demo-out

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# nbgrader's own tests, stock and with our preprocessors as its defaults.
test-nbgrader: $(READY)
	PYTHONPATH=$(CURDIR) $(BIN)/python -m tests.nbgrader_suite.compare

# The documentation, to open at site/index.html.
docs: $(READY)
	$(BIN)/mkdocs build --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(READY)
	$(BIN)/python tests/fuzz_wire.py

qualify: $(READY)
	$(BIN)/autograder qualify all

# Mutants of the references, and right answers on twenty other corpora; docs/quality.md is made of what it finds.
# WEEKS="6 7" measures these alone.
quality: $(READY)
	$(BIN)/autograder quality $(WEEKS) --out docs/quality.md

# OTTER=VENV names a virtual environment with Otter in it, to be measured beside us.
bench: $(READY)
	$(BIN)/python benchmarks/guest.py
	$(BIN)/python benchmarks/closeness.py
	$(BIN)/python benchmarks/terminal.py
	$(BIN)/python benchmarks/grading.py $(if $(OTTER),--otter $(OTTER))
	$(BIN)/python benchmarks/classroom.py
	$(BIN)/python benchmarks/waiting.py page
	$(BIN)/python benchmarks/waiting.py checks

# Where the time of grading goes, stage by stage.
profile: $(READY)
	$(BIN)/python benchmarks/stages.py

clean:
	rm -rf .autograder demo-out build dist site
