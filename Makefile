# Every verb of the platform. `make` alone lists them.
PYTHON ?= python3
VENV := .venv/bin
UV_VERSION := 0.13.9

# Each is made when the last step of its recipe is: an interrupted setup is done again.
ENVIRONMENT := .venv/.complete
JARS := flink/target/jars/.complete

.DEFAULT_GOAL := help
.PHONY: help setup up down env status logs clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(ENVIRONMENT) $(JARS) ## Get the pinned Python environment and jars, when they are not there yet

$(ENVIRONMENT): requirements.lock
	@$(PYTHON) local/preflight.py
	@echo "Python environment: making .venv from requirements.lock (a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(VENV)/uv pip sync --python $(VENV)/python --require-hashes requirements.lock
	@touch $@

$(JARS): flink/pom.xml | $(ENVIRONMENT)
	@$(PYTHON) local/preflight.py
	@echo "Jars: Flink's, Kafka's and the registry's by Maven (a minute or two)"
	@rm -rf flink/target/jars
	@mvn --batch-mode --quiet --file flink/pom.xml package
	@touch $@

up: setup ## Start the platform, and wait until it is healthy
	@$(VENV)/python -m local up

env: ## Print the environment of Airflow for a shell: eval "$$(make -s env)"
	@$(VENV)/python -m local env

down: ## Stop the platform; its data is kept
	@$(VENV)/python -m local down

status: ## State, pid, port, memory and log file of each part
	@$(VENV)/python -m local status

logs: ## Last lines of the logs (PART=kafka for one, FOLLOW=1 to go on)
	@$(VENV)/python -m local logs $(PART) $(if $(FOLLOW),--follow)

clean: ## Delete the platform's data (asks; YES=1 does not)
	@$(VENV)/python -m local clean $(if $(YES),--yes)
