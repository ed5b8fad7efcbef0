# One environment, made from the constraints file. `make help` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
COVERAGE_FLOOR := 97
# A busy two-core machine spins for minutes with several OpenMP threads per process, so each process gets one.
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_TELEMETRY = 1
export TOKENIZERS_PARALLELISM = false

.DEFAULT_GOAL := help
.PHONY: help install demo demo-serving test test-spark check lint types arrows unit style coverage size docs fuzz chaos mutants privacy speed fingerprint benchmark benchmark-quick benchmark-medicare benchmark-medicare-quick build audit-deps lock clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-24s\033[0m %s\n", $$1, $$2}'

# Byte-compiling every installed file takes longer than installing it: Python compiles what it imports. A build in
# isolation would download setuptools unchecked.
PIP     := -m pip install --quiet --no-compile --no-build-isolation
CHECKED := $(PIP) --require-hashes --constraint constraints.txt
COMMA   := ,
# Needed by targets below, and by no extra.
TOOLS   := pip setuptools mutmut pip-audit uv

# Fills an environment (1) with this project (2), what its extras (3) need, and more packages (4). Every download is held to
# its sha256 in constraints.txt. pip hashes no folder, so the project comes without its dependencies: a second call adds them.
# An old pip knows no hashes of constraints, so the pinned one comes first; then the CPU build of torch, where pip finds
# one: it is a fourth of the size, and pip itself would rather take a build whose hash the index tells.
define fill
	@awk '/^(pip|setuptools)==/ {on = 1} on; !/\\$$/ {on = 0}' constraints.txt > $(1)/first.txt
	@sed -n 's/^# cpu: //p' constraints.txt > $(1)/cpu.txt
	$(1)/bin/python $(PIP) --no-deps --require-hashes --requirement $(1)/first.txt
	@$(1)/bin/python $(PIP) --no-deps --require-hashes --requirement $(1)/cpu.txt 2> $(1)/cpu.log || ! grep "DO NOT MATCH" $(1)/cpu.log
	$(1)/bin/python $(PIP) --no-deps $(2)
	$(1)/bin/python $(CHECKED) "claim-transformers[$(3)]" $(4)
endef

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python constraints.txt setup.cfg pyproject.toml
	$(call fill,$(VENV),--editable .,all)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python $(CHECKED) "claim-transformers[dev]"
	@touch $@

install: $(VENV)/.dev  ## Make the environment in .venv with everything a developer needs.

demo: $(VENV)/.runtime  ## Simulate, ingest, pretrain, fine-tune, compare; leaves runs/demo/report.html.
	PATH="$(abspath $(BIN)):$$PATH" bash examples/demo.sh runs/demo

demo-serving: $(VENV)/.runtime  ## A simulated hospital with an EHR page and the service behind it; Ctrl-C ends it.
	PATH="$(abspath $(BIN)):$$PATH" bash examples/serving/demo.sh runs/demo-serving

test: check unit  ## Everything that must be green: the checks, then all tests and doctests.

check: lint types arrows  ## ruff, mypy strict and the layers contract.

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

arrows: $(VENV)/.dev
	$(BIN)/lint-imports

# Without what takes more than ten seconds or says the same of one more source.
unit: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/.dev  ## The tests that `make test` leaves out: more sources through every relation, kills, whole real files.
	$(BIN)/pytest -n 2 --dist loadfile -m slow

# FUZZ_SECONDS says for how long, though the first seed goes through every source asked for (FUZZ="dirty tuva"); FUZZ_SEED
# where to begin: relations of every source and tables of dirt, see its file.
fuzz: $(VENV)/.dev  ## Random claims and random dirt through every source, for FUZZ_SECONDS (600).
	PYTHONPATH=tests $(BIN)/python tests/invariants/fuzz.py $(FUZZ)

# CHAOS can be fewer, such as CHAOS="--kills 20 --stops 5 --damages 7", or --only with a part of a variant's name.
chaos: $(VENV)/.dev  ## Trainings that are killed 100 times, stopped 20 times and damaged 42 times, and what they end with.
	PYTHONPATH=tests $(BIN)/python tests/training/chaos.py $(CHAOS)

# Nothing else needs mutmut. MUTANTS is a pattern of names, such as 'claim_transformers.codes.*'; it goes on where it was
# stopped, and `rm -r mutants` begins anew.
mutants: $(VENV)/.dev  ## Faults planted in the modules that decide results, and how many the tests notice.
	$(BIN)/python $(CHECKED) mutmut
	$(BIN)/python tests/house/mutants.py $(MUTANTS)

# A second run of all tests, with branches counted; the floor is what was measured, rounded down.
coverage: $(VENV)/.dev  ## Lines and branches that the tests run, with a floor.
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-report=html --cov-fail-under=$(COVERAGE_FLOOR)

size: $(VENV)/.dev  ## Lines, code, docstrings and comments by room: the table of CONTRIBUTING.md.
	$(BIN)/python tests/house/size.py

$(VENV)/.docs: $(VENV)/.runtime
	$(BIN)/python $(CHECKED) "claim-transformers[docs]"
	@touch $@

docs: $(VENV)/.docs  ## The site in build/site, from docs/ and docstrings; opens from the disk, searches offline.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html opens in any browser, offline"

style: $(VENV)/.dev  ## Rewrite the code in the house format, and the table of rooms in CONTRIBUTING.md.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tests/house/size.py --write

# An environment of its own: Spark is large and nothing else needs it. Without Java or data the test would be skipped.
test-spark:  ## The way of the data on Spark, row by row, and its CPU; needs Java 17 and CLAIMS_DATA_DIR; SPARK_PATIENTS=100000 for 5 million lines.
	@command -v java > /dev/null || { echo "expected java, found none"; exit 2; }
	@test -d "$$CLAIMS_DATA_DIR" || { echo "expected CLAIMS_DATA_DIR to be a folder"; exit 2; }
	$(PYTHON) -m venv build/spark
	$(call fill,build/spark,--editable .,claims$(COMMA)spark,pytest)
	PYTHONPATH=tests build/spark/bin/python -m pytest tests/sources/test_spark.py
	OMP_NUM_THREADS=1 build/spark/bin/python -m speed.spark

speed: $(VENV)/.runtime  ## Ratios against named baselines, appended to speed/history.jsonl, and their plot in docs/performance.md.
	$(BIN)/python -m speed.simulation
	$(BIN)/python -m speed.ingest
	$(BIN)/python -m speed.fhir_eob
	$(BIN)/python -m speed.pretraining
	$(BIN)/python -m speed.tokens
	$(BIN)/python -m speed.imports
	$(BIN)/python -m speed.scoring
	$(BIN)/python -m speed.serving
	$(BIN)/python -m speed.folding
	$(BIN)/python -m speed.history

# Minutes on one core: it simulates again what both checkpoints of the package learned.
privacy: $(VENV)/.runtime  ## Canaries in artefacts, tokens of too few patients, membership inference with its control.
	$(BIN)/python -m reproduction.privacy

# Before a change: `make fingerprint WRITE=before.json`; after it: `make fingerprint COMPARE=before.json`.
fingerprint: $(VENV)/.runtime  ## Digests of simulations, logits, tables, steps and the demo, to show before = after.
	$(BIN)/python -m reproduction.fingerprint $(if $(WRITE),--write $(WRITE)) $(if $(COMPARE),--compare $(COMPARE))

benchmark: $(VENV)/.runtime  ## Every table and figure of docs/benchmark; hours, and goes on where it was stopped.
	PATH="$(abspath $(BIN)):$$PATH" bash reproduction/claim_pt/run.sh reproduction/claim_pt/profiles/full.yaml

benchmark-quick: $(VENV)/.runtime  ## All of it at a small size, in minutes; leaves runs/benchmark/quick/docs.
	PATH="$(abspath $(BIN)):$$PATH" bash reproduction/claim_pt/run.sh reproduction/claim_pt/profiles/quick.yaml

benchmark-medicare: $(VENV)/.runtime  ## Every Medicare table of docs/benchmark; hours, and goes on where it was stopped.
	PATH="$(abspath $(BIN)):$$PATH" bash reproduction/medicare/run.sh reproduction/medicare/profiles/full.yaml

benchmark-medicare-quick: $(VENV)/.runtime  ## All of it at a small size; leaves runs/benchmark/medicare-quick/docs.
	PATH="$(abspath $(BIN)):$$PATH" bash reproduction/medicare/run.sh reproduction/medicare/profiles/quick.yaml

build: $(VENV)/.dev  ## Build the wheel, install it in a fresh environment, call its command and run README's first block.
	rm -rf dist build/wheel-check
	$(BIN)/python -m build --no-isolation --outdir dist
	$(PYTHON) -m venv build/wheel-check
	$(call fill,build/wheel-check,dist/*.whl,all)
	awk '/^```python/ {inside = 1; next} /^```/ {if (inside) exit} inside' README.md > build/readme_block.py
	cd build && HF_HUB_OFFLINE=1 wheel-check/bin/python readme_block.py
	build/wheel-check/bin/claim-transformers --help > /dev/null

# Offline it checks what it can and names what it could not; AUDIT=--online fails then.
audit-deps: $(VENV)/.dev $(VENV)/.docs  ## Known advisories, licences and hashes of everything in constraints.txt.
	-$(BIN)/python $(CHECKED) $(TOOLS)
	$(BIN)/python tests/house/audit.py $(AUDIT)

# Versions stay as they are unless LOCK says otherwise (LOCK="--upgrade-package pillow"); the hashes of all files of a
# release come from the index anew. The comments at the head stay: with a new torch, change the line of its CPU build too.
lock: $(VENV)/.dev  ## Make constraints.txt anew from setup.cfg: every platform, every file's sha256.
	$(BIN)/python $(CHECKED) uv
	@mkdir -p build
	sed 's/ *\\$$//; /^ *--hash/d' constraints.txt > build/constraints.txt
	printf '%s\n' $(TOOLS) | $(BIN)/uv pip compile setup.cfg - --all-extras --universal --python-version 3.11 --quiet \
		--generate-hashes --no-annotate --no-header --output-file build/constraints.txt $(LOCK) > /dev/null
	(grep '^#' constraints.txt; cat build/constraints.txt) > build/lock.txt && mv build/lock.txt constraints.txt

clean:  ## Remove what the targets made, the environment included.
	rm -rf $(VENV) build dist mutants runs src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
