PYTHON_FOLDERS := $(wildcard adj_quant slim pretrained .ci)
SHELL_SCRIPTS := $(wildcard .ci/run .ci/*.sh)
CUDA_FOLDER := $(wildcard /usr/local/cuda-10.0/lib64)

# The loader often does not know this folder of CUDA, and setup looks where the loader looks.
ifneq ($(CUDA_FOLDER),)
export LD_LIBRARY_PATH := $(if $(LD_LIBRARY_PATH),$(LD_LIBRARY_PATH):)$(CUDA_FOLDER)
endif
# Hypothesis loops for ever over a relative path that does not exist yet.
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/build/hypothesis

.DEFAULT_GOAL := help
.PHONY: help setup demo bench headline compare lint test clean

help:  ## List the targets.
	@sed -nE 's/^([a-z_]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## Make .venv with the pinned requirements (STACK=1.13|current, PYTHON=PATH choose).
	@.ci/setup.sh

QUICK := $(filter-out 0,$(DEMO_QUICK))
# The repository's pictures are those of one machine and data set: IMAGES_DIR=images redraws them.
PICTURES := $(if $(IMAGES_DIR),--images_dir '$(IMAGES_DIR)')
demo: setup  ## Run every stage on a small data set (DATASET=DIR: yours; DEMO_QUICK=1: smoke test).
	.venv/bin/python adj_quant/demo.py --work_dir build/demo \
	  $(if $(DATASET),--dataset '$(DATASET)') $(if $(IMAGE_SIZE),--image_size $(IMAGE_SIZE)) \
	  $(if $(QUICK),--quick) $(PICTURES)

bench: setup  ## Measure speed relative to the float network (ROUNDS=N; PROFILE=1: time by op).
	.venv/bin/python adj_quant/bench.py --out build $(if $(ROUNDS),--rounds '$(ROUNDS)') \
	  $(if $(filter-out 0,$(PROFILE)),--profile)

headline: setup  ## Compress to the published metric 0.183 on DATASET=DIR (ImageNet records; 11 minutes).
	.venv/bin/python adj_quant/headline.py --dataset '$(DATASET)' --work_dir build/headline $(PICTURES)

compare: setup  ## Compare per-channel with other bit-widths on DATASET=DIR (EPOCHS=N each; 2 hours).
	.venv/bin/python adj_quant/compare.py --dataset '$(DATASET)' --work_dir build/compare $(PICTURES) \
	  $(if $(EPOCHS),--epochs '$(EPOCHS)')

lint: setup  ## Check the style of Python, shell and text files.
	.venv/bin/python -m flake8 $(PYTHON_FOLDERS)
	for script in $(SHELL_SCRIPTS); do bash -n $$script || exit 1; done
	@! git grep --no-index --exclude-standard -nIE '[[:blank:]]$$' \
	  || { echo 'lint: trailing whitespace in the lines above'; exit 1; }
	@! git grep --no-index --exclude-standard -nIE '(^|[^[:alnum:]_.~-])/(home|root|work)/' \
	  || { echo 'lint: a path of one machine in the lines above'; exit 1; }

# A worker that builds full networks takes some 2 GB.
test: setup  ## Run all tests, on up to four cores, and show the ten slowest.
	.venv/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=10

clean:  ## Remove .venv and everything built.
	rm -rf .venv build .hypothesis .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
