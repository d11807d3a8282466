# Commands of the house. `make help` lists them. Needs: make, Python >= 3.11.
# What else a target needs and lacks it installs where it may (root on Debian: apt-get), or it names the
# command that installs it and stops.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
DIR ?= tests/truth
# uv where it is installed: the same environment, faster.
UV := $(shell command -v uv 2>/dev/null)
PYTEST := $(BIN)/python -W error -m pytest -n 2 --dist worksteal

# $(call need,command that must work,Debian package): install the package, or say how, unless it works.
define need
@$(1) >/dev/null 2>&1 || { \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
    echo "installing $(2)"; \
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(2); } >/dev/null; \
  else \
    echo "error: $(2) is needed and not installed. Install it: sudo apt-get install $(2)" >&2; exit 1; \
  fi; }
@$(1) >/dev/null 2>&1 || { echo "error: $(2) is needed; this does not work: $(firstword $(1))" >&2; exit 1; }
endef

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(VENV)/.demo ## Run examples/quickstart.sql on the embedded broker: progress, results, the end
	$(BIN)/streamsql run examples/quickstart.sql

.PHONY: test
test: lint broker ## The gate: ruff, mypy --strict and every test that is not slow
	$(PYTEST) -m "not slow"

.PHONY: test-all
test-all: lint broker ## The gate and the slow tests: crash, soak
	$(PYTEST)

.PHONY: lint
lint: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: truth
truth: $(VENV)/.dev ## Compare with the answers recorded from Apache Flink (DIR=folder of cases)
	$(BIN)/python -m tests.truth $(DIR)

.PHONY: bench
bench: $(VENV)/.dev broker ## Nexmark on a real broker, as ratios to what the client can read
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.operators

.PHONY: lock
lock: $(VENV)/.dev ## Write the versions now installed into constraints.txt
	@{ echo "# The versions that the gate runs with; written by \`make lock\`."; \
	   $(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable; } > constraints.txt

.PHONY: clean
clean: ## Remove the environment and every cache
	rm -rf $(VENV) $(CACHE) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The environment. A stamp file remembers what was installed: a second run only looks at it.
$(VENV)/bin/python:
	$(call need,$(PYTHON) --version,python3)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $$($(PYTHON) --version) is too old: streamsql needs 3.11. Name one: make PYTHON=python3.11" >&2; \
	  exit 1; }
ifeq ($(UV),)
	$(call need,$(PYTHON) -c "import ensurepip",python3-venv)
	$(PYTHON) -m venv $(VENV)
else
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
endif

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing streamsql into $(VENV)"
	$(call install,--editable .)
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing streamsql and its tools into $(VENV)"
	$(call install,--editable . --group dev)
	@touch $@ $(VENV)/.demo

ifeq ($(UV),)
install = @$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' && \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(1)
else
install = @$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt $(1)
endif

# The broker of the tests: Apache Kafka from Maven Central, run by Java; fetched once by the fixture.
.PHONY: broker
broker:
	$(call need,java -version,default-jre-headless)
	$(call need,mvn -version,maven)
