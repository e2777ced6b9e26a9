# Everything starts here. `make help` lists the targets; `make course` and `make test` do all their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# What sudo drops: downloads behind a proxy need it, and the lab its address. Given word for word, as any sudoers allows it, and only what
# is set; the shell puts in the values, whatever signs a password in them has.
KEPT := http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY MESHLAB_NODE_ADDRESS MESHLAB_KEEP_CACHES
SET := $(foreach name,$(KEPT),$(if $(value $(name)),$(name)="$$$(name)"))
# Only what the lab itself does is elevated. Caches and kubeconfig stay the invoking user's: sudo tells who that is.
# Python leaves no compiled module of root's in a clone or an environment of theirs: they could not remove it.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo env PYTHONDONTWRITEBYTECODE=1 $(SET))
BIN := .venv/bin
MESHLAB := $(BIN)/meshlab
PYTEST := $(BIN)/pytest

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- set-up

# install-missing PACKAGES: install those of Debian's packages that are not there. In a session of its own, which goes on when the terminal
# is closed: dpkg, once killed, refuses all later work. Updates that a new machine is just installing are waited for.
define install-missing
	@missing=$$(for package in $(1); do dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null | grep -qx installed || echo "$$package"; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing Debian packages:" $$missing; \
	  $(SUDO) apt-get -qq update && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive setsid --wait apt-get -qq -o DPkg::Lock::Timeout=300 \
	    install --yes --no-install-recommends $$missing >/dev/null; \
	fi
endef

env: .venv/complete ## the Python environment, with meshlab in it

.venv/complete: requirements.txt requirements-bootstrap.txt pyproject.toml requirements.in
	$(call install-missing,python3 python3-venv python3-pip ca-certificates)
	@echo "making the Python environment"
	@rm -rf .venv && python3 -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bootstrap.txt
	@# uv downloads side by side; pip knows mirrors that only its own configuration names. Compiled here, a notebook starts three times as fast.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements.txt || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -qq lab_helpers
	@touch $@

test-tools:
	$(call install-missing,chromium fonts-dejavu-core curl iproute2 iptables tcpdump)

# ---------------------------------------------------------------- the course

course: env ## set everything up, run every chapter on the live mesh, build the book from that run
	@began=$$SECONDS; \
	$(SUDO) $(MESHLAB) up; \
	$(MESHLAB) course; \
	echo "Everything took $$((SECONDS - began)) s. The lab stays up: \`make lab\` opens the notebooks, \`make down\` takes it down."

up: env
	@$(SUDO) $(MESHLAB) up

lab: up ## bring the lab up and open your desk, a folder of your own, in JupyterLab on loopback
	@$(MESHLAB) lab

site: env ## build the book from the committed notebooks
	@$(MESHLAB) site

record: env ## put the outputs of the last run into the committed notebooks
	@$(MESHLAB) record

down: env ## take the lab down; the caches stay
	@$(SUDO) $(MESHLAB) down

# ---------------------------------------------------------------- tests

# Go's tests need Go's caches, which an `up` clears away otherwise.
KEEPING := env MESHLAB_KEEP_CACHES=1

check: env ## seconds, no cluster: style, layers, unit tests
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@$(BIN)/lint-imports --no-cache
	@$(PYTEST) -q -n 2 tests/unit

# From a lab of its own: one that has been used for hours takes more memory than the suite allows a fresh one.
test: env test-tools check ## everything, on the live lab (made anew) and in a real browser
	@$(SUDO) $(MESHLAB) down
	@$(SUDO) $(KEEPING) $(MESHLAB) up
	@$(MAKE) test-lab test-chapters test-site
	@$(SUDO) $(KEEPING) $(PYTEST) -q tests/lifecycle

test-lab: env test-tools ## the lab and the library, on the lab that is up
	@$(SUDO) $(KEEPING) $(PYTEST) -q tests/lab

test-chapters: env test-tools ## every chapter, one after the other, on the lab that is up; CHAPTER=04_bookinfo for one
	@$(PYTEST) -q tests/chapters $(if $(CHAPTER),-k $(CHAPTER))

test-site: env test-tools site ## the site of the committed notebooks, in a real browser
	@$(PYTEST) -q -n 2 --dist loadfile tests/site

look: env test-tools site ## pictures of every page, light and dark, wide and narrow, under build/look
	@$(BIN)/python -m tests.look

soak: env test-tools ## long proofs: kills of `up`, of components, and more; PART=kills for one
	@$(SUDO) $(KEEPING) $(PYTEST) -q tests/soak$(if $(PART),/test_$(PART).py)

bench: env ## the figures that the closing notes quote: PART=lab, kinds, metrics, waits, statistics, or all of them
	@for part in $(or $(PART),lab kinds metrics waits statistics); do $(SUDO) $(BIN)/python -m tests.bench.$$part; done

.PHONY: help env test-tools course up lab site record down check test test-lab test-chapters test-site look soak bench
