"""A job is healthy when rows reach its tables in time; what is wrong is said in words."""

from __future__ import annotations

import re
import time

import pytest
from airflow.sdk import Variable

from lakehouse.health import Flow, Thresholds, check, nothing_to_judge, platform_flows, unhealthy_reasons

LIMITS = Thresholds(checkpoint_age_s=60, checkpoint_duration_s=60, restarts=3, restart_window_s=600, overdue_s=60)
TABLES = ("bronze.raw_trips", "bronze.rejected_events")


class JobManager:
    """Flink's REST API with one job, as far as health looks at it; healthy until told otherwise."""

    def __init__(self, http) -> None:
        self.http = http
        self.is_running()
        self.completed(2)
        self.failed()

    def is_running(self, state: str = "RUNNING", for_s: float = 1_000) -> None:
        job = {"jid": "1f0c", "name": "bronze", "state": state, "start-time": ago_ms(for_s)}
        self.http["GET /jobs/overview"] = {"jobs": [job]}

    def completed(self, ago_s: float | None, took_s: float = 1) -> None:
        checkpoint = {"latest_ack_timestamp": ago_ms(ago_s or 0), "end_to_end_duration": took_s * 1000}
        self.http["GET /jobs/1f0c/checkpoints"] = {"latest": {"completed": checkpoint if ago_s is not None else None}}

    def failed(self, *ago_s: float) -> None:
        entries = [{"timestamp": ago_ms(age), "exceptionName": "x", "stacktrace": "x"} for age in ago_s]
        self.http["GET /jobs/1f0c/exceptions?maxExceptions=20"] = {"exceptionHistory": {"entries": entries}}


def ago_ms(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


@pytest.fixture
def flink(http, connect) -> JobManager:
    connect("flink_rest", port=http.server_port)
    return JobManager(http)


@pytest.fixture
def tables(fill) -> None:
    """Ten rows in Bronze."""
    for name, rows in zip(TABLES, (9, 1), strict=True):
        fill(name, rows)


def flow(now: int = 10, before: int = 10) -> Flow:
    """A source with so many rows now, and so many when the threshold of `overdue` began."""
    return Flow("bronze", TABLES, lambda at_ms: now if at_ms > ago_ms(30) else before)


def test_healthy(flink, tables):
    health = check(flow(), LIMITS)
    assert health.healthy, health.reasons
    assert (health.state, health.restarts, health.lag, health.overdue) == ("RUNNING", 0, 0, 0)
    assert health.commit_age_s < 60


@pytest.mark.parametrize(
    ("what_happens", "reason"),
    [
        (lambda flink: flink.is_running("RESTARTING"), r"Flink job bronze is RESTARTING"),
        (lambda flink: flink.is_running("FAILED"), r"Flink job bronze is not there; the DAG flink_jobs deploys it"),
        (lambda flink: flink.failed(5, 100, 500), r"Flink job bronze failed 3 times in the last 600 s"),
        (
            lambda flink: flink.completed(9_500),
            r"Flink job bronze has completed no checkpoint for 95\d\d s \(limit 60 s\)",
        ),
        (
            lambda flink: (flink.completed(None), flink.is_running(for_s=7_500)),
            r"Flink job bronze has completed no checkpoint for 75\d\d s \(limit 60 s\)",
        ),
        (
            lambda flink: flink.completed(2, took_s=61),
            r"the last checkpoint of Flink job bronze took 61 s \(limit 60 s\)",
        ),
    ],
)
def test_unhealthy(flink, tables, what_happens, reason):
    what_happens(flink)
    [found] = check(flow(), LIMITS).reasons
    assert re.fullmatch(reason, found)


@pytest.mark.parametrize(
    "what_happens",
    [
        lambda flink: flink.failed(5, 100, 601),  # two within the window
        lambda flink: flink.completed(50),
        lambda flink: (flink.completed(None), flink.is_running(for_s=30)),
        lambda flink: flink.completed(2, took_s=59),
    ],
)
def test_within_the_limits(flink, tables, what_happens):
    what_happens(flink)
    assert check(flow(), LIMITS).healthy


def test_rows_that_just_came_are_lag_and_no_reason(flink, tables):
    health = check(flow(now=1_500, before=10), LIMITS)
    assert (health.lag, health.overdue, health.reasons) == (1_490, 0, ())


def test_a_job_that_runs_and_moves_no_rows_is_unhealthy(flink, tables):
    [reason] = check(flow(now=1_500, before=1_200), LIMITS).reasons
    late = "1,190 rows older than 60 s have not reached bronze.raw_trips or bronze.rejected_events"
    assert re.fullmatch(rf"{late}; the last commit is \d+ s old", reason)


def test_a_job_that_never_committed_says_so(flink, fill):
    for name in TABLES:
        fill(name, 0)
    [reason] = check(flow(), LIMITS).reasons
    assert reason.endswith("; there was no commit yet")


def test_the_sources_are_the_topic_and_bronze(fill, send):
    fill("bronze.raw_trips", 4)
    between_ms = int(time.time() * 1000)
    send("trips", 7)
    bronze, silver = platform_flows("trips")
    assert bronze.source_rows(ago_ms(-10)) == 7
    assert silver.source_rows(between_ms) == 4
    assert silver.source_rows(ago_ms(60)) == 0


def test_before_the_first_event_there_is_nothing_to_judge(send):
    assert nothing_to_judge()
    send(Variable.get("taxi_topic"), 1)
    assert not nothing_to_judge()


def test_a_part_that_cannot_be_asked_is_a_reason(iceberg):
    assert len(unhealthy_reasons()) == 1
    assert "bronze.raw_trips does not exist" in unhealthy_reasons()[0]
