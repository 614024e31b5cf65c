# make demo: install, train a network and search for a better one. make test: all tests. make check: all that CI asks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_WORKERS ?= 2

.PHONY: demo docs test test-cluster check lint types contracts format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,onnx,openvino]'
	touch $@

demo: $(READY)
	$(BIN)/python examples/demo/prepare.py runs/demo-data
	$(BIN)/growsearch search examples/demo/study.yaml
	$(BIN)/growsearch predict runs/demo --code examples/demo "$$(ls runs/demo-data/images/test/7/*.png | head -1)"

test: $(READY)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

# Faults on a cluster of local nodes, and a job submitted to one: some minutes.
test-cluster: $(READY)
	GROWSEARCH_CLUSTER_TESTS=1 $(BIN)/python -m pytest tests/search/cluster/test_faults.py tests/search/cluster/test_cluster.py tests/search/backends/ray tests/search/study/test_typed_networks.py

# The documentation, into site/; a broken link or a page that is missing fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/.docs: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

check: lint types contracts test

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
