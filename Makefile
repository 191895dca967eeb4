# Two commands: `make demo` segments a photograph, `make test` runs the tests.
# Both install what they need into .venv, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := demo_output

.PHONY: demo test coverage check docs clean

demo: $(INSTALLED)
	@image=$$($(BIN)/python -c "from importlib.util import find_spec as f; \
	print(f('sklearn').submodule_search_locations[0] + '/datasets/images/flower.jpg')") && \
	$(BIN)/sp-graph-seg segment "$$image" --output $(DEMO) --overwrite && \
	$(BIN)/sp-graph-seg regions "$$image" --output $(DEMO)/regions --overwrite

# One process of one thread for each core, but at most four, which need about 1 GB each.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

# All processes count, also those that tests start. It takes about half as long again as the tests.
coverage: $(INSTALLED)
	$(BIN)/python -m pip install --quiet 'coverage>=7.10'
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) .venv-lowest .venv-napari .scatter $(DEMO) docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache
