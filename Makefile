# Two commands do everything: `make demo` and `make test`. Each sets up what it needs, inside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/.cache

# Nothing is written outside the project. Bytecode is made of what is imported, which is a fraction of what is installed.
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_COMPILE := 0
export XDG_CACHE_HOME := $(CACHE)
export MPLCONFIGDIR := $(CACHE)/matplotlib
export IPYTHONDIR := $(CACHE)/ipython
export JUPYTER_CONFIG_DIR := $(CACHE)/jupyter/config
export JUPYTER_DATA_DIR := $(CACHE)/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CACHE)/jupyter/runtime
export PYTHONPYCACHEPREFIX := $(CACHE)/pycache
export JAX_PLATFORMS ?= cpu
export KERAS_BACKEND := jax
export KERAS_HOME := $(CACHE)/keras

.PHONY: demo test test-peers test-peers-vision laws lint format notebooks gallery readme names truth bench bench-start bench-head chips chips-head test-chips test-newest smoke-newest test-lowest docs test-docs dist clean

demo: $(VENV)/demo  ## Train on real data with every loss family, print the table, store the pictures.
	$(BIN)/python notebooks/run.py notebooks/quickstart.ipynb

test: $(VENV)/test lint  ## The whole suite, with doctests, types and the notebook; the law sweep sampled.
	$(BIN)/python -m pytest -n auto -m "not sweep" --durations 25

test-peers: $(VENV)/peers  ## Ours against optax, torch, keras and rax; the training steps of flax and equinox.
	$(BIN)/python -m pytest -n auto tests/peers

test-peers-vision: .venv-vision/vision  ## Ours against MONAI, kornia, torchmetrics, pytorch-metric-learning and POT.
	.venv-vision/bin/python -m pytest -n auto tests/vision

laws: $(VENV)/test  ## The whole law sweep: every loss, every set of options.
	$(BIN)/python -m pytest -n auto -m sweep

lint: $(VENV)/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy jaxloss tests/typed_calls.py
	$(BIN)/basedpyright

format: $(VENV)/test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

notebooks: $(VENV)/notebooks  ## Execute the notebooks and store their outputs in place.
	for notebook in notebooks/*.ipynb; do $(BIN)/python notebooks/run.py $$notebook --store || exit 1; done

gallery: $(VENV)/demo  ## Draw every loss of the catalogue into notebooks/gallery.ipynb.
	$(BIN)/python notebooks/gallery.py
	$(BIN)/python notebooks/run.py notebooks/gallery.ipynb --store

readme: $(VENV)/test  ## Write the table of losses into the README.
	$(BIN)/python tests/test_docs.py

names: $(VENV)/test  ## Write the table of the names of the peers.
	PYTHONPATH=tests $(BIN)/python -m peers.names

truth: $(VENV)/peers  ## Measure how far every loss, ours and theirs, is from the truth; takes minutes.
	PYTHONPATH=tests $(BIN)/python benchmarks/truth.py

bench: $(VENV)/peers  ## Each loss side by side with its peers, a table and a picture; QUICK=1 takes two minutes.
	$(BIN)/python benchmarks/losses.py $(if $(QUICK),--quick)

bench-start: $(VENV)/peers  ## What a program waits for: the import, and the first step traced and compiled.
	$(BIN)/python benchmarks/start.py

bench-head: $(VENV)/peers  ## The language-model head side by side with its peers.
	$(BIN)/python benchmarks/linear_head.py

# Programs are compiled for two chips that are not here, in an environment that has both compilers.
ifeq ($(shell uname -sm),Linux x86_64)
chips: .venv-chips/chips  ## What each loss moves on a TPU and a GPU, a table and a picture; QUICK=1, RESUME=1, LOSSES="huber triplet".
	.venv-chips/bin/python benchmarks/chips.py $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(if $(LOSSES),--losses $(LOSSES))

chips-head: .venv-chips/chips  ## The language-model head compiled for both chips, for the page of bench-head.
	.venv-chips/bin/python benchmarks/linear_head_chips.py

test-chips: .venv-chips/chips  ## A sample of the losses, compiled for both chips, moves no more than is allowed.
	.venv-chips/bin/python -m pytest -n auto --dist loadgroup --confcutdir tests/chips tests/chips
else
chips chips-head test-chips:
	@echo "make $@ is skipped: XLA compiles for a TPU and a GPU on Linux on x86-64 alone, and this is $(shell uname -sm)."
endif

# Python 3.12 or newer, for which the newest JAX and NumPy are made, on the path or kept by pyenv. The samples are what
# meets their arrays and errors; that of the smoke test needs no more than pytest, and takes half a minute.
NEWEST := $(firstword $(shell for python in python3.14 python3.13 python3.12 \
	$$(ls -r $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.1[2-9]*/bin/python 2>/dev/null); do \
	$$python -c "" 2>/dev/null && $$python -c "import sys; print(sys.executable)"; done))
SAMPLE := $(addprefix tests/test_,arguments.py reduction.py masked.py inputs.py tally.py bad_arrays.py eager.py)
SMOKE := $(addprefix tests/test_,inputs.py bad_terms.py loss_as_value.py)

ifdef NEWEST
test-newest:  ## A sample of the suite on the newest Python, JAX and NumPy.
	$(MAKE) VENV=.venv-newest PYTHON=$(NEWEST) .venv-newest/test
	.venv-newest/bin/python -m pytest -n auto -m "not sweep" $(SAMPLE)

smoke-newest:  ## A smaller sample of it, in a smaller environment.
	$(MAKE) VENV=.venv-smoke PYTHON=$(NEWEST) .venv-smoke/smoke
	.venv-smoke/bin/python -m pytest -n auto -m "not sweep" $(SMOKE)
else
test-newest smoke-newest:
	@echo "make $@ is skipped: it needs Python 3.12 or newer."
endif

test-lowest:  ## The suite on the lowest supported JAX.
	$(MAKE) VENV=.venv-lowest .venv-lowest/test
	.venv-lowest/bin/pip install --quiet "jax==0.10.2" "jaxlib==0.10.2"
	.venv-lowest/bin/python -m pytest -n auto -m "not sweep"

docs: .venv-docs/docs  ## The site, into build/site.
	.venv-docs/bin/mkdocs build --quiet

test-docs: docs  ## Every page of the site in a browser, where a chromium is installed.
	.venv-docs/bin/python -m pytest tests/site

dist: .venv-dist/dist  ## The wheel and the source archive, checked, and tried in an empty environment.
	rm -rf dist build/empty
	.venv-dist/bin/python -m build --quiet --outdir dist
	.venv-dist/bin/twine check --strict dist/*
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet dist/*.whl
	cp tests/installed.py tests/typed_calls.py build/empty
	cd build/empty && bin/python installed.py ../../dist
	cd build/empty && ../../.venv-dist/bin/mypy --strict --python-executable bin/python typed_calls.py
	cd build/empty && ../../.venv-dist/bin/basedpyright --level error --pythonpath bin/python typed_calls.py

clean:
	rm -rf .venv .venv-* .cache build dist

$(VENV)/demo $(VENV)/notebooks $(VENV)/test $(VENV)/peers $(VENV)/smoke .venv-vision/vision .venv-chips/chips .venv-dist/dist .venv-docs/docs: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip uninstall -qq --yes setuptools  # which Python 3.11 puts there; who needs it says so
	$(@D)/bin/python -m pip install --quiet --editable ".[$(@F)]"
	touch $@
