# make demo · make test · make bench · make look · make lint · make lock · make clean-lab
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
SITE ?= linux

.PHONY: help setup demo test bench look lint lock clean-lab

help: ## what can be made here
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

setup: ## Python environment, Debian packages, Pulumi's CLI; done once, safe to repeat
	@setup/python
	@setup/debian
	@$(BIN)/python -m stacks.install

demo: setup ## [SITE=linux|slurm|aws] a voucher's whole life on a real site (aws: an emulator), each step with what was seen
	@$(BIN)/python -m tests.demo $(SITE)

test: setup lint ## every check and every test, on real labs too; two files at a time, as labs wait more than they compute
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lint: ## ruff, mypy (strict), import-linter
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 12

bench: setup ## our figures beside the raw floor, in one run
	@$(BIN)/python -m tests.bench $(SITE)

look: setup ## every page and paper in Chromium, both languages, as pictures in build/look
	@$(BIN)/python -m tests.look

lock: ## resolve the dependencies anew into requirements.lock (hashes, no addresses); needs uv
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --group dev pyproject.toml -o requirements.lock

clean-lab: ## take every lab away completely
	@$(BIN)/python -m tests.demo clean
	@$(BIN)/python -m tests.lab down --all
