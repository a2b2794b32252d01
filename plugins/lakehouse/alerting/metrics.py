"""The platform's own figures for Prometheus: jobs as health sees them, tables, the ledger, and every rule with its threshold.

Nothing is computed here that the alarms and the ledger do not compute too. As a command it serves them, asked anew at each
scrape: `python -m lakehouse.alerting.metrics [--port 9100]`.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.registry import Collector

from lakehouse.alerting.watch import Seen, look, observations
from lakehouse.streaming.health import CANNOT_BE_ASKED, JobHealth, nothing_to_judge, thresholds
from lakehouse.streaming.health.rules import RULES

if TYPE_CHECKING:
    from lakehouse.quality.ledger import Ledger

JOB_FIGURES = {
    "lag": "Rows that the source holds and the job's tables do not yet",
    "overdue": "Those of them that have waited for longer than the threshold",
    "commit_age_s": "Seconds since the last commit to one of the job's tables",
    "restarts": "Failures within the threshold's window",
    "checkpoint_age_s": "Seconds since the last completed checkpoint",
    "checkpoint_duration_s": "Seconds that the last completed checkpoint took",
    "failed_checkpoints": "Failed checkpoints since the last completed one",
    "backpressure_percent": "Share of its time that the most hindered subtask waits",
}
TABLE_FIGURES = {
    "rows": "Rows of the current snapshot",
    "files": "Files of the current snapshot",
    "bytes": "Bytes of the current snapshot's files",
    "snapshots": "Snapshots that the table keeps",
    "manifests": "Manifests of the current snapshot",
}


class PlatformCollector(Collector):
    """Looks at the platform when Prometheus asks."""

    def __init__(self) -> None:
        self._broken_since: dict[tuple[str, str], float] = {}
        self._alone = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is asked of the platform when the collector is registered."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every figure; what cannot be asked is left out, and said by `lakehouse_rule_broken_seconds`."""
        with self._alone:
            limits = thresholds()
            seen = look(limits)
            yield from _jobs(seen.jobs)
            yield from _tables()
            if seen.ledger:
                yield from _ledger(seen.ledger)
            yield from self._rules(seen, limits)
            yield _gauge(
                "threshold", "Variable health_thresholds", ["name"], [([k], v) for k, v in asdict(limits).items()]
            )

    def _rules(self, seen: Seen, limits: Any) -> Iterator[GaugeMetricFamily]:
        now = time.time()
        observed = [] if nothing_to_judge() else list(observations(seen, limits))
        broken = {(rule.name, subject) for rule, subject, reason in observed if reason}
        self._broken_since = {key: self._broken_since.get(key, now) for key in broken}
        yield _gauge(
            "rule_broken_seconds",
            "For how long a rule of health has been broken, 0 when it is not",
            ["rule", "subject"],
            [
                # At least a little: broken just now is not 0
                ([rule.name, subject], max(0.001, now - self._broken_since[rule.name, subject]) if reason else 0)
                for rule, subject, reason in observed
            ],
        )
        yield _gauge(
            "rule_lasts_seconds",
            "For how long a rule must be broken to be an alarm",
            ["rule"],
            [([rule.name], rule.lasts_s(limits)) for rule in RULES],
        )


def _jobs(jobs: Iterable[JobHealth]) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "job_running", "Whether the job is RUNNING", ["job_name"], [([j.job], j.state == "RUNNING") for j in jobs]
    )
    for name, meaning in JOB_FIGURES.items():
        values = [([job.job], value) for job in jobs if (value := getattr(job, name)) is not None]
        yield _gauge(f"job_{name}", meaning, ["job_name"], values)
    lags = [([j.job, str(partition)], lag) for j in jobs for partition, lag in j.partition_lag.items()]
    yield _gauge("partition_lag", "Events after the last completed checkpoint", ["job_name", "partition"], lags)


def _tables() -> Iterator[GaugeMetricFamily]:
    from lakehouse.maintenance.observe import measure, table_name
    from lakehouse.maintenance.orphans import every_table

    try:
        sizes = {table_name(table): measure(table) for table in every_table()}
    except CANNOT_BE_ASKED:
        return  # the rule `unreachable` says so
    for name, meaning in TABLE_FIGURES.items():
        yield _gauge(f"table_{name}", meaning, ["table"], [([t], getattr(size, name)) for t, size in sizes.items()])


def _ledger(ledger: Ledger) -> Iterator[GaugeMetricFamily]:
    rows = [
        ([place, str(number)], getattr(partition, place))
        for number, partition in ledger.partitions.items()
        for place in ("kafka", "bronze", "rejected_events")
    ]
    rows += [([place, ""], getattr(ledger, place)) for place in ("silver", "rejected_trips", "duplicates")]
    yield _gauge("ledger_rows", "The row ledger", ["place", "partition"], rows)
    yield _gauge(
        "ledger_balanced", "Whether every offset is accounted for, with no row in flight", [], [([], ledger.balanced)]
    )


def _gauge(name: str, meaning: str, labels: list[str], values: list[tuple[list[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"lakehouse_{name}", meaning, labels=labels)
    for of, value in values:
        family.add_metric(of, float(value))
    return family


def main() -> None:
    """Serve the figures until the process is ended."""
    from prometheus_client import start_http_server

    from lakehouse.airflow import settings as airflow_settings

    parser = argparse.ArgumentParser(prog="python -m lakehouse.alerting.metrics", description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    airflow_settings.see()
    REGISTRY.register(PlatformCollector())
    _, thread = start_http_server(arguments.port, arguments.host)
    thread.join()


if __name__ == "__main__":
    main()
