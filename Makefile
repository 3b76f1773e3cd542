# Two commands: `make app` serves the explorer, `make test` runs every test. Each makes .venv first, once.
# Works from any folder, its path with spaces too; all paths here are relative.

HOST ?= 127.0.0.1
PORT ?= 7860
PYTHON ?=
PIP_FLAGS ?=
PYTEST_FLAGS ?= -n auto --dist loadfile --no-loadscope-reorder
# Every published case, where the collection lies beside the project; else those that the tests carry.
REFERENCE ?= $(firstword $(wildcard ../shared/reference) tests/data/reference)
PARITY_FLAGS ?= --quiet
FIGURES ?= figures

.DEFAULT_GOAL := help
.PHONY: help app test lint format parity figures models ablations results encoders notebook docs constraints clean
.DELETE_ON_ERROR:

# A .venv whose Python is gone or too old is made anew, whatever its stamps say.
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))
ifneq ($(shell .venv/bin/python -c '$(SUPPORTED)' 2>/dev/null && echo yes),yes)
.PHONY: .venv/installed-app .venv/installed-test .venv/installed-notebooks .venv/installed-docs
endif

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  HOST=$(HOST) PORT=$(PORT) say where the app listens; PYTHON=/path/to/python3.12 chooses the Python of a new .venv;"
	@echo "  FIGURES=dir is where make figures writes;"
	@echo "  REFERENCE=dir names another folder of cases for make parity; PARITY_FLAGS= lists every tensor."
	@echo "  PIP_FLAGS and PYTEST_FLAGS are handed on."

app: .venv/installed-app  ## serve the explorer on http://HOST:PORT
	.venv/bin/python app.py --host "$(HOST)" --port "$(PORT)"

test: .venv/installed-test  ## lint, unit, notebook and browser tests
	@.venv/bin/python tests/chromium.py
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest $(PYTEST_FLAGS)

lint: .venv/installed-test  ## ruff's checks and layout, and mypy's types, without changing anything
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

format: .venv/installed-test  ## let ruff sort imports and lay out the code
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

parity: .venv/installed-app  ## replay every reference case in REFERENCE, print its largest difference
	.venv/bin/python -m dmm.convert replay $(PARITY_FLAGS) "$(REFERENCE)"/*.safetensors

figures: .venv/installed-app  ## draw every figure that the shipped models can give into FIGURES
	.venv/bin/python -m explorer.cli figures all --out "$(FIGURES)"

# Every generator is trained on one pair of encoders. A run that is there already is gone on with; `make -n models` prints the commands alone.
MODELS := gan-int-cls stackgan-v1 stackgan attngan mirrorgan dmgan dmmgan dfgan
ABLATIONS := $(addprefix dmgan-aviary-,baseline m m-wg m-wg-rg) $(addprefix dmmgan-aviary-,gldm no-gldm gldm-stream)
TRAIN = .venv/bin/python -m dmm.cli train $(1) --recipe $(2) --out runs/$(3) $$([ -e runs/$(3)/last.pt ] && echo --resume)

models: encoders  ## train every system on Aviary, one after another, under one budget (hours each)
	@$(foreach name,$(MODELS),$(call TRAIN,gan,$(name)-aviary,$(name)-aviary-gan) &&) echo "runs/*-aviary-gan hold the models"

ablations: encoders  ## train DM-GAN's ablation and DMM-GAN's 2x2 on Aviary, smaller (two hours in all)
	@$(foreach name,$(ABLATIONS),$(call TRAIN,gan,$(name),$(name)-gan) &&) echo "runs/*-gan hold the models"

# Records of the models that `make models` and `make ablations` left in runs/, and the page that they give.
METRICS := attributes,fid,kid,inception_score,r_precision,caption_f1,caption_overlap,claims,diversity

results: .venv/installed-app  ## measure the models in runs/ and make docs/results.md (hours)
	@for run in runs/*-aviary*-gan; do [ -e "$$run/model.safetensors" ] || continue; name=$$(basename "$$run" -gan); \
		.venv/bin/python -m dmm.cli evaluate "$$run" --metrics $(METRICS) --out "assets/results/$$name.json" > /dev/null && \
		.venv/bin/python -m dmm.cli evaluate "$$run" --captions 200 --metrics memory --out "assets/results/$$name-memory.json" > /dev/null || exit 1; \
	done
	.venv/bin/python -m dmm.cli report --out docs/results.md

encoders: .venv/installed-app
	$(call TRAIN,match,aviary,aviary-match)
	$(call TRAIN,caption,aviary,aviary-caption)

notebook: .venv/installed-notebooks  ## open the teaching notebooks in JupyterLab
	.venv/bin/python -m jupyterlab notebooks

docs: .venv/installed-docs  ## build the documentation site into build/site, and say where it begins
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet --config-file website/mkdocs.yml
	@echo "open build/site/index.html, or with search: .venv/bin/python -m http.server --bind 127.0.0.1 --directory build/site 8000"

constraints: .venv/installed-test  ## resolve constraints.txt anew, for Python 3.10 to 3.13
	.venv/bin/python -m pip install --quiet uv
	echo "torch==$$(sed -n 's/^torch==//p' constraints.txt)" > .venv/torch.txt
	.venv/bin/python -m uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header --no-annotate \
		--constraints .venv/torch.txt --output-file .venv/resolved.txt --upgrade setup.cfg
	{ grep '^#' constraints.txt; grep -vE '^(nvidia-|cuda-|triton)' .venv/resolved.txt; } > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:  ## remove .venv, caches and build folders; runs/ and checkpoints stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist tests/output ./*.egg-info
	find dmm explorer tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed-app: setup.cfg pyproject.toml constraints.txt
	@$(MAKE_VENV)
	.venv/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt --editable .
	@touch $@

.venv/installed-test: setup.cfg pyproject.toml constraints.txt
	@$(MAKE_VENV)
	.venv/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt --editable '.[test]'
	@touch .venv/installed-app $@

.venv/installed-notebooks: setup.cfg pyproject.toml constraints.txt
	@$(MAKE_VENV)
	.venv/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt --editable '.[notebooks]'
	@touch .venv/installed-app $@

.venv/installed-docs: setup.cfg pyproject.toml constraints.txt
	@$(MAKE_VENV)
	.venv/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt --editable '.[docs]'
	@touch .venv/installed-app $@

# Keep a .venv that works; else find a Python (PYTHON wins) and make one.
define MAKE_VENV
set -e; supported='$(SUPPORTED)'; \
if .venv/bin/python -c "$$supported" 2>/dev/null; then exit 0; fi; \
found=; \
if [ -n "$(PYTHON)" ]; then \
	if "$(PYTHON)" -c "$$supported" 2>/dev/null; then found="$(PYTHON)"; \
	else echo "PYTHON=$(PYTHON) does not run, or is not Python 3.10 to 3.13." >&2; exit 1; fi; \
else \
	for candidate in python3 python3.12 python3.13 python3.11 python3.10 python; do \
		if "$$candidate" -c "$$supported" 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
fi; \
if [ -z "$$found" ]; then \
	echo "No Python 3.10 to 3.13 found. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
fi; \
echo "Making .venv with $$("$$found" --version) and installing into it; the first time this takes some minutes."; \
rm -rf .venv; \
if ! "$$found" -m venv .venv; then \
	rm -rf .venv; \
	echo "Could not make .venv (above: why). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
fi
endef
