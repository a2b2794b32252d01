"""The platform's own figures for Prometheus: jobs as health sees them, tables, ledgers, and every rule with its threshold.

Nothing is computed here that the alerts and the ledger do not compute too. As a command it serves them, asked again at each
scrape: `python -m lakehouse metrics`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.registry import Collector

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.alerting.alerts import PLATFORM
from lakehouse.alerting.evaluate import Seen, look, observations
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import TOPIC, Pipeline
from lakehouse.streaming.health import JobHealth, Thresholds, thresholds
from lakehouse.streaming.health.rules import RULES

if TYPE_CHECKING:
    from lakehouse.quality.ledger import Ledger

log = logging.getLogger(__name__)

JOB_FIGURES = {
    "lag": "Rows that the source holds and the job's tables do not yet",
    "overdue": "Those of them that have waited for longer than the threshold",
    "overtaken": "Those of them for which later rows have arrived",
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
            limits, declared = thresholds(), declarations()
            seen = [_look(pipeline, limits) for pipeline in declared.enabled]
            yield from _jobs([job for found in seen for job in found.jobs])
            yield from _tables({table: name for name, found in declared.pipelines.items() for table in found.tables})
            yield from _ledgers([found.ledger for found in seen if found.ledger])
            yield from self._rules(seen, limits)
            yield _gauge(
                "threshold",
                "Variable health_thresholds",
                ["name"],
                [([name], value) for name, value in limits.model_dump(exclude_none=True).items()],
            )

    def _rules(self, seen: Iterable[Seen], limits: Thresholds) -> Iterator[GaugeMetricFamily]:
        now = time.time()
        observed = [(found.pipeline.name, *rule) for found in seen for rule in observations(found, limits)]
        broken = {(rule.name, subject) for _, rule, subject, reason in observed if reason}
        self._broken_since = {key: self._broken_since.get(key, now) for key in broken}
        yield _gauge(
            "rule_broken_seconds",
            "For how long a rule of health has been broken, 0 when it is not",
            ["pipeline", "rule", "subject"],
            [
                # At least a little: broken just now is not 0
                (
                    [pipeline, rule.name, subject],
                    max(0.001, now - self._broken_since[rule.name, subject]) if reason else 0,
                )
                for pipeline, rule, subject, reason in observed
            ],
        )
        yield _gauge(
            "rule_lasts_seconds",
            "For how long a rule must be broken before it fires",
            ["rule"],
            [([rule.name], rule.lasts_s(limits)) for rule in RULES],
        )


def _look(pipeline: Pipeline, limits: Thresholds) -> Seen:
    """What can be seen of a pipeline; one that cannot be looked at at all must not hide the others."""
    try:
        return look(pipeline, limits)
    except Exception as error:
        log.exception("Pipeline %s cannot be looked at", pipeline.name)
        return Seen(pipeline, problems=(f"{type(error).__name__}: {error}",))


def _jobs(jobs: list[JobHealth]) -> Iterator[GaugeMetricFamily]:
    labels = ["pipeline", "job_name"]
    running = [([job.pipeline, job.job], job.state == "RUNNING") for job in jobs]
    yield _gauge("job_running", "Whether the job is RUNNING", labels, running)
    for name, meaning in JOB_FIGURES.items():
        values = [([job.pipeline, job.job], value) for job in jobs if (value := getattr(job, name)) is not None]
        yield _gauge(f"job_{name}", meaning, labels, values)
    lags = [([job.pipeline, job.job, str(n)], lag) for job in jobs for n, lag in job.partition_lag.items()]
    yield _gauge("partition_lag", "The lag by Kafka partition", [*labels, "partition"], lags)


def _tables(pipelines: Mapping[str, str]) -> Iterator[GaugeMetricFamily]:
    """Of every table in the catalog.

    :param pipelines: table -> name of the pipeline that writes it; the others are the platform's
    """
    from lakehouse.maintenance.observe import measure, table_name

    sizes = {}
    try:
        for table in IcebergCatalogHook().every_glance():
            sizes[table_name(table)] = measure(table)
    except Exception:  # the rule `unreachable` says so
        log.exception("Not every table can be read")
    for name, meaning in TABLE_FIGURES.items():
        values = [([pipelines.get(t, PLATFORM), t], getattr(size, name)) for t, size in sizes.items()]
        yield _gauge(f"table_{name}", meaning, ["pipeline", "table"], values)


def _ledgers(ledgers: list[Ledger]) -> Iterator[GaugeMetricFamily]:
    rows = [row for ledger in ledgers for row in _ledger_rows(ledger)]
    yield _gauge("ledger_rows", "The row ledger", ["pipeline", "stage", "role", "place", "partition"], rows)
    yield _gauge(
        "ledger_balanced",
        "Whether every event is accounted for, with no row in flight",
        ["pipeline"],
        [([ledger.pipeline.name], ledger.balanced) for ledger in ledgers],
    )


def _ledger_rows(ledger: Ledger) -> Iterator[tuple[list[str], float]]:
    """Rows of the topic, once, and of each sink; by Kafka partition."""
    of_topic = next(found for found in ledger.stages if found.stage.reads_topic)
    for number, partition in of_topic.partitions.items():
        yield [ledger.pipeline.name, TOPIC, TOPIC, of_topic.source, str(number)], partition.source
    for found in ledger.stages:
        for number, partition in found.partitions.items():
            for role, count in partition.rows.items():
                yield [ledger.pipeline.name, found.stage.name, role, found.stage.sinks[role], str(number)], count


def _gauge(name: str, meaning: str, labels: list[str], values: Iterable[tuple[list[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"lakehouse_{name}", meaning, labels=labels)
    for of, value in values:
        family.add_metric(of, float(value))
    return family


def serve(port: int = 9100, host: str = "127.0.0.1") -> None:
    """Serve the figures until the process is ended."""
    from prometheus_client import start_http_server

    REGISTRY.register(PlatformCollector())
    _, thread = start_http_server(port, host)
    thread.join()
