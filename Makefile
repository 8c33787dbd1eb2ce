# Everything a person does with this repository on one machine. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# By its own name where there is one: python3 may be another version.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
UV_VERSION := 0.13.9
TOOLS := .tools
UV := $(TOOLS)/bin/uv
BUILD := build
MODELS := $(BUILD)/models
CORPORA := $(BUILD)/corpora
LOG := $(CURDIR)/$(BUILD)/inference-log

# Everything stays inside the repository's ignored folders, and Python is the machine's own.
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
unexport VIRTUAL_ENV

# Ports and corpus may be set on the command line, make run PORT=9000, or in the environment: make hands both on.

SERVICES := features bundle corpus replicas oip inferencelog trainer predictor transformer gateway baseline drift local
SERVED := trainer predictor transformer gateway local
PROJECTS := $(SERVICES:%=services/%) tests tests/bench tests/bench/mlserver
ready = $(1)/.venv/.ready

say = @printf '\033[1m==> %s  %s\033[0m\n' "$$(date +%T)" "$(1)"

##@ Use

.PHONY: run
run: $(foreach s,$(SERVED),$(call ready,services/$(s))) $(BUILD)/model ## Set up, start both environments and the gateway, stay until Ctrl-C
	@exec services/local/.venv/bin/local --procfile Procfile --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" \
	  --inference-log "$(LOG)"

# Of simulate and drift.
ENVIRONMENT ?= staging
SPAM ?= 0.31
RATE ?= 100
MAILS ?= 2000
LAST ?= 60m

.PHONY: simulate
simulate: $(call ready,services/local) $(BUILD)/corpus ## Send real mail through the running system (SPAM=0.31 RATE=100 MAILS=2000 ENVIRONMENT=staging)
	@services/local/.venv/bin/simulate --url "http://127.0.0.1:$${PORT:-8080}" --corpus "$$(< $(BUILD)/corpus)" \
	  --environment $(ENVIRONMENT) --spam $(SPAM) --rate $(RATE) --mails $(MAILS)

.PHONY: drift
drift: $(call ready,services/drift) $(BUILD)/baseline.parquet ## Compare the local log with the corpus, write a report (LAST=60m ENVIRONMENT=staging)
	$(call say,drift-detector)
	@services/drift/.venv/bin/drift-detector --inference-log-uri "$(LOG)" --environment $(ENVIRONMENT) --last $(LAST) \
	  --baseline-uri $(BUILD)/baseline.parquet | tee $(BUILD)/drift.jsonl
	@$(PYTHON) -c 'import json, sys; found = [json.loads(line) for line in sys.stdin][-1]; \
	  print(found["status"] + ":", found["rows"], "mails compared; report:", found["report"])' < $(BUILD)/drift.jsonl

# Scores as the local model gives them to the mails that simulate sends. The baseline in its bundle is right for new mail.
$(BUILD)/baseline.parquet: $(call ready,services/baseline) $(BUILD)/model
	$(call say,baseline)
	@services/baseline/.venv/bin/baseline-generator corpus --corpus "$$(< $(BUILD)/corpus)" --bundle "$$(< $(BUILD)/model)" --out $@

.PHONY: train
train: $(BUILD)/model ## Train and evaluate the model on the corpus (CORPUS_DIR=… for your own)
	@echo "bundle: $$(< $(BUILD)/model)"

##@ Check

TESTED := $(SERVICES:%=services/%) tests/bench tests
# Real servers that tests start. They need Go; where it is missing, those tests are skipped and say so.
SERVERS := $(if $(shell command -v go),$(addprefix $(TOOLS)/bin/,versitygw pushgateway))

.PHONY: test
test: $(SERVERS) $(foreach p,$(TESTED),$(call ready,$(p))) $(BUILD)/model ## Run all tests that need no cluster
	@failed=(); \
	for project in $(TESTED); do \
	  printf '\033[1m==> test %s\033[0m\n' "$$project"; \
	  options=(); if [ "$$project" = tests ]; then options=(--ignore tests/bench); fi; \
	  PATH="$$PWD/$(TOOLS)/bin:$$PATH" MODEL_DIR="$$PWD/$$(< $(BUILD)/model)" CORPUS_DIR="$$(realpath "$$(< $(BUILD)/corpus)")" \
	    "$$project/.venv/bin/python" -m pytest -q -c "$$project/pyproject.toml" --rootdir "$$project" \
	      "$${options[@]}" "$$project" || failed+=("$$project"); \
	done; \
	if [ "$${#failed[@]}" != 0 ]; then echo "FAILED: $${failed[*]}"; exit 1; fi; echo "all tests passed: $(TESTED)"

.PHONY: lint
lint: $(foreach p,$(TESTED),$(call ready,$(p))) ## Check style, format and types
	$(call say,ruff)
	@tests/.venv/bin/ruff check .
	@tests/.venv/bin/ruff format --check .
	@for service in $(SERVICES:%=services/%); do \
	  printf '\033[1m==> mypy %s\033[0m\n' "$$service"; (cd "$$service" && .venv/bin/mypy src); \
	done

.PHONY: format
format: $(call ready,tests) ## Format the Python code
	@tests/.venv/bin/ruff check --fix .
	@tests/.venv/bin/ruff format .

##@ Measure

.PHONY: bench
bench: $(foreach s,predictor transformer gateway,$(call ready,services/$(s))) $(call ready,tests/bench) $(call ready,tests/bench/mlserver) $(BUILD)/model ## Measure the serving path beside MLServer and the KServe SDK (needs wrk)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/bench/.venv/bin/python -m bench --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bench.json $(BENCH)

.PHONY: compare-bogofilter
compare-bogofilter: $(call ready,services/trainer) $(BUILD)/corpus ## Evaluate bogofilter on the model's folds (needs bogofilter)
	@services/trainer/.venv/bin/trainer compare-bogofilter --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bogofilter.json

##@ Keep

.PHONY: lock
lock: $(UV) ## Write every lock file anew, with the newest versions that fit
	@for project in $(PROJECTS); do echo "$$project"; $(UV) lock --quiet --upgrade --project "$$project"; done

.PHONY: clean
clean: ## Remove what make has set up and built
	rm -rf $(BUILD) $(TOOLS) $(PROJECTS:%=%/.venv)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: PORT (8080), PREDICTOR_STAGING_PORT … TRANSFORMER_PRODUCTION_PORT (8081-8084),\n  CORPUS_DIR (your own ham*/ and spam*/ folders), PYTHON (a Python 3.11), BENCH (options of the benchmark, such as --rounds 1)\n'

# ---------------------------------------------------------------------------------------------
# Set-up, each step once.

$(UV):
	$(call say,uv $(UV_VERSION))
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed; $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=…")'
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# Tools written in Go: name -> package@version.
versitygw := github.com/versity/versitygw/cmd/versitygw@v1.0.14
helm3 := helm.sh/helm/v3/cmd/helm@v3.22.0
helm4 := helm.sh/helm/v4/cmd/helm@v4.3.1
helm-unittest := github.com/helm-unittest/helm-unittest/cmd/helm-unittest@v1.0.0
kubeconform := github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
promtool := github.com/prometheus/prometheus/cmd/promtool@v0.316.0
actionlint := github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
GO_TOOLS := versitygw helm3 helm4 helm-unittest kubeconform promtool actionlint

# Into a folder of its own first: two versions of helm are both called helm.
$(GO_TOOLS:%=$(TOOLS)/bin/%): $(TOOLS)/bin/%: | $(UV)
	$(call say,$* from $($*))
	@GOBIN="$$PWD/$(TOOLS)/go/$*" go install $($*)
	@mv "$(TOOLS)/go/$*/"* $@

# Those that cannot be installed by a version alone have a module that pins them and all they need.
MODULE_TOOLS := $(notdir $(wildcard tests/tools/*))
$(MODULE_TOOLS:%=$(TOOLS)/bin/%): $(TOOLS)/bin/%: tests/tools/%/go.mod | $(UV)
	$(call say,$*)
	@cd $(<D) && go build -o "$(CURDIR)/$@" tool
	@touch $@

# Compiled at once: otherwise five processes would compile the same libraries at their first start, or at each.
%/.venv/.ready: %/pyproject.toml %/uv.lock | $(UV)
	$(call say,environment of $*)
	@$(UV) sync --quiet --frozen --compile-bytecode --project $*
	@touch $@

$(BUILD):
	@mkdir -p $@

# Rewritten only when the folder or something in it changes: that trains anew, and nothing else does.
$(BUILD)/corpus: $(call ready,services/trainer) FORCE | $(BUILD)
	@folder="$${CORPUS_DIR:-}"; \
	if [ -z "$$folder" ]; then \
	  [ -d $(CORPORA) ] || printf '\033[1m==> %s  corpus\033[0m\n' "$$(date +%T)"; \
	  folder="$$(services/trainer/.venv/bin/trainer corpus --cache $(CORPORA))"; \
	fi; \
	if [ "$$folder" != "$$(cat $@ 2>/dev/null)" ] || [ -n "$$(find -L "$$folder" -newer $@ -print -quit)" ]; then \
	  echo "$$folder" > $@; \
	fi

TRAINING := $(shell find $(foreach s,trainer features bundle corpus inferencelog,services/$(s)/src) -name '*.py')
# The file names the bundle, which somebody may have removed.
TRAINED := $(wildcard $(addsuffix /model.json,$(shell cat $(BUILD)/model 2>/dev/null)))

$(BUILD)/model: $(TRAINING) $(BUILD)/corpus $(if $(TRAINED),,FORCE)
	$(call say,model)
	@services/trainer/.venv/bin/trainer train --force --corpus "$$(< $(BUILD)/corpus)" --out $(MODELS) > $@

.PHONY: FORCE
FORCE:
