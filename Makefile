# Each target works as the first command on a machine with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo frontier venv test check docs bench bench-quick bench-full bench-gate bench-paths bench-gpu format agreement mutants
venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("prefsmith needs Python 3.11 or newer; this is " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group test --group check
	touch $@

demo: venv
	$(BIN)/prefsmith demo $(ARGS)

# Methods where the true reward is known, in a slice of a few minutes: docs/frontier.md.
frontier: venv
	$(BIN)/prefsmith eval frontier recipes/sentiment-slice.yaml $(ARGS)

test: venv
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	cd docs && ../$(BIN)/python -m generator --check

docs: venv
	cd docs && ../$(BIN)/python -m generator

# prefsmith beside TRL; bench-quick, bench-full and bench-gate are said in docs/speed.md.
bench bench-quick bench-full bench-gate: venv .venv-agreement/installed
	cd bench && ../$(BIN)/python -m speed $(patsubst bench-%,%,$@) $(ARGS)

# prefsmith's own three paths, and short texts in one attention call or in many.
bench-paths: venv
	$(BIN)/python bench/paths.py
	$(BIN)/python bench/short_texts.py

# The same on a CUDA machine, on models of 1 to 8 billion weights.
bench-gpu: venv .venv-agreement/installed
	cd bench && ../$(BIN)/python gpu.py $(ARGS)

agreement: venv .venv-agreement/installed
	cd tests && ../.venv-agreement/bin/python -W ignore -m agreement.theirs ../build/agreement
	cd tests && ../$(BIN)/python -m agreement ../build/agreement ../docs/agreement.md

.venv-agreement/installed: tests/agreement/constraints.txt
	$(PYTHON) -m venv .venv-agreement
	.venv-agreement/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-agreement/bin/python -m pip install --quiet --constraint tests/agreement/constraints.txt trl==1.16.0 peft
	touch $@

mutants: venv
	cd tests && ../$(BIN)/python -m mutants ../docs/mutants.md

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
