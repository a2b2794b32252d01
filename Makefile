# All commands of the platform. `make` lists them.
PYTHON ?= python3
VENV := .venv/bin
UV_VERSION := 0.13.9
# Like pip, it trusts the machine's certificates: some networks have one of their own.
UV := $(VENV)/uv --system-certs

# Created by the last step of its recipe, so that an interrupted setup is repeated.
ENVIRONMENT := .venv/.complete
JARS := flink/target/jars/.complete
JUPYTER := .venv-notebook/.complete

LOCAL = $(VENV)/python -m local
DEMO = $(VENV)/python -m demo
# Runs a command in the environment of the platform's Airflow.
INSIDE = environment=$$($(LOCAL) env) && eval "$$environment" &&
LAKEHOUSE = $(INSIDE) python -m lakehouse
# A command that needs no platform and works before the first `make up`.
OFFLINE = PYTHONPATH=plugins AIRFLOW_HOME="$$PWD/.venv/airflow" $(VENV)/python -m lakehouse
# Commands receive what a person typed through the environment, so that neither make nor the shell interprets it.
GIVEN := AT BATCH ENGINE EVENTS FAULTS FILE FROM KEY LIMIT MINUTES MODE NAME OPERATION PICKUP_FROM PICKUP_TO PIPELINE RATE \
	REASON SEED SEQUENCES SERVICE SOURCE SQL STAGE TABLE THRESHOLDS TIME WHERE
$(foreach name,$(GIVEN),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))
argument = "$$$(1)"
option = $${$(1):+--$(2)=$(argument)}
OF_PIPELINE = $(call option,PIPELINE,pipeline)
yes = $(filter 1 y yes,$(1))
# All files and folders below one; folders, because removing a file changes them.
below = $(foreach path,$(wildcard $(1)/*),$(path) $(call below,$(path)))
# Commands that need a setup say so if there is none.
LOCAL_COMMANDS := down status logs clean env generate send process health ledger audit \
	dbt-deps dbt-build dbt-test dbt-docs query rejects rejects-replay acknowledge-loss erase \
	history snapshots files table-size query-at maintenance

LINTS := lint-python lint-types lint-java lint-sql lint-spelling lint-schemas lint-notebooks

.DEFAULT_GOAL := help
.PHONY: help setup set-up-before demo notebook up check test test-java test-python test-long test-all lint $(LINTS) format regenerate bench chaos lock pipelines new-pipeline compose-up \
	compose-down compose-demo compose-backup compose-restore test-compose $(LOCAL_COMMANDS)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2} /^##@ / {print "\n" substr($$0, 5)}' \
		$(MAKEFILE_LIST)

$(LOCAL_COMMANDS): | set-up-before

set-up-before:
	@test -e $(ENVIRONMENT) || { echo "Nothing is set up here yet: make demo (or make up)" >&2; exit 1; }

##@ Start here
demo: setup ## Start everything, send 10,000 taxi trips through it, show the result (SOURCE=file EVENTS=n SEED=n PICKUP_FROM=auto|time PICKUP_TO=time)
	@$(DEMO) $(call option,SOURCE,source) $(call option,EVENTS,events) $(call option,SEED,seed) \
		$(call option,PICKUP_FROM,pickup-from) $(call option,PICKUP_TO,pickup-to)

# The kernel is that of .venv. Commands in its cells are not part of this make, so they do not get its flags.
notebook: setup $(JUPYTER) ## Open a walk through the running platform in JupyterLab, which is installed at first
	@$(LOCAL) status > /dev/null
	@$(INSIDE) env -u MAKEFLAGS -u MAKELEVEL $(dir $(JUPYTER))bin/jupyter-lab --allow-root --ServerApp.ip=127.0.0.1 \
		--ServerApp.root_dir="$$PWD" --LabApp.default_url=/lab/tree/notebooks/walkthrough.ipynb \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

$(JUPYTER): notebooks/requirements.lock | $(ENVIRONMENT)
	@echo "JupyterLab: making .venv-notebook from notebooks/requirements.lock (half a minute)"
	@$(PYTHON) -m venv .venv-notebook
	@$(UV) pip sync --python .venv-notebook/bin/python --require-hashes notebooks/requirements.lock
	@JUPYTER_PATH="$$PWD/.venv-notebook/share/jupyter" $(VENV)/python -m ipykernel install --prefix .venv-notebook > /dev/null
	@touch $@

PYTEST = $(VENV)/python -m pytest --numprocesses 2

check: lint ## Lint, type-check, and run the unit and DAG tests, in a few minutes; starts no service (ARGS=pytest arguments)
	@$(PYTEST) -m 'not long and not service' tests/unit tests/dags $(ARGS)

test: lint ## The same, plus Java and Gold tests, and the main integration tests on a separate platform (ARGS=pytest arguments)
	@$(MAKE) --no-print-directory --jobs 2 test-java test-python
	@$(if $(ARGS),,$(VENV)/python -m pytest -m 'not long' tests/platform)

test-java: setup
	@mvn --batch-mode --quiet --file flink/pom.xml test

test-python: setup
	@$(PYTEST) -m 'not long' $(or $(ARGS),--ignore tests/platform)

test-long: setup ## What `make test` leaves out: upgrades, replay, faults, every variant of a rule (ARGS=pytest arguments)
	@$(PYTEST) -m long $(ARGS)

test-all: test test-long ## All tests except those on containers

setup: $(ENVIRONMENT) $(JARS) ## Install the pinned Python environment and jars, if they are not there yet

$(ENVIRONMENT): requirements.lock
	@$(PYTHON) local/check_machine.py
	@echo "Python environment: making .venv from requirements.lock (a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip sync --python $(VENV)/python --require-hashes requirements.lock
	@touch $@

$(JARS): $(wildcard flink/pom.xml flink/*/pom.xml) $(foreach sources,$(wildcard flink/*/src/main flink/*/src/flink-2/java),$(call below,$(sources))) | $(ENVIRONMENT)
	@$(PYTHON) local/check_machine.py
	@echo "Jars: Flink's, Kafka's and the registry's by Maven (a minute or two)"
	@rm -rf flink/target flink/*/target
	@mvn --batch-mode --quiet --file flink/pom.xml package -Dmaven.test.skip
	@touch $@

##@ The platform
up: setup ## Start the platform and wait until it is healthy
	@$(LOCAL) up

down: ## Stop the platform; data is kept
	@$(LOCAL) down

status: ## Show each service's state, pid, port, memory and log file
	@$(LOCAL) status

logs: ## Show the last log lines (SERVICE=kafka for one service, FOLLOW=1 to keep following)
	@$(LOCAL) logs $${SERVICE:+"$$SERVICE"} $(if $(call yes,$(FOLLOW)),--follow)

clean: ## Delete the platform's data (YES=1 to skip the question)
	@$(LOCAL) clean $(if $(call yes,$(YES)),--yes)

env: ## Print Airflow's environment, for a shell: eval "$(make -s env)"
	@$(LOCAL) env

##@ Your data
pipelines: setup ## List the declared pipelines, and errors in declarations
	@$(OFFLINE) pipelines

new-pipeline: setup ## Generate a pipeline from a sample of its events (NAME= FROM=events.jsonl|csv|parquet KEY=field,field TIME=field)
	@$(OFFLINE) new-pipeline $(call option,KEY,key) $(call option,TIME,time) -- $(call argument,NAME) $(call argument,FROM)

send: ## Send a file's events to a pipeline's topic, after checking them against its contract (NAME= FILE=)
	@$(LAKEHOUSE) send -- $(call argument,NAME) $(call argument,FILE)

regenerate: setup ## Update a pipeline's dbt source and manifest, and docs/tables.md, after a change of contract or models (PIPELINE=)
	@$(OFFLINE) regenerate $(OF_PIPELINE)

##@ Streaming
generate: ## Send taxi trips (EVENTS=10000 MODE=burst|batch|realtime RATE=n SEED=n SOURCE=file)
	@$(INSIDE) python -m taxi_generator $(call option,EVENTS,events) $(call option,MODE,mode) \
		$(call option,RATE,rate) $(call option,SEED,seed) $(call option,SOURCE,source)

process: ## Create topics and tables and deploy the Flink jobs, without Airflow's scheduler (PIPELINE= STAGE=)
	@$(LAKEHOUSE) process $(OF_PIPELINE) $(call option,STAGE,stage)

health: ## Show each streaming job's state, checkpoints, lag and commits, and why it is unhealthy (PIPELINE=)
	@$(LAKEHOUSE) health $(OF_PIPELINE)

##@ Gold (PIPELINE= when more than one is enabled)
dbt-deps: ## Confirm that no dbt packages are needed
	@$(LAKEHOUSE) $@ $(OF_PIPELINE)

dbt-build: ## Build, test and publish Gold without Airflow
	@$(LAKEHOUSE) $@ $(OF_PIPELINE)

dbt-test: ## Run all dbt tests on a copy of the published Gold
	@$(LAKEHOUSE) $@ $(OF_PIPELINE)

dbt-docs: ## Generate Gold's documentation as one HTML page
	@$(LAKEHOUSE) $@ $(OF_PIPELINE)

query: ## Query the published Gold (SQL="select ..." PIPELINE=)
	@$(LAKEHOUSE) query $(OF_PIPELINE) -- $(call argument,SQL)

##@ Quality
ledger: ## Count rows from the topic to Gold: is every Kafka offset accounted for? (PIPELINE=)
	@$(LAKEHOUSE) ledger $(OF_PIPELINE)

audit: ## Compare every stage with its source, value by value (PIPELINE= ARGS='--partition 0 --at-rest --json')
	@$(LAKEHOUSE) audit $(OF_PIPELINE) $(ARGS)

SELECTION = $(OF_PIPELINE) $(call option,STAGE,stage) $(call option,REASON,reason) $(call option,FILE,file)

rejects: ## Count rejected events by reason and show the first ones (PIPELINE= STAGE= REASON=text LIMIT=n), or write them to FILE= for fixing
	@$(LAKEHOUSE) rejects $(SELECTION) $(call option,LIMIT,limit)

acknowledge-loss: ## Accept the loss of events that Kafka deleted before they were read, so that Gold is built again (PIPELINE=)
	@$(LAKEHOUSE) acknowledge-loss $(OF_PIPELINE)

erase: ## Erase rows from all tables (TABLE=bronze.raw_trips WHERE="VendorID = '7'" REASON=text DRY_RUN=1 YES=1)
	@$(LAKEHOUSE) erase $(call option,REASON,reason) $(if $(call yes,$(YES)),--yes) \
		$(if $(call yes,$(DRY_RUN)),--dry-run) -- $(call argument,TABLE) $(call argument,WHERE)

rejects-replay: ## Send fixed events (FILE=), or rejected ones unchanged (STAGE= REASON=), each once (PIPELINE= DRY_RUN=1)
	@$(LAKEHOUSE) rejects-replay $(SELECTION) $(if $(call yes,$(DRY_RUN)),--dry-run)

##@ Tables
QUESTION = $(LAKEHOUSE) $@ $(call option,LIMIT,limit) $(if $(call yes,$(FLINK)),--flink) -- $(call argument,TABLE)

history: ## Show when each snapshot of a table became current (TABLE=bronze.raw_trips LIMIT=n, FLINK=1 to use Flink SQL)
	@$(QUESTION)

snapshots: ## Show what each commit to a table did (TABLE= LIMIT= FLINK=1)
	@$(QUESTION)

files: ## Show the files of a table, smallest first (TABLE= LIMIT= FLINK=1)
	@$(QUESTION)

table-size: ## Count files, rows and bytes of a table (TABLE= FLINK=1)
	@$(QUESTION)

query-at: ## Query a table as of a time or snapshot (TABLE= AT=2026-01-01T00:00:00Z|snapshot SQL="select ... from {table}" ENGINE=duckdb|pyiceberg|flink)
	@$(LAKEHOUSE) query-at $(call option,SQL,sql) $(call option,ENGINE,engine) -- $(call argument,TABLE) $(call argument,AT)

maintenance: ## Show what maintenance each table needs (PIPELINE=), or run it now (TABLE= OPERATION=expire_snapshots|... DRY_RUN=1 THRESHOLDS='{...}' BATCH=)
	@$(LAKEHOUSE) maintenance $(OF_PIPELINE) $(call option,TABLE,table) $(call option,OPERATION,operation) \
		$(if $(call yes,$(DRY_RUN)),--dry-run) $(call option,THRESHOLDS,thresholds) \
		$(call option,BATCH,batch) $(if $(call yes,$(IGNORE_UNKNOWN_POSITIONS)),--ignore-unknown-positions)

##@ On containers
COMPOSE = docker compose $(COMPOSE_FILES)

compose-up: ## Start the platform with Docker Compose: generate passwords (.env), build, wait until it is healthy
	@$(PYTHON) -m compose.secrets
	@$(COMPOSE) build --quiet
	@$(COMPOSE) up --detach --wait --wait-timeout 600

compose-down: ## Stop it; volumes are kept
	@$(COMPOSE) --profile '*' down

compose-demo: compose-up ## Start it, send 10,000 taxi trips through it, show the result (EVENTS=n SEED=n)
	@$(COMPOSE) run --rm demo $(call option,EVENTS,events) $(call option,SEED,seed)

compose-backup: ## Back up everything that has state to ./backups/<time> while it runs (docs/backup.md)
	@$(PYTHON) -m compose.backup create $(COMPOSE_FILES)

compose-restore: ## Start a platform from a backup where there is none yet (FROM=backups/<time>)
	@$(PYTHON) -m compose.backup restore $(COMPOSE_FILES) --backup=$(call argument,FROM)

test-compose: setup ## Test it on separate containers (needs Docker, root and debootstrap: tests/compose/README.md)
	@$(VENV)/python -m pytest --override-ini 'addopts=-ra --durations=10' --timeout 1800 tests/compose

##@ Development
lint: $(LINTS) ## Check style, types and spelling, and the files of GitHub and Compose against their schemas

lint-python: setup
	@$(VENV)/ruff check --quiet .
	@$(VENV)/ruff format --check --quiet .

lint-types: setup
	@$(VENV)/mypy --no-error-summary

lint-java:
	@mvn --batch-mode --quiet --file flink/pom.xml spotless:check

lint-sql: setup
	@$(VENV)/sqlfluff lint --quiet --disable-progress-bar include/dbt
	@PYTHONPATH=plugins AIRFLOW_HOME="$$PWD/.venv/airflow" $(VENV)/python tests/lint_flink_sql.py

lint-spelling: setup
	@$(VENV)/codespell

NOTEBOOKS := $(wildcard notebooks/*.ipynb)
STRIP := $(VENV)/nbstripout --keep-id

# Says something only when a file does not fit: with --quiet it would not say why.
fits = @errors=$$($(VENV)/check-jsonschema --builtin-schema $(1)) || { echo "$$errors"; exit 1; }
lint-schemas: setup
	$(call fits,vendor.github-workflows .github/workflows/*.yaml)
	$(call fits,custom.github-workflows-require-timeout .github/workflows/*.yaml)
	$(call fits,vendor.github-actions .github/actions/*/action.yaml)
	$(call fits,vendor.dependabot .github/dependabot.yml)
	$(call fits,vendor.compose-spec docker-compose.yaml tests/compose/docker-compose.override.yaml)

lint-notebooks: setup
	@$(STRIP) --verify $(NOTEBOOKS) || { echo "outputs of cells are not committed. Next: make format" >&2; exit 1; }

format: setup ## Format Python and Java, fix what the linter can fix, and remove the outputs of notebooks
	@$(VENV)/ruff check --fix --quiet .
	@$(VENV)/ruff format --quiet .
	@mvn --batch-mode --quiet --file flink/pom.xml spotless:apply
	@$(STRIP) $(NOTEBOOKS)

bench: setup ## Measure the figures in docs/figures.md on a separate platform (run nothing else at the same time)
	@rm -rf .local-bench
	@LAKEHOUSE_HOME="$$PWD/.local-bench" PORT_BASE=27000 $(DEMO) bench

chaos: setup ## Inject faults into a separate platform under load, and count every row (FAULTS=words SEQUENCES=n SEED=n RATE=n MINUTES=n)
	@PYTHONPATH=.:plugins:tests $(VENV)/python -m chaos $(call option,FAULTS,faults) $(call option,SEED,seed) \
		$(call option,RATE,rate) $(call option,SEQUENCES,sequences) $(call option,MINUTES,minutes)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

lock: setup ## Write requirements.lock from the three requirements.txt files, and that of JupyterLab from its own
	@$(COMPILE) --output-file requirements.lock requirements.txt local/requirements.txt tests/requirements.txt
	@$(COMPILE) --output-file notebooks/requirements.lock notebooks/requirements.txt
