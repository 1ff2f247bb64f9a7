# Everything runs from .venv, which the first target that needs it makes. Paths may contain spaces.
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: help demo test check format bench storm clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/'

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tunewell expected Python 3.11 or newer, got " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	echo "installing into .venv, PyTorch included: a few minutes the first time"
	# This exact PyTorch first: where a CPU build of it is at hand, that one is taken.
	.venv/bin/python -c 'import torch' 2>/dev/null || .venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch .venv/.ready

demo: .venv/.ready  ## tune a real network on real data, about two minutes
	@$(PY) -m tunewell demo

test: .venv/.ready  ## all tests but the slow proofs, one thread each: more would wait for one another
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses auto --maxprocesses 4

storm: .venv/.ready  ## the slow proofs: kills at random moments, many drivers at once
	$(PY) -m pytest -m slow --timeout 1800

check: .venv/.ready  ## format, lint, types, layers
	$(PY) -m ruff format --check src tests examples benchmarks
	$(PY) -m ruff check src tests examples benchmarks
	$(PY) -m mypy
	$(PY) -m pytest tests/test_layers.py

format: .venv/.ready  ## put the code into form
	$(PY) -m ruff format src tests examples benchmarks
	$(PY) -m ruff check --fix src tests examples benchmarks

bench: .venv/.ready  ## the benchmarks, side by side with peers (makes .venv-peers)
	bash benchmarks/peers.sh
	$(PY) -m benchmarks

clean:  ## remove what the targets made
	rm -rf .venv .venv-peers* .mypy_cache .ruff_cache .pytest_cache .hypothesis tunewell-demo
