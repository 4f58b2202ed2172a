# Each target does all its set-up on a fresh clone: `make demo` grounds a sentence, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export HF_HUB_OFFLINE = 1
export HF_HUB_DISABLE_TELEMETRY = 1

.PHONY: demo test setup lint types unit integration clean docs/cli.md

demo: setup
	$(BIN)/scener1 demo

test: setup lint types unit integration

setup: $(STAMP)

# The stamp depends on what decides the environment, so editing a dependency reinstalls.
$(STAMP): pyproject.toml constraints.txt scripts/system_libraries.sh
	sh scripts/system_libraries.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train,ray,ngrams]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

unit: setup
	$(BIN)/pytest -q -m 'not integration'

integration: setup
	$(BIN)/pytest -q -m integration

clean:
	rm -rf $(VENV) runs

# The command reference is made from the commands themselves; a test holds it to them.
docs/cli.md: setup
	$(BIN)/python -m typer scene_r1_cli.cli.app utils docs --name scener1 --output $@
