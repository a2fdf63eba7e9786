# Each target does its own set-up: a virtual environment in .venv with the dependencies of
# pyproject.toml, made once and refreshed when that file changes. On Linux without a GPU, TORCH=cpu
# (make compress TORCH=cpu) takes the small build of PyTorch: no CUDA libraries, which are several GB.

PYTHON ?= python3
MINUTES ?= 5
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)-uv/bin/uv
# The newest Python that all packages support.
NEWEST := 3.14
KEDRO := $(BIN)/kedro
CPU_BUILDS := https://download.pytorch.org/whl/cpu

# $(call install,[extra]): says what comes, then leaves pip's progress to be seen.
define install
	@echo "Installing PyTorch and about 100 packages into $(VENV); this takes some minutes."
	@[ "$(TORCH)$$(uname)" != Linux ] || command -v nvidia-smi > /dev/null || \
	  echo "There seems to be no GPU: 'make $(or $(MAKECMDGOALS),compress) TORCH=cpu' saves several GB."
	$(if $(filter cpu,$(TORCH)),PIP_EXTRA_INDEX_URL=$(CPU_BUILDS)) $(BIN)/python -m pip install -e ".$(1)"
endef

# $(call try,<versions of packages>,<Python>): the smoke job and the suite in an environment of its own.
define try
	$(UV) venv --clear --seed --python $(2) $(VENV)-$(1)
	$(UV) pip install --python $(VENV)-$(1) --resolution $(1) $(if $(filter cpu,$(TORCH)),--torch-backend cpu) -e ".[dev]"
	$(VENV)-$(1)/bin/kedro run --pipeline compress --env smoke --params experiment=smoke_$(1)
	$(VENV)-$(1)/bin/kedro versions --experiment smoke_$(1) --delete --yes
	$(VENV)-$(1)/bin/python -m pytest -n 3 --dist worksteal
endef

.DEFAULT_GOAL := help
.PHONY: help compress quick smoke test fuzz viz ablation benchmark benchmark-large gpu-check soak field bounds audit clean check-python

help:                ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22

compress: $(VENV)/.installed  ## the whole job on the generated benchmark; resumes if interrupted
	$(KEDRO) run --pipeline compress $(if $(ENV),--env $(ENV)) --only-missing-outputs

quick: $(VENV)/.installed     ## the same without alignment, repaired in closed form: half the time
	$(KEDRO) run --pipeline compress --env quick --only-missing-outputs

smoke: $(VENV)/.installed     ## the same job, tiny: a minute or two
	$(KEDRO) run --pipeline compress --env smoke --only-missing-outputs

test: $(VENV)/.installed-dev  ## linter, type checker and test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 3 --dist worksteal

fuzz: $(VENV)/.installed-dev  ## damaged files, new ones each time, for MINUTES=5; stops at the first failure
	end=$$(( $$(date +%s) + 60 * $(MINUTES) )); while [ $$(date +%s) -lt $$end ]; do \
	  $(BIN)/python -m pytest tests/hostile -k fuzz --hypothesis-profile=fuzz || exit 1; done

ablation: $(VENV)/.installed  ## what each part of the method is worth: 3 seeds, an hour or two
	$(BIN)/python benchmarks/ablation.py

benchmark: $(VENV)/.installed-dev        ## how fast everything is, as ratios: some twelve minutes
	$(BIN)/python benchmarks/benchmark.py

benchmark-large: $(VENV)/.installed-dev  ## the same of the THUMOS14 size: latency, training memory
	$(BIN)/python benchmarks/benchmark.py --large --repeats 3

gpu-check: $(VENV)/.installed-dev        ## checks and times your GPU: ten minutes, a table to send in
	$(BIN)/python benchmarks/gpu_check.py

soak: $(VENV)/.installed-dev  ## kill every pipeline, 30 times in all, change what it works on, compare
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/soak_changes.py

field: $(VENV)/.installed-dev ## tries unusual videos, names and annotation files: docs/field.md
	PYTHONPATH=tests/helpers $(BIN)/python tests/field/field_table.py $(WRITE)

bounds: check-python ## the oldest and the newest packages that pyproject.toml allows: half an hour
	test -x $(UV) || { $(PYTHON) -m venv $(VENV)-uv && $(VENV)-uv/bin/python -m pip install --quiet uv; }
	$(call try,lowest-direct,3.11)
	$(call try,highest,$(NEWEST))

audit: $(VENV)/.installed-dev ## known flaws in the installed packages (asks the public list)
	test -x $(VENV)-audit/bin/pip-audit || $(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	$(VENV)-audit/bin/pip-audit --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

viz: $(VENV)/.installed-viz   ## open kedro-viz in the browser
	$(KEDRO) viz run

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "tad_blockdrop needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Install one and run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import platform as p, sys; sys.exit((p.system(), p.machine()) == ("Darwin", "x86_64"))' || { \
	  echo "PyTorch has no current build for Intel Macs: use Linux, Windows (WSL) or Apple silicon."; exit 1; }

$(VENV)/.created: | check-python
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(call install)
	@touch $@

$(VENV)/.installed-viz: $(VENV)/.created pyproject.toml
	$(call install,[viz])
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	$(call install,[dev])
	@touch $@ $(VENV)/.installed $(VENV)/.installed-viz

clean:               ## remove the virtual environment; data stays
	rm -rf $(VENV)
