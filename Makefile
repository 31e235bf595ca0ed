# SPDX-License-Identifier: MIT
# `make help` lists the targets. They install what they need (apt packages, a Python environment
# in build/venv, downloads in $CM_CACHE or ~/.cache/cm-agent); BOARD= names another board.

PYTHON ?= python3
BOARD ?= arm64-virt
# As unlike BOARD as can be: 32 bits, high memory, the oldest kernel; and a Samsung Exynos.
OTHER_BOARDS ?= armhf-virt-bullseye exynos4210-smdkc210
BOARDS ?=
PYTEST_ARGS ?=
BENCH_BOARD ?= arm64-virt-bench
BENCH_ARGS ?=
PROMISES_ARGS ?=
FUZZ_ARGS ?=
PACKAGES ?=
FILES ?=
ENV ?= ssh

export PYTHONPATH := $(CURDIR)/tests
boards := $(PYTHON) -m boards
venv := build/venv/bin/python

# In this order: faults may end the kernel's DMA-API checks, and leaks are looked for at the end.
debug := ioctl ioctl_rights mmap free pin lifetime module refusal attributes control quota parameter \
	contiguity compaction granules clearing coherence owner limits heap usage users on_behalf broker \
	abandoned longterm vmap direct_io \
	faults faults_module leaks

.PHONY: help demo test test-kernels test-dkms test-debug test-board bench promises fuzz board \
	module stage check-overlay prerequisites lint docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: ## show it all on the emulated board
	@$(boards) prepare $(BOARD)
	@cd tests && LG_BOARD=$(BOARD) ../$(venv) -m demo

test: ## all tests: on this machine, on the emulated board, and the most telling on two others
	@$(boards) prepare --promtool --dtbs $(BOARD) $(OTHER_BOARDS)
	@LG_BOARD=$(BOARD) LG_OTHER_BOARDS="$(OTHER_BOARDS)" $(venv) -m pytest \
		--numprocesses 2 --dist loadfile --lg-env tests/hil/env/emulated.yaml $(PYTEST_ARGS)

test-kernels: ## the module's tests on nine kernels, or on those of BOARDS=; one table
	@$(PYTHON) -m kernels $(BOARDS)

test-dkms: ## the module built, installed and removed by DKMS in a clean arm64 tree
	@$(boards) dkms

test-debug: ## the module's tests on a kernel with KASAN, lockdep, kmemleak and fault injection
	@$(boards) prepare arm64-virt-debug
	@LG_BOARD=arm64-virt-debug $(venv) -m pytest --lg-env tests/hil/env/emulated.yaml \
		$(debug:%=tests/hil/test_%.py) $(PYTEST_ARGS)

fuzz: ## random calls at the module on the debug kernel for 15 minutes; FUZZ_ARGS=--seed=N repeats
	@$(boards) prepare arm64-virt-debug
	@$(venv) -m fuzz $(FUZZ_ARGS)

bench: ## figures beside those of the peers, in build/bench; BENCH_ARGS=--quick in three minutes
	@$(boards) prepare $(BENCH_BOARD)
	@$(venv) -m bench --board $(BENCH_BOARD) $(BENCH_ARGS)

promises: ## figures beside their limits; PROMISES_ARGS=--json for programs, "--only hog" for one
	@$(boards) prepare $(BOARD)
	@$(venv) -m bench.promises --board $(BOARD) $(PROMISES_ARGS)

board: ## a root shell on the emulated board (exit with Ctrl-D); PACKAGES= of Debian and FILES= on it
	@$(boards) prepare $(BOARD)
	@$(boards) shell $(BOARD) --packages $(PACKAGES) --files $(FILES)

module: ## build/module/<board>/cm.ko, every warning an error
	@$(boards) module $(BOARD)

stage: ## build/stage, the files that are installed on a board
	@$(boards) stage

test-board: ## the tests on a real board over SSH: ENV=beaglebone-black LG_BOARD=beaglebone.local
	@test -n "$(LG_BOARD)" || { echo "which board? LG_BOARD=<address>, see tests/hil/README.md"; exit 2; }
	@test -f tests/hil/env/$(ENV).yaml || { echo "no ENV=$(ENV); there are:" \
		$(filter-out emulated,$(basename $(notdir $(wildcard tests/hil/env/*.yaml)))); exit 2; }
	@ssh -o BatchMode=yes -o ConnectTimeout=10 root@$(LG_BOARD) true || { echo \
		"root@$(LG_BOARD) must be reachable by key: try ssh root@$(LG_BOARD) true"; exit 2; }
	@$(boards) prerequisites
	@LG_BOARD=$(LG_BOARD) $(venv) -m pytest --lg-env tests/hil/env/$(ENV).yaml tests/hil $(PYTEST_ARGS)

check-overlay: ## what is wrong with an overlay of yours: DTB=board.dtb OVERLAY=mine.dtso
	@test -n "$(DTB)" -a -n "$(OVERLAY)" || { echo "which? DTB=board.dtb OVERLAY=mine.dtso"; exit 2; }
	@$(boards) overlay $(DTB) $(OVERLAY)

prerequisites: ## install the programs and the Python environment all of this needs
	@$(boards) prerequisites

lint: ## sparse, W=1, checkpatch and kernel-doc on the module; ruff and mypy on the Python
	@$(boards) lint

docs: ## build/docs/index.html, the reference of the Python package, every warning an error
	@$(boards) prerequisites
	@$(venv) -W error -m pdoc --output-directory build/docs cm_agent cm_agent.video

clean: ## remove build/ (downloads stay in the cache)
	rm -rf build
