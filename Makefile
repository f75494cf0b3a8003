# `make demo` and `make test` are all that a fresh machine needs; PYTHON must be 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check bench clean

install: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/vosseg propagate examples/bunny/frames --mask examples/bunny/masks/00000.png \
		--save masks,overlay,video -o runs/demo
	$(BIN)/python benchmarks/quality.py examples/bunny runs/demo/masks/frames
	$(BIN)/vosseg evaluate vos runs/demo examples/bunny/masks --frames examples/bunny/frames --protocol long-video \
		-o runs/demo/report
	@echo "look at runs/demo/video/frames.mp4, runs/demo/overlay/frames/ and runs/demo/report/report.html"

# One process a core with one thread each; the tests of a file or class stay together and share what they build.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope

bench: $(STAMP)
	$(BIN)/python benchmarks/propagate.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/fewshot.py
	$(BIN)/python benchmarks/instance.py

clean:
	rm -rf $(VENV) runs
