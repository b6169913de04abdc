# python3 (>= 3.11) and make are all that has to be installed.
PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
BENCHMARKS ?= ../shared/benchmarks
INSTANCES ?= 3
LIMIT ?= 60

.PHONY: setup demo test lint bench bench-peers clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make setup PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q verifier  # as pip does for what is not editable: starts are 0.1 s shorter, also where nothing may be written
	@touch $@

# $(call demo,NETWORK,PROPERTY,CODE): the verdict on the terminal, then the JSON document; CODE is the exit code that it must have.
define demo
	@printf '\n$$ verifier verify %s %s --json verdict.json\n' specs/networks/$(1).onnx specs/properties/$(2).vnnlib
	@rm -f $(VENV)/demo.json
	@$(BIN)/verifier verify specs/networks/$(1).onnx specs/properties/$(2).vnnlib --timeout 60 --json $(VENV)/demo.json; \
	code=$$?; printf '(exit code %s)\n' $$code; test $$code -eq $(3)
	@printf '\n$$ cat verdict.json\n'; cat $(VENV)/demo.json
endef

demo: setup
	$(call demo,tiny,tiny_sample2_radius48,0)
	$(call demo,tiny,tiny_sample5_radius24,1)

test: setup
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What parts of the verifier cost. One thread, so that figures can be compared.
bench: setup
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q benchmarks -o python_files='bench_*.py' \
	    --benchmark-columns=min,median,rounds --benchmark-sort=name

# This verifier and others on INSTANCES instances of every category of BENCHMARKS (specs/ where that is missing), LIMIT seconds each.
bench-peers: setup
	$(BIN)/python -m benchmarks.peers --benchmarks '$(BENCHMARKS)' --instances $(INSTANCES) --limit $(LIMIT)

clean:
	rm -rf .peers $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
