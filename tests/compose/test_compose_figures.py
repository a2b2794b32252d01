"""Prometheus scrapes all services, all Grafana panels have data, and alerts fire when they should."""

from __future__ import annotations

import json
from pathlib import Path

from compose_project import Compose

from lakehouse.waiting import wait_until
from local.config import ROOT

HERE = Path(__file__).parent
DASHBOARDS = ROOT / "compose" / "grafana" / "dashboards"
JOBS = {"lakehouse", "flink", "kafka", "statsd", "postgres", "prometheus"}
#: Queries without results while the platform is healthy.
EMPTY = {'ALERTS{alertstate="firing"}', "lakehouse_rule_broken_seconds > 0"}
LIMIT_S = 180


def query_all(compose: Compose, queries: list[str]) -> dict[str, int | str]:
    """Query -> number of its series, or its error."""
    return json.loads(compose.python("airflow-scheduler", HERE / "ask_prometheus.py", json.dumps(queries)))


def test_all_services_are_scraped(compose: Compose):
    queries = [f'up{{job="{job}"}} == 1' for job in sorted(JOBS)]
    wait_until(lambda: all(query_all(compose, queries).values()), "Prometheus to scrape all services", LIMIT_S)
    assert query_all(compose, ["up == 0", "count by (job) (up)"]) == {"up == 0": 0, "count by (job) (up)": len(JOBS)}


def test_all_panels_have_data(compose: Compose):
    # Counters start again when a service is restarted.
    compose.demo(5_000, 41)
    panels = [panel for file in DASHBOARDS.glob("*.json") for panel in json.loads(file.read_text())["panels"]]
    queries = sorted({target["expr"] for panel in panels for target in panel["targets"]} - EMPTY)
    assert len(queries) > 40

    def without() -> dict[str, int | str]:
        return {
            query: found
            for query, found in query_all(compose, queries).items()
            if not isinstance(found, int) or not found
        }

    # A rate needs two samples.
    wait_until(lambda: not without(), "results of all queries", LIMIT_S, lambda: f"No results of: {without()}")


def test_alerts_fire_when_they_should(compose: Compose):
    files = (HERE / "rules_test.yaml", ROOT / "compose" / "prometheus" / "rules.yaml")
    mounts = [f"--volume={file}:/rules/{file.name}:ro" for file in files]
    image = json.loads(compose("config", "--format", "json"))["services"]["prometheus"]["image"]
    run = compose.run(
        "docker", "run", "--rm", "--network=none", *mounts, "--entrypoint=promtool", image,
        "test", "rules", "/rules/rules_test.yaml",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
