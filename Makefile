# Jingwei. `make run` starts the system, `make test` tests it; both set everything up first.
# Needs Python >= 3.11, make and the package registries; nothing else.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# The machine's uv where there is one, else a pinned one in its own small environment.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_PYTHON_DOWNLOADS ?= never
export UV_PYTHON ?= $(PYTHON)

.DEFAULT_GOAL := help
.PHONY: help setup run test cover check fix messages clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t12

setup: $(VENV)/.done ## Set up .venv, JavaScript and translations

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Jingwei needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V`. Try: make PYTHON=python3.12 …"; exit 1; }
	@echo "· uv $(UV_VERSION)"
	@$(PYTHON) -m venv .uv || { echo "Python's venv module is missing (Debian: apt-get install python3-venv)."; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

PO := $(wildcard src/jingwei/bureau/*/locale/*/LC_MESSAGES/*.po)

$(VENV)/.done: uv.lock pyproject.toml package-lock.json scripts/vendor.py scripts/messages.py $(PO) | $(filter .uv/bin/uv,$(UV))
	@echo "· Python packages (uv.lock)"
	@$(UV) sync --frozen --quiet
	@echo "· JavaScript packages (package-lock.json)"
	@$(BIN)/python scripts/vendor.py
	@echo "· translations"
	@$(BIN)/python scripts/messages.py compile
	@touch $@

run: setup ## Start the whole system with the demo city (Ctrl-C stops it)
	@JINGWEI_PROFILE=$${JINGWEI_PROFILE:-demo} exec $(BIN)/jingwei run

test: setup ## Run all tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --durations=20 -q $(ARGS)

cover: setup ## Run all tests and measure what they cover (half as long again)
	@$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered --cov-report=html -q $(ARGS)

check: setup ## Lint, types, architecture, translations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/messages.py check

fix: setup ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

messages: setup ## Add new texts to the translation files
	@$(BIN)/python scripts/messages.py update

clean: ## Remove everything that set-up made (not the data in var/)
	rm -rf $(VENV) .uv node_modules src/jingwei/bureau/console/static/vendor htmlcov .coverage*
	find src -name '*.mo' -delete
