# make run      tune on ml-100k: from nothing but Python 3.11, make and a package index
# make test     the whole suite
# make test-fast  the unit tests alone: they start no process and open no server
# make check    lint, types, tests: what CI runs
# make test-lowest  the unit tests with the lowest versions that pyproject.toml allows, in build/lowest
# make test-install  the wheel with its dependencies in a new environment; both need a package index
# make faults   many random kills and long outages; about an hour
# make docs     the documentation as a site in build/site; make docs-serve shows it
# make gpu-check  everything that touches a GPU, on the first one; under three minutes
# make screenshots  the README's pictures; needs Chromium
# make compose-env  .env with new passwords for docker-compose.team.yml
# make dist     the sdist and the wheel, in dist
# make release-papers  licences, parts list (SBOM) and known faults of what the wheel needs, in dist
# make install  only the environment, in .venv

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
LOWEST_BIN := build/lowest/Scripts
else
BIN := .venv/bin
LOWEST_BIN := build/lowest/bin
endif
RUN := $(BIN)/python -m
PIP := $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt

# One more than two cores: many tests wait for a process or a server.
# Files go out in order, those of tests/e2e first: they are the longest.
PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: compose-env gpu-check run install test test-fast test-lowest test-install check lint types faults docs docs-serve screenshots dist release-papers clean

run: .venv/installed
	$(RUN) hpo.run --n-trials 50

install: .venv/installed

test: .venv/installed-test
	$(RUN) pytest $(PARALLEL)

test-fast: .venv/installed-test
	$(RUN) pytest tests/recsys tests/hpo $(PARALLEL)

# 4 minutes and 8 GB to install on Linux, whose oldest torch brings CUDA; then as test-fast.
LOWEST := --python build/lowest
test-lowest: .venv/installed-test
	$(PIP) "uv>=0.8"
	mkdir -p build
	$(RUN) uv pip compile --quiet --resolution lowest-direct --extra test pyproject.toml --output-file build/lowest.txt
	$(RUN) uv venv --quiet --clear build/lowest
	$(RUN) uv pip install --quiet $(LOWEST) --requirements build/lowest.txt
	$(RUN) uv pip install --quiet $(LOWEST) --no-deps --editable .
	$(LOWEST_BIN)/python -m pytest tests/recsys tests/hpo $(PARALLEL)

test-install: .venv/installed-test
	$(RUN) pytest -m network tests/e2e/test_bare_install.py

faults: .venv/installed-test
	$(RUN) pytest -m faults tests/faults

docs: .venv/installed-test
	$(RUN) mkdocs build --strict

docs-serve: .venv/installed-test
	$(RUN) mkdocs serve --dev-addr 127.0.0.1:8090

gpu-check: .venv/installed-test
	$(RUN) benchmarks.gpu

screenshots: .venv/installed-test
	$(RUN) pytest tests/e2e/browser --screenshots docs/screenshots

compose-env:
	$(PYTHON) deploy/compose/make_env.py

dist: .venv/installed-test
	$(RUN) build --no-isolation

# The papers describe an environment of the wheel alone; the tools are in extra `release`.
release-papers: .venv/installed-test
	$(PIP) --editable ".[release]"
	$(PYTHON) -m venv build/runtime
	$(RUN) pip --python build/runtime install --quiet --constraint constraints.txt .
	mkdir -p dist
	$(RUN) piplicenses --python build/runtime/bin/python --format markdown --output-file dist/licences.md
	$(RUN) cyclonedx_py environment build/runtime --output-file dist/sbom.json
	$(RUN) pip freeze --path build/runtime/lib/python3.*/site-packages --exclude two-tower-hpo > build/runtime.txt
	$(RUN) pip_audit --requirement build/runtime.txt --no-deps --disable-pip

check: lint types test

lint: .venv/installed-test
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: .venv/installed-test
	$(RUN) mypy

# The stamps say for which pyproject.toml and constraints.txt the environment was made.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; choose it with make PYTHON=...')"
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	$(BIN)/python -c "open('.venv/installed', 'w').close()"

.venv/installed-test: .venv/installed
	$(PIP) --editable ".[test]"
	$(BIN)/python -c "open('.venv/installed-test', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(name, True) for name in ('.venv', 'artifacts', 'dist')]"
