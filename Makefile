# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
KNOWN := (3, 11) <= sys.version_info < (3, 15)
UNKNOWN := smooseg runs on Python 3.11 to 3.14, and this is {sys.version.split()[0]}: make run PYTHON=python3.13

.PHONY: run test bench docs lint lock clean

run: $(VENV)/.installed
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/smooseg scores

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

docs: $(VENV)/.installed-test
	$(BIN)/sphinx-build --fail-on-warning --keep-going --builder html docs docs/_build/html

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/unit/test_lint.py  # import-linter, snakemake --lint

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; $(KNOWN) or sys.exit(f'$(UNKNOWN)')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c "import sys; from smooseg.running import machine; sys.exit(machine.interpreter_problem())"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

lock: $(VENV)/.installed-test
	$(BIN)/python -m pip freeze --exclude-editable | grep -v " @ " > constraints.txt

clean:
	rm -rf $(VENV) results .snakemake
