# Each target does all its set-up on a fresh clone: `make demo` grounds a sentence, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BROWSER := $(VENV)/.browser

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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train,ray,ngrams,view]'
	touch $@

# Only tests need a browser, so `make demo` does not wait for one.
$(BROWSER): $(STAMP) scripts/browser.sh
	sh scripts/browser.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

# Two test processes on two cores: more threads would only wait for each other.
unit integration: export OMP_NUM_THREADS = 1

unit: setup
	$(BIN)/pytest -q -n 2 --dist loadfile -m 'not integration'

integration: setup $(BROWSER)
	$(BIN)/pytest -q -n 2 --dist loadfile --durations 20 -m integration

clean:
	rm -rf $(VENV) runs

# The command reference is made from the commands themselves; a test holds it to them.
docs/cli.md: setup
	$(BIN)/python -m typer scene_r1_cli.cli.app utils docs --name scener1 --output $@

# pocket from nothing: SFT, then GRPO for the span, then for the 2D box. Each step shows how long it still takes.
# Kill it at any time: the same command goes on where it was. POCKET, SFT and both SETS are there to try it small.
# GRPO has fewer rooms and steps than its configs say, so that all of it fits into three hours of two cores.
POCKET ?= runs/pocket
SFT ?= configs/train/pocket.yaml
TEMPORAL_SETS ?= --set data.rooms=40 --set trl.max_steps=100
IMAGE_SETS ?= --set data.rooms=40 --set trl.max_steps=200
GRPO = $(BIN)/scener1 train-$(1) --config configs/train/pocket-$(1).yaml $(2) --out $(POCKET)/$(1) --resume

.PHONY: pocket
pocket: $(POCKET)/image/model/config.json
	@echo "pocket: $(POCKET)/image/model" >&2

$(POCKET)/sft/checkpoint/config.json: | setup
	@echo "pocket, 1 of 3: SFT" >&2
	$(BIN)/scener1 train-sft --config $(SFT) --out $(POCKET)/sft $(if $(wildcard $(POCKET)/sft/state.pt),--resume)

$(POCKET)/temporal/model/config.json: $(POCKET)/sft/checkpoint/config.json
	@echo "pocket, 2 of 3: GRPO, when is it in view" >&2
	$(call GRPO,temporal,$(TEMPORAL_SETS)) --model $(POCKET)/sft/checkpoint

$(POCKET)/image/model/config.json: $(POCKET)/temporal/model/config.json
	@echo "pocket, 3 of 3: GRPO, where is it in a frame" >&2
	$(call GRPO,image,$(IMAGE_SETS)) --model $(POCKET)/temporal
