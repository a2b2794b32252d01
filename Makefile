# Every verb of the platform. `make` alone lists them.
PYTHON ?= python3
VENV := .venv/bin
UV_VERSION := 0.13.9
# Like pip, it trusts the certificates that the machine trusts: some networks have one of their own.
UV := $(VENV)/uv --system-certs

# Each is made when the last step of its recipe is: an interrupted setup is done again.
ENVIRONMENT := .venv/.complete
JARS := flink/target/jars/.complete

# A command in the environment of the platform's Airflow.
LOCAL = $(VENV)/python -m local
INSIDE = environment=$$($(LOCAL) env) && eval "$$environment" &&
# All files and folders below one: what is taken away counts too.
below = $(foreach path,$(wildcard $(1)/*),$(path) $(call below,$(path)))
# Verbs that make no sense before the first setup say so.
LOCAL_VERBS := down status logs clean env create-topics generate process process-bronze process-silver \
	dbt-deps dbt-build dbt-test dbt-docs query ledger health audit rejects rejects-replay \
	history snapshots files table-size query-at maintenance
# The DAG, run here but for the tasks that a pattern names.
JOBS_WITHOUT = $(INSIDE) airflow dags test flink_jobs --mark-success-pattern

.DEFAULT_GOAL := help
.PHONY: help setup set-up-before demo up test lint format bench chaos lock compose-up compose-down compose-demo compose-backup compose-restore test-compose $(LOCAL_VERBS)

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2} /^##@ / {print "\n" substr($$0, 5)}' \
		$(MAKEFILE_LIST)

$(LOCAL_VERBS): | set-up-before

set-up-before:
	@test -e $(ENVIRONMENT) || { echo "Nothing is set up here yet: make demo (or make up)" >&2; exit 1; }

##@ Start here
demo: setup ## Start everything, send 10,000 trips through it, show what came of them (SOURCE=file EVENTS=n SEED=n)
	@$(LOCAL) demo $(if $(SOURCE),--source '$(SOURCE)') $(if $(EVENTS),--events $(EVENTS)) $(if $(SEED),--seed $(SEED))

test: setup ## Lint, unit tests, DAG tests, and integration tests on a platform of their own
	@$(MAKE) --no-print-directory lint
	@$(VENV)/python -m pytest --numprocesses 2 $(ARGS)
	@mvn --batch-mode --quiet --file flink/pom.xml test

setup: $(ENVIRONMENT) $(JARS) ## Get the pinned Python environment and jars, when they are not there yet

$(ENVIRONMENT): requirements.lock
	@$(PYTHON) local/preflight.py
	@echo "Python environment: making .venv from requirements.lock (a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip sync --python $(VENV)/python --require-hashes requirements.lock
	@touch $@

$(JARS): flink/pom.xml $(call below,flink/src/main) | $(ENVIRONMENT)
	@$(PYTHON) local/preflight.py
	@echo "Jars: Flink's, Kafka's and the registry's by Maven (a minute or two)"
	@rm -rf flink/target
	@mvn --batch-mode --quiet --file flink/pom.xml package -DskipTests
	@touch $@

##@ The platform
up: setup ## Start the platform, and wait until it is healthy
	@$(LOCAL) up

down: ## Stop the platform; its data is kept
	@$(LOCAL) down

status: ## State, pid, port, memory and log file of each part
	@$(LOCAL) status

logs: ## Last lines of the logs (PART=kafka for one, FOLLOW=1 to go on)
	@$(LOCAL) logs $(PART) $(if $(FOLLOW),--follow)

clean: ## Delete the platform's data (asks; YES=1 does not)
	@$(LOCAL) clean $(if $(filter 1 y yes,$(YES)),--yes)

env: ## Print the environment of Airflow, for `eval` in a shell
	@$(LOCAL) env

##@ Streaming
create-topics: ## Create the Kafka topic where it is missing
	@$(JOBS_WITHOUT) '(?!create_topic$$).*'

generate: ## Send trips (EVENTS=10000 MODE=burst|batch|realtime RATE=n SEED=n SOURCE=file)
	@$(INSIDE) python -m taxi_generator $(if $(EVENTS),--events $(EVENTS)) $(if $(MODE),--mode $(MODE)) \
		$(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED)) $(if $(SOURCE),--source '$(SOURCE)')

process-bronze: ## Deploy the Flink job Kafka -> Bronze, when it does not run as declared
	@$(JOBS_WITHOUT) 'deploy_silver|check_health'

process-silver: ## Deploy the Flink job Bronze -> Silver, likewise
	@$(JOBS_WITHOUT) 'deploy_bronze|check_health'

process: ## Everything that the streaming side needs: the DAG flink_jobs, run here
	@$(INSIDE) airflow dags test flink_jobs

health: ## Each streaming job: state, checkpoints, lag by partition, commits, and why it is unhealthy
	@$(INSIDE) python -m lakehouse health

##@ Gold
dbt-deps: ## Show that no dbt package is needed
	@$(INSIDE) python -m lakehouse dbt-deps

dbt-build: ## Build and test Gold from Silver, and publish it, without Airflow
	@$(INSIDE) python -m lakehouse dbt-build

dbt-test: ## Run every dbt test on a copy of the published Gold
	@$(INSIDE) python -m lakehouse dbt-test

dbt-docs: ## Write Gold's documentation as one HTML page
	@$(INSIDE) python -m lakehouse dbt-docs

query: ## Ask the published Gold (SQL="select ...")
	@$(INSIDE) python -m lakehouse query "$(SQL)"

ledger: ## Rows by layer: is every Kafka offset accounted for?
	@$(INSIDE) python -m lakehouse ledger

audit: ## Count and compare every row of every layer again (ARGS='--partition 0 --at-rest --json')
	@$(INSIDE) python -m lakehouse audit $(ARGS)

##@ Rejected events
SELECTION = $(if $(LAYER),--layer '$(LAYER)') $(if $(REASON),--reason '$(REASON)') $(if $(FILE),--file '$(FILE)')

rejects: ## Count them by reason, show the first ones (LAYER=bronze|silver REASON=text LIMIT=n), or write them to be mended (FILE=)
	@$(INSIDE) python -m lakehouse rejects $(SELECTION) $(if $(LIMIT),--limit $(LIMIT))

rejects-replay: ## Send mended ones (FILE=), or as they are (LAYER= REASON=), each once (DRY_RUN=1 sends nothing)
	@$(INSIDE) python -m lakehouse rejects-replay $(SELECTION) $(if $(filter 1 y yes,$(DRY_RUN)),--dry-run)

##@ Tables
QUESTION = $(INSIDE) python -m lakehouse $@ '$(TABLE)' $(if $(LIMIT),--limit $(LIMIT)) $(if $(filter 1 y yes,$(FLINK)),--flink)

history: ## Which snapshot of a table was current since when (TABLE=bronze.raw_trips LIMIT=n, FLINK=1 by Flink SQL)
	@$(QUESTION)

snapshots: ## What each commit to a table did (likewise)
	@$(QUESTION)

files: ## Files of a table, the smallest first (likewise)
	@$(QUESTION)

table-size: ## Files, rows and bytes of a table (likewise)
	@$(QUESTION)

query-at: ## Ask a table as it was (TABLE= AT=2026-01-01T00:00:00Z|snapshot SQL="select ... from {table}" ENGINE=duckdb|pyiceberg|flink)
	@$(INSIDE) python -m lakehouse query-at '$(TABLE)' '$(AT)' $(if $(SQL),--sql "$(SQL)") $(if $(ENGINE),--engine $(ENGINE))

maintenance: ## What each table needs; or do it now (TABLE= OPERATION=expire_snapshots|... DRY_RUN=1 THRESHOLDS='{...}' BATCH=)
	@$(INSIDE) python -m lakehouse maintenance $(if $(TABLE),--table '$(TABLE)') $(if $(OPERATION),--operation $(OPERATION)) \
		$(if $(filter 1 y yes,$(DRY_RUN)),--dry-run) $(if $(THRESHOLDS),--thresholds '$(THRESHOLDS)') \
		$(if $(BATCH),--batch '$(BATCH)') $(if $(filter 1 y yes,$(IGNORE_UNKNOWN_POSITIONS)),--ignore-unknown-positions)

##@ On containers
COMPOSE = docker compose $(COMPOSE_FILES)

compose-up: ## The same platform on docker compose: build, make passwords (.env), start, wait until it is healthy
	@$(PYTHON) -m compose.secrets
	@$(COMPOSE) build --quiet
	@$(COMPOSE) up --detach --wait --wait-timeout 600

compose-down: ## Stop it; its volumes are kept
	@$(COMPOSE) --profile '*' down

compose-demo: compose-up ## Start it, send 10,000 trips through it, show what came of them (EVENTS=n SEED=n)
	@$(COMPOSE) run --rm demo $(if $(EVENTS),--events $(EVENTS)) $(if $(SEED),--seed $(SEED))

compose-backup: ## Save all that has state to ./backups/<time>, while the platform works (docs/backup.md)
	@$(PYTHON) -m compose.backup create $(COMPOSE_FILES)

compose-restore: ## Start a platform from a backup, where there is none yet (FROM=backups/<time>)
	@$(PYTHON) -m compose.backup restore $(COMPOSE_FILES) --backup='$(FROM)'

test-compose: setup ## Test all of it on containers of its own (needs Docker, root and debootstrap: tests/compose/README.md)
	@$(VENV)/python -m pytest --override-ini 'addopts=-ra --durations=10' --timeout 1800 tests/compose

##@ Development
lint: setup ## Check the style of Python and SQL
	@$(VENV)/ruff check --quiet .
	@$(VENV)/ruff format --check --quiet .
	@$(VENV)/sqlfluff lint --quiet --disable-progress-bar include/dbt

format: setup ## Put Python and SQL in the style that lint checks
	@$(VENV)/ruff check --fix --quiet .
	@$(VENV)/ruff format --quiet .

bench: setup ## Measure the figures of the README, on a platform of its own (leave the machine alone meanwhile)
	@rm -rf .local-bench
	@LAKEHOUSE_HOME=$(CURDIR)/.local-bench PORT_BASE=27000 $(LOCAL) bench

chaos: setup ## Strike every fault on a platform of its own, count every row (FAULTS=words SEQUENCES=n SEED=n RATE=n MINUTES=n)
	@PYTHONPATH=.:plugins:tests $(VENV)/python -m chaos $(if $(FAULTS),--faults '$(FAULTS)') $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE)) $(if $(SEQUENCES),--sequences $(SEQUENCES)) $(if $(MINUTES),--minutes $(MINUTES))

lock: setup ## Write requirements.lock from the three requirements.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--output-file requirements.lock requirements.txt local/requirements.txt tests/requirements.txt
