"""A job is healthy if rows reach its tables in time; otherwise there are reasons."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import text

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming import health as health_module
from lakehouse.streaming import record
from lakehouse.streaming.flow import Flow, flows_of
from lakehouse.streaming.health import check, is_unused, reasons_when_deployed, thresholds, unhealthy_reasons
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.stages import job_state
from lakehouse.waiting import wait_until

TABLES = ("bronze.raw_trips", "bronze.rejected_events")


class JobManager:
    """A stub of Flink's REST API with one job, healthy by default."""

    def __init__(self, http) -> None:
        self.http = http
        self.is_running()
        self.completed(2)
        self.failed()
        self.waits(0, 0)

    def is_running(self, state: str = "RUNNING", for_s: float = 1_000) -> None:
        job = {"jid": "1f0c", "name": "nyc_taxi.bronze", "state": state, "start-time": ago_ms(for_s)}
        self.http["GET /jobs/overview"] = {"jobs": [job]}

    def completed(self, ago_s: float | None, took_s: float = 1, failed_since: int = 0) -> None:
        """The last completed checkpoint was number 7; one before it failed, and some after it."""
        last = {"id": 7, "latest_ack_timestamp": ago_ms(ago_s or 0), "end_to_end_duration": took_s * 1000}
        states = {6: "FAILED", 7: "COMPLETED", **{8 + n: "FAILED" for n in range(failed_since)}, 99: "IN_PROGRESS"}
        self.http["GET /jobs/1f0c/checkpoints"] = {
            "latest": {"completed": last if ago_s is not None else None},
            "history": [{"id": number, "status": status} for number, status in states.items()],
        }

    def waits(self, *percent: float | None) -> None:
        """One operator for each value; None if Flink has no value yet."""
        self.http["GET /jobs/1f0c"] = {"vertices": [{"id": f"v{number}"} for number in range(len(percent))]}
        for number, value in enumerate(percent):
            path = f"GET /jobs/1f0c/vertices/v{number}/subtasks/metrics?get=backPressuredTimeMsPerSecond&agg=max"
            found = {"id": "backPressuredTimeMsPerSecond", "max": (value or 0) * 10}
            self.http[path] = [] if value is None else [found]

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
def tables(fill, send, taxi) -> None:
    """Ten events, all in Bronze."""
    send(taxi.topic.name, 10, partition=0)
    for name, rows in zip(TABLES, (9, 1), strict=True):
        fill(name, rows)


@pytest.fixture
def flow(taxi, send, monkeypatch) -> Callable[..., Flow]:
    """Bronze, with a number of events in partition 0 now, and one at the threshold of `overdue`."""

    def flow(now: int = 10, before: int = 10) -> Flow:
        held = sum(TopicHook(taxi.topic.name).end_offsets().values())
        send(taxi.topic.name, max(0, now - held), partition=0)
        monkeypatch.setattr(TopicHook, "offsets_at", lambda hook, epoch_ms: {0: before})
        return Flow(taxi, taxi.stages["bronze"])

    return flow


def test_healthy(flink, tables, flow):
    health = check(flow(), thresholds())
    assert health.healthy, health.reasons
    assert (health.state, health.restarts, health.lag, health.overdue) == ("RUNNING", 0, 0, 0)
    assert health.data_files == {"bronze.raw_trips": 1, "bronze.rejected_events": 1}
    assert health.surplus_files == {"bronze.raw_trips": 0, "bronze.rejected_events": 0}
    assert set(health.partition_lag.values()) == {0}
    assert (health.failed_checkpoints, health.checkpoint_duration_s, health.backpressure_percent) == (0, 1, 0)
    assert max(health.commit_age_s, health.checkpoint_age_s) < 60


def test_a_missing_job_has_no_values_from_flink(flink, tables, flow):
    flink.is_running("FAILED")
    health = check(flow(now=12), thresholds())
    assert health.reasons == ("Flink job nyc_taxi.bronze is gone; the DAG flink_jobs deploys it",)
    assert (health.lag, health.restarts, health.checkpoint_age_s, health.backpressure_percent) == (2, None, None, None)


def test_a_suspended_job_is_not_unhealthy(flink, tables, flow, taxi):
    record.save(job_state(taxi.stages["bronze"]), record.JobRecord(suspended=True))
    flink.is_running("FINISHED")
    health = check(flow(now=20_000, before=15_000), thresholds())
    assert (health.state, health.reasons) == ("SUSPENDED", ())


@pytest.mark.parametrize("ago_s", [1, 9_500])
def test_checkpoints(flink, tables, ago_s, flow):
    flink.completed(ago_s, took_s=2.5, failed_since=2)
    health = check(flow(), thresholds())
    assert (health.checkpoint_duration_s, health.failed_checkpoints) == (2.5, 2)
    assert ago_s <= health.checkpoint_age_s < ago_s + 60


def test_before_the_first_checkpoint_the_jobs_age_counts(flink, tables, flow):
    flink.completed(None)
    flink.is_running(for_s=7_500)
    health = check(flow(), thresholds())
    assert health.checkpoint_duration_s is None
    assert 7_500 <= health.checkpoint_age_s < 7_560
    assert health.failed_checkpoints == 1  # number 6


def test_restarts_in_the_window_are_counted(flink, tables, flow):
    flink.failed(5, 100, 601)
    assert check(flow(), thresholds()).restarts == 2


@pytest.mark.parametrize(("waits", "seen"), [((0, 45.5, 3), 45.5), ((None, 2), 2), ((None, None), None)])
def test_backpressure_is_the_worst_operators(flink, tables, waits, seen, flow):
    flink.waits(*waits)
    assert check(flow(), thresholds()).backpressure_percent == seen


def test_new_rows_are_lag_but_not_a_reason(flink, tables, flow):
    health = check(flow(now=1_500, before=10), thresholds())
    assert (health.lag, health.overdue, health.reasons) == (1_490, 0, ())


def test_a_running_job_that_processes_no_rows_is_unhealthy(flink, tables, flow):
    [reason] = check(flow(now=1_500, before=1_200), thresholds()).reasons
    late = "1,190 rows older than 60 s have not reached bronze.raw_trips or bronze.rejected_events"
    assert re.fullmatch(rf"{late}; the last commit is \d+ s old", reason)


def test_a_job_without_commits(flink, fill, flow):
    for name in TABLES:
        fill(name, 0)
    [reason] = check(flow(), thresholds()).reasons
    assert reason.endswith("; there was no commit yet")


def test_rows_overtaken_by_later_ones_are_missing(flink, tables, flow, fill, iceberg):
    """No matter how many arrive after them."""
    iceberg.load_table("bronze.raw_trips").delete("kafka_offset >= 2 and kafka_offset < 6")
    fill("bronze.raw_trips", range(10, 1_000))
    health = check(flow(now=1_005, before=1_003), thresholds())
    assert (health.lag, health.overdue, health.overtaken) == (9, 7, 4)
    missing, stale = sorted(health.reasons)
    assert missing.startswith("3 rows older than 60 s have not reached")
    rows, cause = stale.split("; ", 1)
    assert rows == (
        "4 rows older than 60 s are in none of bronze.raw_trips, bronze.rejected_events, though later ones are: "
        "partition 0: offsets 2 to 5"
    )
    assert re.search(
        r"table bronze\.raw_trips was changed .*: overwrite \(\d+ rows added, 9 rows deleted; snapshot \d+\)", cause
    )


def test_events_deleted_unread_are_reported(flink, tables, flow, fill, monkeypatch):
    oldest = TopicHook.start_offsets
    bronze = flow(now=40, before=40)
    bronze.reconcile()
    monkeypatch.setattr(TopicHook, "start_offsets", lambda hook: {**oldest(hook), 0: 20})
    fill("bronze.raw_trips", range(20, 40))
    [reason] = check(bronze, thresholds()).reasons
    assert reason.endswith("partition 0: offsets 10 to 19; Kafka deleted 10 events before they were read")


def test_another_writer_is_reported_but_not_a_reason(flink, tables, flow, iceberg):
    table = iceberg.load_table("bronze.rejected_events")
    table.append(table.scan(limit=0).to_arrow(), snapshot_properties={"flink.job-id": "beef"})
    health = check(flow(), thresholds())
    message = "table bronze.rejected_events is written by Flink job beef, which flink_jobs did not start"
    assert (health.unknown_writers[0], health.healthy) == (message, True)
    # The rows of these tables were not written by a Flink job.
    assert all("a program other than Flink" in other for other in health.unknown_writers[1:])
    assert message in str(health)


def test_lag_is_the_rows_in_none_of_the_sinks(taxi, fill):
    fill("bronze.raw_trips", 9)
    for table, rows in zip(taxi.stages["silver"].tables, (4, 2, 1), strict=True):
        fill(table, rows)
    _, silver = flows_of(taxi)
    assert len(silver.reconcile().missing) == 2
    fill("silver.duplicate_trips", 5)
    assert len(silver.reconcile().missing) == 0  # surplus rows are reported by the ledger


def test_lag_by_partition(flink, tables, flow, send, taxi):
    send(taxi.topic.name, 3, partition=2)
    lag = check(flow(), thresholds()).partition_lag
    assert (lag[0], lag[2]) == (0, 3)


def test_before_the_first_event_nothing_is_evaluated(taxi, send):
    assert is_unused(taxi)
    send(taxi.topic.name, 1)
    assert not is_unused(taxi)


def test_a_topic_that_is_empty_again_is_evaluated(flink, tables, flow, taxi, monkeypatch):
    """It was deleted and recreated."""
    flow().reconcile()
    monkeypatch.setattr(TopicHook, "is_unused", lambda hook: True)
    assert not is_unused(taxi)


def test_an_unavailable_service_is_a_reason(taxi, iceberg):
    assert len(unhealthy_reasons(taxi)) == 1
    assert "bronze.raw_trips does not exist" in unhealthy_reasons(taxi)[0]


def test_missing_data_files_are_a_reason(flow, tables, taxi, tmp_path):
    """The tables' metadata exists, so this is only detected by reading rows."""
    gone = [*tmp_path.glob("warehouse/**/*.parquet")]
    assert gone
    for file in gone:
        file.unlink()
    [reason] = unhealthy_reasons(taxi)
    assert reason.startswith("The warehouse of the Iceberg catalog (connection 'iceberg_catalog') cannot be read: ")
    assert any(file.name in reason for file in gone)


def test_a_job_is_evaluated_after_its_deployment(flink, tables, monkeypatch, flow, taxi):
    monkeypatch.setattr(health_module, "flows_to_gold", lambda pipeline: (flow(),))
    flink.is_running("FINISHED")
    stopped = Event()

    def upgrade() -> None:
        with deployment_lock("nyc_taxi.bronze"):
            stopped.set()
            wait_until(somebody_waits, "the health check to wait", 30)
            flink.is_running()

    with ThreadPoolExecutor(1) as background:
        upgraded = background.submit(upgrade)
        assert stopped.wait(30)
        assert reasons_when_deployed(taxi) == []
        upgraded.result()


def test_a_deployment_that_does_not_end_is_also_a_reason(flink, tables, monkeypatch, flow, taxi):
    monkeypatch.setattr(health_module, "flows_to_gold", lambda pipeline: (flow(),))
    monkeypatch.setattr(health_module, "DEPLOYMENT_LIMIT_S", 0.2)
    flink.is_running("FINISHED")
    with deployment_lock("nyc_taxi.bronze"):
        missing, held = reasons_when_deployed(taxi)
    assert "Flink job nyc_taxi.bronze is gone" in missing
    assert "Lock 'flink-job:nyc_taxi.bronze' was held by another run for 0.2 s" in held


def somebody_waits() -> bool:
    with CoordinationHook().engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar() > 0
