# Everything a person does with this repository on one machine. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# By its own name where there is one: python3 may be another version. An empty variable is no choice.
ifeq ($(strip $(PYTHON)),)
override PYTHON := $(shell env -u PYTHONHOME python3.11 -E -c '' 2>/dev/null && echo python3.11 || echo python3)
endif
UV_VERSION := 0.13.9
TOOLS := .tools
UV := $(TOOLS)/bin/uv
UV_READY := $(TOOLS)/uv/.ready
BUILD := build
MODELS := $(BUILD)/models
CORPORA := $(BUILD)/corpora
BROWSER := $(TOOLS)/browser
NEWEST_UVICORN := $(BUILD)/newest-uvicorn
LOG := $(CURDIR)/$(BUILD)/inference-log

# Everything stays inside the repository's ignored folders, and Python is the machine's own.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
unexport VIRTUAL_ENV UV_PYTHON UV_PROJECT UV_PROJECT_ENVIRONMENT UV_NO_SYNC UV_NO_DEV UV_NO_EDITABLE UV_SYSTEM_PYTHON
unexport PIP_TARGET PIP_PREFIX PIP_USER PIP_ROOT PIP_REQUIRE_VIRTUALENV GOBIN

# What a shell sets for other Pythons is not for ours. Text is UTF-8, whatever the locale.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONOPTIMIZE PYTHONWARNINGS PYTHONINSPECT PYTHONSAFEPATH
unexport PYTHONIOENCODING PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONPYCACHEPREFIX PYTHONDONTWRITEBYTECODE
export PYTHONUTF8 := 1
ifneq ($(filter C POSIX,$(firstword $(LC_ALL) $(LC_CTYPE) $(LANG) C)),)
export LC_ALL := C.UTF-8
endif

# Requests to this machine go through no proxy.
comma := ,
space := $(subst ,, )
# Each once: a make within make adds nothing.
LOOPBACK := $(subst $(space),$(comma),$(sort $(subst $(comma), ,$(NO_PROXY) $(no_proxy) 127.0.0.1 localhost ::1)))
override NO_PROXY := $(LOOPBACK)
override no_proxy := $(LOOPBACK)
export NO_PROXY no_proxy

# Without a home of one's own, or a folder for temporary files, there is one among the tools.
SCRATCH := $(CURDIR)/$(TOOLS)/scratch
ifneq ($(shell h="$${HOME:-}"; [ -n "$$h" ] && [ -d "$$h" ] && [ -w "$$h" ] && echo yes),yes)
export HOME := $(SCRATCH)
unexport XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME GOPATH GOCACHE GOMODCACHE UV_CACHE_DIR npm_config_cache
$(shell mkdir -p "$(SCRATCH)" 2>/dev/null)
endif
ifneq ($(shell t="$${TMPDIR:-/tmp}"; [ -d "$$t" ] && [ -w "$$t" ] && echo yes),yes)
export TMPDIR := $(SCRATCH)
$(shell mkdir -p "$(SCRATCH)" 2>/dev/null)
endif

# Ports and corpus may be set on the command line, make run PORT=9000, or in the environment: make hands both on.

# Folders with a pyproject.toml: services become images, libs are what they share, and tools are what people run.
PACKAGES := $(patsubst %/pyproject.toml,%,$(sort $(wildcard $(addsuffix /*/pyproject.toml,libs services tools))))
SERVICES := $(patsubst services/%/Dockerfile,%,$(sort $(wildcard services/*/Dockerfile)))
SERVED := tools/trainer services/predictor services/transformer services/gateway tools/local
PROJECTS := $(PACKAGES) docs tests/system tests/audit tests/bench tests/bench/mlserver tests/resilience
# These have lock files of their own; all others share the one at the root.
ALONE := services/drift tests/bench/mlserver
ready = $(1)/.venv/.ready
once = @exec $(PYTHON) -E setup/once.py make

# On standard error: what a target prints may go into a file, as in make render > all.yaml.
say = @printf '\033[1m==> %s  %s\033[0m\n' "$$(date +%T)" "$(1)" >&2

##@ Use

.PHONY: run
run: $(foreach p,$(SERVED),$(call ready,$(p))) $(BUILD)/model ## Set up, start both environments and the gateway, stay until Ctrl-C
	$(say-corpus)
	@exec tools/local/.venv/bin/local --procfile Procfile --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" \
	  --inference-log "$(LOG)" --with-parent $(if $(findstring command,$(origin HOST)),--host "$(HOST)")

# conda and others set HOST for themselves: the gateway listens there only where make itself is told to.
say-corpus = @echo "model: $$(< $(BUILD)/model); corpus: $$(< $(BUILD)/corpus)$$([ ! -e $(BUILD)/trained ] || echo " (CORPUS_DIR= goes back to the SpamAssassin corpus)")$$([ ! -e $(BUILD)/trained-threshold ] || echo "; $$(< $(BUILD)/trained-threshold) (THRESHOLD= goes back to the default)")" >&2

# Of simulate and drift. An empty variable is no choice.
override ENVIRONMENT := $(or $(ENVIRONMENT),staging)
override SPAM := $(or $(SPAM),0.31)
override RATE := $(or $(RATE),100)
override MAILS := $(or $(MAILS),2000)
override LAST := $(or $(LAST),60m)

.PHONY: simulate
simulate: $(call ready,tools/local) $(BUILD)/model ## Send real mail through the running system (SPAM=0.31 RATE=100 MAILS=2000 ENVIRONMENT=staging)
	$(say-corpus)
	@tools/local/.venv/bin/simulate --url "http://127.0.0.1:$${PORT:-8080}" --corpus "$$(< $(BUILD)/corpus)" \
	  --environment $(ENVIRONMENT) --spam $(SPAM) --rate $(RATE) --mails $(MAILS)

.PHONY: screenshots
screenshots: $(call ready,tests/system) $(BROWSER)/.ready ## Pictures of the page that make run serves, wide and narrow, light and dark: build/page-*.png
	@tests/system/.venv/bin/python tests/system/screenshots.py --url "http://127.0.0.1:$${PORT:-8080}" --out $(BUILD)

.PHONY: drift
drift: $(call ready,services/drift) $(BUILD)/baseline.parquet ## Compare the local log with the corpus, write a report (LAST=60m ENVIRONMENT=staging)
	$(say-corpus)
	$(call say,drift-detector)
	@services/drift/.venv/bin/drift-detector --inference-log-uri "$(LOG)" --environment $(ENVIRONMENT) --last $(LAST) \
	  --baseline-uri $(BUILD)/baseline.parquet | tee $(BUILD)/drift.jsonl
	@$(PYTHON) -c 'import json, sys; found = [json.loads(line) for line in sys.stdin][-1]; \
	  print(found["status"] + ":", found["rows"], "mails compared; report:", found["report"])' < $(BUILD)/drift.jsonl

# Scores as the local model gives them to the mails that simulate sends. The baseline in its bundle is right for new mail.
$(BUILD)/baseline.parquet: $(call ready,services/baseline) $(BUILD)/model
	$(call say,baseline)
	@services/baseline/.venv/bin/baseline-generator corpus --corpus "$$(< $(BUILD)/corpus)" --bundle "$$(< $(BUILD)/model)" --out $@.new.parquet
	@mv $@.new.parquet $@

.PHONY: train
train: $(BUILD)/model ## Train and evaluate the model (CORPUS_DIR=… of your own, MAX_FALSE_POSITIVES=0.001 or THRESHOLD=0.9: kept until others are set)
	@echo "bundle: $$(< $(BUILD)/model)"
	$(say-corpus)

# CORPUS_DIR names the mail to evaluate on: the corpus that the model is of stays.
EVALUATION := $(BUILD)/evaluation
.PHONY: evaluate
evaluate: OF_CORPUS := env -u CORPUS_DIR
evaluate: $(call ready,tools/evidence) $(if $(BUNDLE),,$(BUILD)/model) ## Evaluate a model on labelled mail (CORPUS_DIR=… BUNDLE=… COMPARE=another bundle's folder)
	@tools/evidence/.venv/bin/evaluate --corpus "$(or $(CORPUS_DIR),$(error CORPUS_DIR=… says on which labelled mail))" \
	  --bundle "$(or $(BUNDLE),$$(< $(BUILD)/model))" $(if $(COMPARE),--compare "$(COMPARE)") --out $(EVALUATION)

.PHONY: api-key
api-key: $(call ready,services/gateway) ## Make an API key (NAME=shop ENVIRONMENTS=staging,production MAILS_PER_SECOND=50 BURST=100 FILE=keys.json)
	@services/gateway/.venv/bin/gateway api-key --name "$(or $(NAME),$(error NAME=… says whose key it is))" \
	  --environments "$(or $(ENVIRONMENTS),$(error ENVIRONMENTS=… says which ones it may ask))" \
	  $(if $(MAILS_PER_SECOND),--mails-per-second $(MAILS_PER_SECOND)) $(if $(BURST),--burst $(BURST)) $(if $(FILE),--file "$(FILE)")

##@ Check

# Where there is no Go, the helm on the PATH is used.
HELM := $(if $(shell command -v go),$(TOOLS)/bin/helm4)
CHART := charts/model-serving
TESTED := $(PACKAGES) tests/audit tests/bench tests/resilience tests/system
# What tests start and ask. It needs Go; where that is missing, those tests are skipped and say so.
TEST_TOOLS := $(if $(shell command -v go),$(addprefix $(TOOLS)/bin/,versitygw pushgateway helm3 helm4 helm-unittest kubeconform promtool ct))

.PHONY: test
test: $(TEST_TOOLS) $(BROWSER)/.ready $(foreach p,$(TESTED),$(call ready,$(p))) $(BUILD)/model ## Run all tests that need no cluster
	@$(PYTHON) tests/run.py --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --reports $(BUILD)/tests $(TESTED) tests/chart

# Folders whose packages import-linter reads.
SOURCES := $(addsuffix /src,$(PACKAGES) tests/bench tests/resilience)

.PHONY: lint
lint: $(foreach p,$(TESTED),$(call ready,$(p))) $(if $(shell command -v go),$(TOOLS)/bin/actionlint) ## Check style, format, imports, types and workflows
	$(call say,uv lock)
	@for project in . $(ALONE); do $(UV) lock --check --quiet --python $(PYTHON) --project "$$project" || \
	  { echo "$$project/uv.lock does not fit the pyproject.toml files: run make lock"; exit 1; }; done
	$(call say,ruff)
	@tests/system/.venv/bin/ruff check .
	@tests/system/.venv/bin/ruff format --check .
	$(call say,import-linter)
	@PYTHONPATH="$(subst $(space),:,$(SOURCES))" tests/system/.venv/bin/lint-imports --no-cache --no-logo
	@for package in $(PACKAGES); do \
	  printf '\033[1m==> mypy %s\033[0m\n' "$$package"; (cd "$$package" && .venv/bin/mypy src); \
	done
	@if [ -x $(TOOLS)/bin/actionlint ]; then printf '\033[1m==> actionlint\033[0m\n'; $(TOOLS)/bin/actionlint; fi

# The library uses names that uvicorn does not document. What it needs besides is as locked.
.PHONY: test-newest-uvicorn
test-newest-uvicorn: $(UV_READY) | $(BUILD) ## Run the tests of libs/httpserver on the newest uvicorn (asks PyPI)
	@UV_PROJECT_ENVIRONMENT="$(CURDIR)/$(NEWEST_UVICORN)" $(UV) sync --quiet --frozen --package httpserver --python $(PYTHON)
	@$(UV) pip install --quiet --python $(NEWEST_UVICORN) --upgrade-package uvicorn --refresh-package uvicorn uvicorn
	$(call say,pytest libs/httpserver on uvicorn $$($(NEWEST_UVICORN)/bin/python -c 'import uvicorn; print(uvicorn.__version__)'))
	@cd libs/httpserver && "$(CURDIR)/$(NEWEST_UVICORN)/bin/python" -m pytest -q

.PHONY: audit
audit: $(call ready,tests/audit) ## Look for known vulnerabilities of what the lock files pin (asks PyPI; OSV_URL=https://… asks an OSV service)
	$(call say,pip-audit)
	@tests/audit/.venv/bin/python tests/audit/audit.py --uv $(UV) $(if $(OSV_URL),--osv-url "$(OSV_URL)") . $(ALONE)

.PHONY: lint-chart
lint-chart: $(call ready,tests/system) $(TOOLS)/bin/helm4 $(TOOLS)/bin/ct ## Lint the chart with every values file of its ci folder (needs Go)
	$(call say,ct lint)
	@mkdir -p $(TOOLS)/path && ln -sf ../bin/helm4 $(TOOLS)/path/helm
	@PATH="$$PWD/$(TOOLS)/path:$$PWD/tests/system/.venv/bin:$$PATH" $(TOOLS)/bin/ct lint --config tests/chart/ct/ct.yaml

.PHONY: goldens
goldens: $(call ready,tests/system) $(TOOLS)/bin/helm4 ## Write anew what each environment renders to, for review (needs Go)
	@cd tests && system/.venv/bin/python -m chart.golden

.PHONY: golden-features
golden-features: $(call ready,libs/features) ## Write anew what the fixed mails give, after a new SCHEMA_VERSION (UNRELEASED=1: before it is in use)
	@libs/features/.venv/bin/python libs/features/tests/golden.py $(if $(UNRELEASED),--unreleased)

.PHONY: settings-page
settings-page: ## Write docs/settings.md anew from the settings classes
	@$(PYTHON) -E tests/system/settings_page.py

.PHONY: format
format: $(call ready,tests/system) ## Format the Python code
	@tests/system/.venv/bin/ruff check --fix .
	@tests/system/.venv/bin/ruff format .

##@ Document

.PHONY: docs
docs: $(call ready,docs) ## Build the pages as a site, build/docs/site; a broken link fails it
	$(call say,zensical)
	@$(PYTHON) docs/stage.py --out $(BUILD)/docs
	@cd $(BUILD)/docs && "$(CURDIR)/docs/.venv/bin/zensical" build --clean --strict --config-file zensical.toml

.PHONY: pictures
pictures: $(foreach p,$(addprefix services/,predictor transformer gateway drift) tools/evidence,$(call ready,$(p))) $(call ready,tests/system) $(BUILD)/baseline.parquet $(BUILD)/candidate ## Draw the pictures of the pages anew, docs/pictures (needs Chromium)
	@tests/system/.venv/bin/python tests/system/pictures.py --model "$$(< $(BUILD)/model)" --candidate $(BUILD)/candidate \
	  --corpus "$$(< $(BUILD)/corpus)" --baseline $(BUILD)/baseline.parquet --out docs/pictures

# A weaker model of the same mails, so that evidence has a difference to show.
$(BUILD)/candidate: $(call ready,tools/trainer) $(BUILD)/model tests/e2e/weaker.py
	$(call say,a weaker model)
	@rm -rf $@ $@.new
	@tools/trainer/.venv/bin/python tests/e2e/weaker.py coarse --corpus "$$(< $(BUILD)/corpus)" --out $@.new > /dev/null
	@mv $@.new $@

##@ Prove on a cluster

TRAINING := $(shell find tools/trainer/src $(foreach l,features manifest bundle corpus inferencelog,libs/$(l)/src) -name '*.py' -o -name '*.txt' -o -name '*.toml')
E2E := $(BUILD)/e2e

.PHONY: e2e
e2e: $(call ready,tests/system) $(HELM) $(E2E)/models ## Install through Git on the cluster that the environment names, and try everything (after images; E2E_OPTIONS="-k drift" for some)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/system/.venv/bin/python -m pytest -c tests/e2e/pytest.ini --rootdir tests/e2e tests/e2e $(E2E_OPTIONS)

# Four models, and mail that none has seen: `second` and `worse` are weaker than `better` on the same mails.
$(E2E)/models: $(call ready,tools/trainer) $(call ready,tests/system) $(TRAINING) $(BUILD)/corpus $(addprefix tests/e2e/,split.py weaker.py)
	$(call say,models and mail for the cluster)
	@rm -rf $@ $@.new
	@tests/system/.venv/bin/python tests/e2e/split.py --corpus "$$(realpath "$$(< $(BUILD)/corpus)")" --out $(E2E)
	@printf '%s\n' "first few trainer train" "second more python tests/e2e/weaker.py coarse" \
	  "worse more python tests/e2e/weaker.py shuffled" "better more trainer train" | \
	  xargs -L 1 -P 2 bash -c 'tools/trainer/.venv/bin/"$${@:3}" --corpus $(E2E)/corpora/$$2 --out $@.new/$$1 > /dev/null' train
	@mv $@.new $@

# kind and helm at the versions pinned here; where there is no Go, those on the PATH.
KIND_TOOLS := $(if $(shell command -v go),$(TOOLS)/kind/kind $(TOOLS)/kind/helm)
KIND := PATH="$(CURDIR)/$(TOOLS)/kind:$$PATH" tests/e2e/kind/cluster

.PHONY: kind-up
kind-up: $(KIND_TOOLS) ## Bring up a cluster for make e2e with kind (needs Docker and kubectl)
	@$(KIND) up

.PHONY: kind-env
kind-env: ## Print what make images and make e2e read: eval "$(make --silent kind-env)"
	@$(KIND) env

.PHONY: kind-down
kind-down: $(KIND_TOOLS) ## Remove that cluster, and its registry with all images
	@$(KIND) down

.PHONY: state-metrics-image
state-metrics-image: $(TOOLS)/bin/kube-state-metrics | $(BUILD) ## Build kube-state-metrics for a cluster that has none (needs Go)
	@mkdir -p $(E2E)/kube-state-metrics
	@cp $< $(E2E)/kube-state-metrics/
	$(call build-and-push,kube-state-metrics,$(E2E)/kube-state-metrics,tests/e2e/kube-state-metrics/Dockerfile,$(E2E)/kube-state-metrics/image.json)

##@ Measure

.PHONY: bench
bench: $(foreach s,predictor transformer gateway,$(call ready,services/$(s))) $(call ready,tests/bench) $(call ready,tests/bench/mlserver) $(BUILD)/model ## Measure the serving path beside MLServer and the KServe SDK, then what a shadow costs it at full load (needs wrk)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/bench/.venv/bin/python -m bench --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bench.json $(BENCH)
	@$(MAKE) --no-print-directory bench-shadow BENCH_SHADOW="--loads full"

.PHONY: resilience
resilience: $(foreach s,predictor transformer gateway,$(call ready,services/$(s))) $(call ready,tests/resilience) $(BUILD)/model ## Overload, faults, bad input and a soak against the real processes, as checks (75 minutes; RESILIENCE="--parts faults" for some; needs wrk)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/resilience/.venv/bin/python -m resilience --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/resilience.json $(RESILIENCE)

# The suite's name until 0.1, and its variable.
.PHONY: hold
hold: resilience
RESILIENCE ?= $(HOLD)

.PHONY: bench-tracing
bench-tracing: $(foreach s,predictor transformer gateway,$(call ready,services/$(s))) $(call ready,tests/bench) $(BUILD)/model ## Measure what traces of 1 % cost, in turn within the same processes (4 minutes; needs wrk; BENCH_TRACING="--rounds 5" for fewer)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/bench/.venv/bin/python -m bench.tracing --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bench-tracing.json $(BENCH_TRACING)

.PHONY: bench-shadow
bench-shadow: $(foreach s,predictor transformer gateway,$(call ready,services/$(s))) $(call ready,tests/bench) $(BUILD)/model ## Measure what a shadow of all mail costs production, staging up, slow, hung and dead (15 minutes; needs wrk; BENCH_SHADOW="--states up" for some)
	@PATH="$$PWD/$(TOOLS)/bin:$$PATH" tests/bench/.venv/bin/python -m bench.shadow --model "$$(< $(BUILD)/model)" --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bench-shadow.json $(BENCH_SHADOW)

.PHONY: compare-bogofilter
compare-bogofilter: $(call ready,tools/trainer) $(BUILD)/corpus ## Evaluate bogofilter on the model's folds (needs bogofilter)
	@tools/trainer/.venv/bin/trainer compare-bogofilter --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bogofilter.json

.PHONY: bench-drift
bench-drift: $(call ready,tools/trainer) $(call ready,services/drift) $(BUILD)/corpus ## Measure false alarms and detection of the drift detector (20 minutes; BENCH_DRIFT="--null-windows 2000" for fewer)
	@tools/trainer/.venv/bin/python tests/bench/drift/rows.py --corpus "$$(< $(BUILD)/corpus)" --out $(BUILD)/bench-drift
	@services/drift/.venv/bin/python tests/bench/drift/calibrate.py --rows $(BUILD)/bench-drift --out $(BUILD)/bench-drift.json $(BENCH_DRIFT)

.PHONY: bench-drift-hour
bench-drift-hour: $(call ready,services/drift) ## Measure the drift detector's time and memory for an hour of 500,000 mails (after bench-drift)
	@services/drift/.venv/bin/python tests/bench/drift/hour.py --rows $(BUILD)/bench-drift

##@ Release

# Of render, pins and promotions.
ENV ?= staging
FROM_ENV ?= staging
TO_ENV ?= production
LIMIT ?= 60000
RELEASE := tools/release/.venv/bin/release

.PHONY: render
render: $(call ready,tools/release) $(HELM) ## Print an environment's manifests (ENV=staging)
	@$(RELEASE) render $(ENV)

.PHONY: diff
diff: $(call ready,tools/release) $(HELM) | $(BUILD) ## What this branch changes in each environment, as Markdown (BASE=origin/main OUT=file LIMIT=60000)
	@$(RELEASE) diff $(if $(BASE),--base $(BASE)) --limit $(LIMIT) $(if $(OUT),> $(OUT))

.PHONY: pin-model
pin-model: $(call ready,tools/release) ## Pin an uploaded bundle (ENV=staging URI=s3://…/version BUNDLE=folder or MANIFEST=model.json; OFFLINE=1 does not look there)
	@$(RELEASE) pin-model --environment $(ENV) --uri "$(or $(URI),$(error URI=s3://… says where the bundle was uploaded))" \
	  $(if $(MANIFEST),--manifest "$(MANIFEST)",--bundle "$(or $(BUNDLE),$(shell cat $(BUILD)/model 2>/dev/null))") $(if $(OFFLINE),--offline)

.PHONY: pin-images
pin-images: $(call ready,tools/release) ## Pin pushed images (ENV=staging FROM=build/images or IMAGES="gateway=sha256:… …")
	@$(RELEASE) pin-images --environment $(ENV) $(if $(FROM),--from "$(FROM)") $(IMAGES)

# Staging's and production's bundles, folders instead of those that the release files pin; how far back mail is compared.
CANDIDATE_BUNDLE ?=
PRODUCTION_BUNDLE ?=
EVIDENCE_LAST ?= 7d
EVIDENCE := $(BUILD)/evidence

.PHONY: evidence
evidence: $(call ready,tools/evidence) ## Whether staging's model may take production's place (INFERENCE_LOG_URI=s3://… PROMETHEUS_URL=http://… EVALUATE_ON=labelled mail)
	@tools/evidence/.venv/bin/evidence --from $(FROM_ENV) --to $(TO_ENV) --last $(EVIDENCE_LAST) --out $(EVIDENCE) \
	  --inference-log-uri "$(or $(INFERENCE_LOG_URI),$(LOG))" --prometheus-url "$(PROMETHEUS_URL)" \
	  $(if $(EVALUATE_ON),--evaluate-on "$(EVALUATE_ON)") $(if $(EVALUATED),--evaluated "$(EVALUATED)") \
	  $(if $(CANDIDATE_BUNDLE),--candidate "$(CANDIDATE_BUNDLE)") $(if $(PRODUCTION_BUNDLE),--production "$(PRODUCTION_BUNDLE)")

# make hands the reason on in the environment: in the command's text the shell would read it.
.PHONY: promote
promote: $(call ready,tools/release) $(HELM) ## Commit staging's release as production's (DRY_RUN=1 only shows it; after evidence, or WITHOUT_EVIDENCE="reason")
	@$(RELEASE) promote --from $(FROM_ENV) --to $(TO_ENV) --models $(MODELS) --evidence $(EVIDENCE)/evidence.json \
	  $(if $(filter-out undefined,$(origin WITHOUT_EVIDENCE)),--without-evidence "$$WITHOUT_EVIDENCE") $(if $(DRY_RUN),--dry-run)

# Images. Their builder is Docker with buildx; their names are REGISTRY/service.
REGISTRY ?= $(or $(IMAGE_REGISTRY),registry.example.com)/model-serving
# By digest. A builder of one's own has a base of its own, under the tag alone; BASE_IMAGE names another for any of them.
PINNED_IMAGE := $(shell sed -n 's/^FROM //p' services/base.Dockerfile)
PYTHON_IMAGE := $(firstword $(subst @, ,$(PINNED_IMAGE)))
BASE_IMAGE ?= $(if $(filter docker buildah,$(BUILDER)),$(PINNED_IMAGE),$(PYTHON_IMAGE))
digest_of = $(PYTHON) -c 'import json, sys; print(json.load(sys.stdin)["containerimage.digest"])' < $(BUILD)/images/$(1).json

.PHONY: image
image: | $(BUILD) ## Build an image (SERVICE=gateway); with PUSH=1 push it to REGISTRY with SBOM and provenance
	@mkdir -p $(BUILD)/images
	SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" docker buildx build --file "services/$(SERVICE)/Dockerfile" \
	  --tag "$(REGISTRY)/$(SERVICE):$$(git rev-parse --short=12 HEAD)" --metadata-file "$(BUILD)/images/$(SERVICE).json" \
	  --build-arg UV_VERSION=$(UV_VERSION) --build-arg "BASE=$(BASE_IMAGE)" \
	  --build-arg "REVISION=$$(git rev-parse HEAD)" --build-arg "SOURCE=$$(git config remote.origin.url | sed -E 's#//[^/@]*@#//#')" \
	  $(if $(PUSH),--push --sbom=true --provenance=mode=max,--load) .

# Docker, buildah, or a command COMMAND NAME:TAG CONTEXT DOCKERFILE [OPTIONS] that knows its registry and prints the image
# by digest as its last line.
BUILDER ?= $(if $(shell command -v docker),docker,buildah)

# Of a name, a context, a Dockerfile, the file for its digest, and options: builds and pushes.
define build-and-push
	@buildah() { \
	  command buildah bud --layers --tag "$(REGISTRY)/$$1" --file "$$3" "$${@:4}" "$$2" >&2; \
	  command buildah push --quiet --digestfile $(BUILD)/digest "$(REGISTRY)/$$1"; \
	  echo "$(REGISTRY)/$${1%:*}@$$(< $(BUILD)/digest)"; \
	}; \
	name="$(if $(filter buildah,$(BUILDER)),,$(notdir $(REGISTRY))/)$(1):$$(git rev-parse --short=12 HEAD)"; \
	built="$$($(BUILDER) "$$name" $(2) $(3) $(5) | tail -n 1)"; \
	[[ "$$built" == *@sha256:* ]] || { echo "$(BUILDER) named no digest of $(1), but: $$built"; exit 1; }; \
	echo "{\"containerimage.digest\": \"$${built##*@}\"}" > $(4); \
	echo "$$built"
endef

.PHONY: images
images: $(SERVICES:%=image-of-%) ## Build and push all images to REGISTRY by Docker, buildah or BUILDER; digests go to build/images

.PHONY: $(SERVICES:%=image-of-%)
$(SERVICES:%=image-of-%): image-of-%: | $(BUILD)
	$(call say,image $*)
	@mkdir -p $(BUILD)/images
ifeq ($(BUILDER),docker)
	@$(MAKE) --no-print-directory image SERVICE=$* PUSH=1
else
	$(call build-and-push,$*,.,services/$*/Dockerfile,$(BUILD)/images/$*.json,--build-arg "BASE=$(BASE_IMAGE)" --build-arg UV_VERSION=$(UV_VERSION) --build-arg "REVISION=$$(git rev-parse HEAD)")
endif

.PHONY: base-image
base-image: ## Print the newest base image by digest, for services/base.Dockerfile (needs its registry)
	@echo "$(PYTHON_IMAGE)@$$(docker buildx imagetools inspect $(PYTHON_IMAGE) --format '{{.Manifest.Digest}}')"

.PHONY: image-digest
image-digest: ## Print the digest of a pushed image (SERVICE=gateway)
	@$(call digest_of,$(SERVICE))

.PHONY: pinned-image
pinned-image: $(call ready,tools/release) ## Print the image that an environment pins (ENV=staging SERVICE=gateway)
	@$(RELEASE) pins $(ENV) | while read -r service digest; do \
	  if [ "$$service" = "$(SERVICE)" ]; then echo "$(REGISTRY)/$$service@$$digest"; fi; \
	done

.PHONY: sign-image
sign-image: ## Sign a pushed image as who runs this (SERVICE=gateway; needs cosign)
	@cosign sign --yes "$(REGISTRY)/$(SERVICE)@$$($(call digest_of,$(SERVICE)))"

.PHONY: verify-images
verify-images: $(call ready,tools/release) ## Check who signed the images that an environment pins (ENV=staging SIGNER=workflow's URL; needs cosign)
	@$(RELEASE) pins $(ENV) | while read -r service digest; do \
	  cosign verify --certificate-identity "$(or $(SIGNER),$(error SIGNER=https://… says which workflow must have signed))" \
	    --certificate-oidc-issuer https://token.actions.githubusercontent.com "$(REGISTRY)/$$service@$$digest" > /dev/null; \
	  echo "$$service: signed by $(SIGNER)"; \
	done

##@ Keep

.PHONY: lock
lock: $(UV_READY) ## Bring the lock files up to date with the pyproject.toml files, and change no version without need
	@for project in . $(ALONE); do $(UV) lock --python $(PYTHON) --project "$$project"; done

.PHONY: upgrade
upgrade: $(UV_READY) ## Write the lock files anew, with the newest versions that fit
	@for project in . $(ALONE); do $(UV) lock --upgrade --python $(PYTHON) --project "$$project"; done

.PHONY: clean
clean: ## Remove what make has set up and built
	rm -rf $(BUILD) $(TOOLS) $(PROJECTS:%=%/.venv)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: PORT (8080), PREDICTOR_STAGING_PORT … TRANSFORMER_PRODUCTION_PORT (8081-8084),\n  CORPUS_DIR (your own labelled mail: folders, mailboxes or tables), PYTHON (a Python 3.11), BENCH (options of the benchmark, such as --rounds 1)\n'

# ---------------------------------------------------------------------------------------------
# Set-up, each step once.

# What is there but is not what it was made to be (moved, made by another Python, something of it gone) is made again.
STALE := $(shell $(PYTHON) -E setup/once.py stale $(TOOLS)/uv/.ready $(BROWSER)/.ready $(PROJECTS:%=%/.venv/.ready) $(wildcard $(TOOLS)/stamps/*) 2>/dev/null)
$(STALE): FORCE

$(UV_READY):
	$(once) --stamp $@ --what "uv $(UV_VERSION)" --remove $(TOOLS)/uv --venv $(TOOLS)/uv --makes $(UV) -- \
	  bash -euc '"$$0" -m venv $(TOOLS)/uv; $(TOOLS)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	    mkdir -p $(TOOLS)/bin; ln -sfn ../uv/bin/uv $(UV)' {python}

# Tools written in Go: name -> package@version.
versitygw := github.com/versity/versitygw/cmd/versitygw@v1.0.14
helm3 := helm.sh/helm/v3/cmd/helm@v3.22.0
helm4 := helm.sh/helm/v4/cmd/helm@v4.3.1
helm-unittest := github.com/helm-unittest/helm-unittest/cmd/helm-unittest@v1.0.0
kubeconform := github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
promtool := github.com/prometheus/prometheus/cmd/promtool@v0.316.0
actionlint := github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
kind := sigs.k8s.io/kind@v0.33.0
GO_TOOLS := versitygw helm3 helm4 helm-unittest kubeconform promtool actionlint kind

# Into a folder of its own first: two versions of helm are both called helm.
$(GO_TOOLS:%=$(TOOLS)/bin/%): $(TOOLS)/bin/%: | $(UV_READY)
	$(once) --stamp $(TOOLS)/stamps/$* --what "$* from $($*)" --makes $@ --remove $(TOOLS)/go/$* -- \
	  bash -euc 'GOBIN="$$PWD/$(TOOLS)/go/$*" go install $($*); mkdir -p $(@D); mv "$(TOOLS)/go/$*/"* $@'

# For the tests of the page. They need a Chromium besides, and are skipped where there is none.
$(BROWSER)/.ready: $(addprefix setup/browser/,package.json package-lock.json) | $(UV_READY)
	$(once) --stamp $@ --what "axe for the tests of the page" --remove $(@D) --makes $(@D)/node_modules/axe-core/package.json \
	  --inputs setup/browser/package.json --inputs setup/browser/package-lock.json -- \
	  bash -euc 'mkdir -p $(@D); cp $(filter setup/%,$^) $(@D); cd $(@D); npm ci --include=prod --ignore-scripts --no-audit --no-fund --loglevel=error'

# By the names that a script calls them.
$(TOOLS)/kind/kind: $(TOOLS)/bin/kind
$(TOOLS)/kind/helm: $(TOOLS)/bin/helm3
$(TOOLS)/kind/kind $(TOOLS)/kind/helm:
	@mkdir -p $(@D) && ln -sf ../bin/$(<F) $@

# Those that cannot be installed by a version alone have a module that pins them and all they need.
MODULE_TOOLS := $(notdir $(wildcard setup/tools/*))
$(MODULE_TOOLS:%=$(TOOLS)/bin/%): $(TOOLS)/bin/%: setup/tools/%/go.mod | $(UV_READY)
	$(once) --stamp $(TOOLS)/stamps/$* --what "$*" --makes $@ --inputs $< --inputs $(<D)/go.sum -- \
	  bash -euc 'new="$$PWD/$@.new"; mkdir -p $(@D); (cd $(<D); CGO_ENABLED=0 go build -o "$$new" tool); mv "$$new" $@'

# Compiled at once: otherwise five processes would compile the same libraries at their first start, or at each.
$(patsubst %,%/.venv/.ready,$(filter-out $(ALONE),$(PROJECTS))): uv.lock
$(ALONE:%=%/.venv/.ready): %/.venv/.ready: %/uv.lock
%/.venv/.ready: private export UV_PROJECT_ENVIRONMENT = $(CURDIR)/$(@D)
%/.venv/.ready: %/pyproject.toml | $(UV_READY)
	$(once) --stamp $@ --what "environment of $*" --remove $*/.venv --keep --venv $*/.venv \
	  $(addprefix --inputs ,$(filter %.toml %.lock,$^)) -- \
	  $(UV) sync --quiet --frozen --compile-bytecode --python {python} $(if $(filter $(ALONE),$*),--project $*,--package $(notdir $*))

$(BUILD):
	@mkdir -p $@

# Rewritten only when the folder or something in it changes: that trains anew, and nothing else does. The corpus that was
# trained on stays until another is named.
$(BUILD)/corpus: $(call ready,tools/trainer) FORCE | $(BUILD)
	$(once) --stamp $@ --plain --what "the corpus" -- \
	  $(OF_CORPUS) tools/trainer/.venv/bin/trainer corpus --cache $(CORPORA) --trained $(BUILD)/trained --note $@

# The file names the bundle, of which somebody may have removed something.
TRAINED := $(shell $(PYTHON) -E setup/once.py bundle $(BUILD)/model 2>/dev/null)

$(BUILD)/model: $(TRAINING) $(BUILD)/corpus $(BUILD)/threshold $(if $(TRAINED),,FORCE)
	$(once) --stamp $@ --plain --shared --say --what "the model" --stdout $@ -- \
	  tools/trainer/.venv/bin/trainer train --corpus-file $(BUILD)/corpus --trained $(BUILD)/trained \
	  --threshold-file $(BUILD)/threshold --trained-threshold $(BUILD)/trained-threshold --out $(MODELS)

# Rewritten only when the choice changes. The choice that was trained with stays until another is made.
$(BUILD)/threshold: $(call ready,tools/trainer) FORCE | $(BUILD)
	$(once) --stamp $@ --plain --what "the threshold" -- \
	  tools/trainer/.venv/bin/trainer threshold --trained $(BUILD)/trained-threshold --note $@

.PHONY: FORCE
FORCE:
