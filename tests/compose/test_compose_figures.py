"""Prometheus sees every part, every panel of Grafana's has something to show, and alarms fire when they should."""

from __future__ import annotations

import json
from pathlib import Path

from compose_project import Compose

from lakehouse.waiting import wait_until
from local.config import ROOT

HERE = Path(__file__).parent
DASHBOARDS = ROOT / "compose" / "grafana" / "dashboards"
PARTS = {"lakehouse", "flink", "kafka", "statsd", "postgres", "prometheus"}
#: Of a platform without trouble.
EMPTY = {'ALERTS{alertstate="firing"}', "lakehouse_rule_broken_seconds > 0"}
LIMIT_S = 180


def ask(compose: Compose, queries: list[str]) -> dict[str, int | str]:
    """How many series each query gives, or what is wrong with it."""
    return json.loads(compose.python("airflow-scheduler", HERE / "ask_prometheus.py", json.dumps(queries)))


def test_every_part_answers(compose: Compose):
    queries = [f'up{{job="{part}"}} == 1' for part in sorted(PARTS)]
    wait_until(lambda: all(ask(compose, queries).values()), "every part to answer Prometheus", LIMIT_S)
    assert ask(compose, ["up == 0", "count by (job) (up)"]) == {"up == 0": 0, "count by (job) (up)": len(PARTS)}


def test_every_panel_has_something_to_show(compose: Compose):
    # What was counted before a part was started again is gone with it.
    compose.demo(5_000, 41)
    panels = [panel for file in DASHBOARDS.glob("*.json") for panel in json.loads(file.read_text())["panels"]]
    queries = sorted({target["expr"] for panel in panels for target in panel["targets"]} - EMPTY)
    assert len(queries) > 40

    def without() -> dict[str, int | str]:
        return {
            query: found for query, found in ask(compose, queries).items() if not isinstance(found, int) or not found
        }

    # A rate needs two figures.
    wait_until(lambda: not without(), "something for every query", LIMIT_S, lambda: f"Nothing for: {without()}")


def test_alarms_fire_when_they_should(compose: Compose):
    files = (HERE / "rules_test.yaml", ROOT / "compose" / "prometheus" / "rules.yaml")
    mounts = [f"--volume={file}:/rules/{file.name}:ro" for file in files]
    image = json.loads(compose("config", "--format", "json"))["services"]["prometheus"]["image"]
    run = compose.run(
        "docker", "run", "--rm", "--network=none", *mounts, "--entrypoint=promtool", image,
        "test", "rules", "/rules/rules_test.yaml",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
