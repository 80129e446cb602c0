# Every target sets itself up: it needs python3 (3.11 or newer) and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
DEMO ?= demo
# One thread per process: OpenMP barriers of several busy processes spin against each other.
export OMP_NUM_THREADS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup demo check test images test-images test-cluster manifests components bench soak format constraints clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt tools.txt images/tools.txt
	@begun=$$(date +%s); \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r images/tools.txt && \
	$(UV) pip install --quiet --compile-bytecode --require-hashes -r constraints.txt && \
	$(UV) pip install --quiet --compile-bytecode --require-hashes --no-deps -r tools.txt && \
	$(UV) pip install --quiet --build-constraints images/tools.txt --no-deps -e . && touch $@ && \
	echo "installed in $$(( $$(date +%s) - begun )) s: $$(du -sh $(VENV) | cut -f1) in $(VENV) (not part of any time below)"

demo: $(READY)
	@$(BIN)/fastgen-k8s run manifests/pipelines/moving-shapes.yaml --root $(DEMO) --parallel 2

format: $(READY)
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/basedpyright --project .ci
	$(BIN)/lint-imports
	$(BIN)/hadolint images/*.Dockerfile
	$(BIN)/pytest -q -n 2 -m "not slow and not processes and not soak and not images and not cluster"

test: check
	$(BIN)/pytest -n 2 --dist loadgroup -m "(slow or processes) and not soak and not images and not cluster"

# Both container images, as fastgen-k8s/{trainer,controller}:test in the Docker engine and as images/build/*.tar; without
# Docker in a private engine (docs/images.md).
images: $(READY)
	@PYTHONPATH=.ci $(BIN)/python -m machine.images

test-images: $(READY)
	$(BIN)/pytest -m "images and not soak" tests/images

# Builds what is missing of the cluster; levels that this machine can't have are named, and their tests left out.
test-cluster: $(READY)
	@$(BIN)/python -m tests.cluster.prepare
	$(BIN)/pytest -n 2 --dist loadgroup -m "cluster and not soak" tests

manifests: $(READY)
	$(BIN)/python -m fastgen_k8s.controller.crd > crd.new && mv crd.new manifests/base/crd.yaml

components: $(READY)
	$(BIN)/python -m components

bench: $(READY)
	$(BIN)/python -m benchmarks

soak: $(READY)
	$(BIN)/pytest -m soak

# The hashes of every file of each release; no index is named. What only builds has the versions of the rest.
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet --fork-strategy fewest \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock = (sed -n '/^\#/p' $(1); $(2)) > $(1).new && mv $(1).new $(1)

constraints: $(READY)
	@$(call lock,constraints.txt,$(COMPILE) --all-extras pyproject.toml)
	@$(call lock,images/tools.txt,printf 'hatchling\nuv\n' | $(COMPILE) --constraints constraints.txt -)
	@$(call lock,tools.txt,$(COMPILE) --no-deps tools.txt)

clean:
	rm -rf $(VENV) $(DEMO)
