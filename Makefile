# Two commands do everything, set-up included: `make book` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help env book pdf notebooks lab lint check units test test-all bench lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The first of these that is new enough makes the environment; `make PYTHON=... env` names one.
PYTHON ?= python3.13 python3 python3.12 python3.14 python
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY) ## make the environment in .venv (the others do it by themselves)

$(READY): requirements.lock pyproject.toml
	@for python in $(PYTHON); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "This book needs Python 3.12 or newer, and none of '$(PYTHON)' is (python3 here: $$(python3 --version 2>&1 | head -n 1)). Get one from python.org, 'pyenv install 3.13' or 'uv python install 3.13', then: make PYTHON=/path/to/python3.13 $(or $(MAKECMDGOALS),book)" >&2; \
	  exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$found cannot make virtual environments: on Debian or Ubuntu run 'sudo apt install python3-venv', then make again." >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$found --version) ..."; \
	$$found -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY) ## build the site from the stored notebooks and print where it is
	@$(BIN)/jupyter-book build . --quiet
	@echo "The book is in $(CURDIR)/_build/html/index.html"

pdf: $(READY) ## print the book to one PDF (needs a Chromium)
	@$(BIN)/python book/make_pdf.py

notebooks: $(NOTEBOOKS:%=run/%) ## run every chapter again and store its outputs (-j safe)

run/%: $(READY)
	$(BIN)/python book/run_notebook.py $*

lab: $(READY) ## open the chapters in JupyterLab
	$(BIN)/jupyter lab notebooks

# Three files at a time, because two leave a sixth of two cores idle; tests/conftest.py says in which
# order.
PYTEST := BOOK_PROGRESSBAR=0 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
# nbval compares the cells tagged for it; a chapter's own run is the gate. Cells may wait for a
# compiler, so the time-out is long, but there is one.
CHAPTERS := --nbval-lax --nbval-cell-timeout=600 notebooks

lint: $(READY) ## check format, style, types and the import order (seconds)
	@$(BIN)/ruff format --check src tests data book
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

check: lint ## lint and the quick unit tests: for every save (3 minutes)
	$(PYTEST) -m "not slow and not second_seed" tests

units: $(READY) ## all unit tests and the site, without the chapters
	$(PYTEST) -m "not second_seed" tests

test: lint ## every check before a change lands: all unit tests, each chapter, the site (half an hour)
	$(PYTEST) -m "not second_seed" tests $(CHAPTERS)

test-all: lint ## the same, and each chapter with a second seed (an hour)
	$(PYTEST) tests $(CHAPTERS)

bench: $(READY) ## measure the speed of what matters, as ratios (long)
	@mkdir -p .benchmarks
	$(BIN)/pip install --quiet -e ".[jax]"
	$(BIN)/python -m venv .benchmarks/biogeme
	.benchmarks/biogeme/bin/pip install --quiet "biogeme==3.3.2" "tomlkit==0.13.3"
	BIOGEME_PYTHON=.benchmarks/biogeme/bin/python $(BIN)/python -m pytest tests/benchmarks/bench_*.py --benchmark-only \
	  --benchmark-columns=min,median,max,rounds --benchmark-sort=name \
	  --benchmark-json=.benchmarks/run.json
	$(BIN)/python tests/benchmarks/table.py .benchmarks/run.json data/benchmarks.csv

lock: ## write requirements.lock anew from the newest versions that pyproject.toml allows
	@python=$$(mktemp -d) && python3 -m venv $$python && \
	  $$python/bin/pip install --quiet -e ".[book,test,data]" && \
	  $$python/bin/pip freeze --exclude-editable > requirements.lock

clean: ## remove what make built, the environment included
	rm -rf $(VENV) _build build .pytest_cache .hypothesis .ruff_cache .mypy_cache \
	  .import_linter_cache .benchmarks
