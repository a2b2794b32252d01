"""The platform's metrics for Prometheus: health of the jobs, tables, ledgers, and every rule with its threshold.

They are computed by the same code as alerts and ledger, at each scrape: `python -m lakehouse metrics` serves them.
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
from lakehouse.alerting.evaluate import Observation, evaluate_rules, observe
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.model import TOPIC, Pipeline
from lakehouse.streaming.health import JobHealth, Thresholds, thresholds
from lakehouse.streaming.health.rules import RULES

if TYPE_CHECKING:
    from lakehouse.quality.ledger import Ledger

log = logging.getLogger(__name__)

JOB_FIGURES = {
    "lag": "Rows of the source that have not reached the job's tables yet",
    "overdue": "Rows of the lag that have waited longer than the threshold",
    "overtaken": "Overdue rows for which later rows have arrived",
    "commit_age_s": "Seconds since the last commit to one of the job's tables",
    "restarts": "Failures within the window",
    "checkpoint_age_s": "Seconds since the last completed checkpoint",
    "checkpoint_duration_s": "Duration of the last completed checkpoint",
    "failed_checkpoints": "Failed checkpoints since the last completed one",
    "backpressure_percent": "Share of time that the most backpressured subtask is blocked",
}
TABLE_FIGURES = {
    "rows": "Rows of the current snapshot",
    "files": "Files of the current snapshot",
    "bytes": "Bytes of the current snapshot's files",
    "snapshots": "Snapshots of the table",
    "manifests": "Manifests of the current snapshot",
}


class PlatformCollector(Collector):
    """Observes the platform at each scrape."""

    def __init__(self) -> None:
        self._broken_since: dict[tuple[str, str], float] = {}
        self._alone = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Empty, so that registering the collector does not observe the platform."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every metric; what cannot be observed is left out, and visible in `lakehouse_rule_broken_seconds`."""
        with self._alone:
            limits, declared = thresholds(), declarations()
            seen = [_observe(pipeline, limits) for pipeline in declared.enabled]
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

    def _rules(self, seen: Iterable[Observation], limits: Thresholds) -> Iterator[GaugeMetricFamily]:
        now = time.time()
        evaluated = [(found.pipeline.name, *rule) for found in seen for rule in evaluate_rules(found, limits)]
        broken = {(rule.name, subject) for _, rule, subject, reason in evaluated if reason}
        self._broken_since = {key: self._broken_since.get(key, now) for key in broken}
        yield _gauge(
            "rule_broken_seconds",
            "For how long a rule has been broken, 0 if it is not",
            ["pipeline", "rule", "subject"],
            [
                # Above 0 even if it is broken only just now
                (
                    [pipeline, rule.name, subject],
                    max(0.001, now - self._broken_since[rule.name, subject]) if reason else 0,
                )
                for pipeline, rule, subject, reason in evaluated
            ],
        )
        yield _gauge(
            "rule_lasts_seconds",
            "For how long a rule must be broken before it fires",
            ["rule"],
            [([rule.name], rule.lasts_s(limits)) for rule in RULES],
        )


def _observe(pipeline: Pipeline, limits: Thresholds) -> Observation:
    """A pipeline as observed now; an error in one pipeline must not hide the others."""
    try:
        return observe(pipeline, limits)
    except Exception as error:
        log.exception("Pipeline %s cannot be observed", pipeline.name)
        return Observation(pipeline, problems=(f"{type(error).__name__}: {error}",))


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
    """Metrics of every table in the catalog.

    :param pipelines: table -> name of the pipeline that writes it; other tables are counted as the platform's
    """
    from lakehouse.maintenance.observe import measure, table_name

    sizes = {}
    try:
        for table in IcebergCatalogHook().lazy_tables():
            sizes[table_name(table)] = measure(table)
    except Exception:  # the rule `unreachable` reports it
        log.exception("Not every table can be read")
    for name, meaning in TABLE_FIGURES.items():
        values = [([pipelines.get(t, PLATFORM), t], getattr(size, name)) for t, size in sizes.items()]
        yield _gauge(f"table_{name}", meaning, ["pipeline", "table"], values)


def _ledgers(ledgers: list[Ledger]) -> Iterator[GaugeMetricFamily]:
    rows = [row for ledger in ledgers for row in _ledger_rows(ledger)]
    yield _gauge("ledger_rows", "The row ledger", ["pipeline", "stage", "role", "place", "partition"], rows)
    yield _gauge(
        "ledger_balanced",
        "Whether every event is accounted for and no row is in flight",
        ["pipeline"],
        [([ledger.pipeline.name], ledger.balanced) for ledger in ledgers],
    )


def _ledger_rows(ledger: Ledger) -> Iterator[tuple[list[str], float]]:
    """Rows of the topic and of each sink, by Kafka partition."""
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
    """Serve the metrics until the process is terminated."""
    from prometheus_client import start_http_server

    REGISTRY.register(PlatformCollector())
    _, thread = start_http_server(port, host)
    thread.join()
