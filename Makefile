# Each target works as the first command on a machine with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo venv test check docs bench format
venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("prefsmith needs Python 3.11 or newer; this is " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group test --group check
	touch $@

demo: venv
	$(BIN)/prefsmith demo $(ARGS)

test: venv
	$(BIN)/python -m pytest $(ARGS)

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	cd docs && ../$(BIN)/python -m generator --check

docs: venv
	cd docs && ../$(BIN)/python -m generator

bench: venv
	$(BIN)/python bench/paths.py
	$(BIN)/python bench/short_texts.py

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
