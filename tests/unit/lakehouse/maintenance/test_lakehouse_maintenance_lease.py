"""One holder at a time, whatever happens to it, and nothing that it left behind keeps running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from threading import Event, Thread

import pytest
from airflow.sdk.exceptions import AirflowException
from sqlalchemy import text
from streamed import NAME

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance import procedures
from lakehouse.maintenance.lease import Lease, LeaseLost, lease
from lakehouse.maintenance.procedures import rewrite_job

HOLD = f"""
import time
from lakehouse.maintenance.lease import lease
with lease({NAME!r}, "a rewrite", "task 1", ttl_s=3) as held:
    held.note_session("left-behind")
    print("held", flush=True)
    time.sleep(60)
"""
JOB = {"jid": "j1", "name": rewrite_job(NAME), "state": "RUNNING", "start-time": 1}


@pytest.fixture
def killed(flink) -> float:
    """A worker was killed during a rewrite, which continues in Flink; returns when that was."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", HOLD], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "held\n"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    flink.jobs = [JOB, {**JOB, "jid": "j2", "name": "silver"}]
    return time.monotonic()


def test_another_holder_waits_until_the_lease_of_a_killed_holder_expires(killed, flink):
    with (
        pytest.raises(
            TimeoutError, match=r"the lease of silver\.cleaned_trips for expire.*held by task 1 \(a rewrite\) until"
        ),
        lease(NAME, "expire", "task 2", wait_s=0.3),
    ):
        pass
    assert flink.jobs[0]["state"] == "RUNNING"
    with lease(NAME, "expire", "task 2", wait_s=20):
        assert time.monotonic() - killed > 1
        assert [job["state"] for job in flink.jobs] == ["CANCELED", "RUNNING"]
        assert ("DELETE", "/v1/sessions/left-behind", None) in flink.http.requests


def test_a_retry_of_the_same_task_gets_it_at_once(killed, flink):
    with lease(NAME, "a rewrite", "task 1", wait_s=0.3):
        assert flink.jobs[0]["state"] == "CANCELED"
        assert ("DELETE", "/v1/sessions/left-behind", None) in flink.http.requests
    flink.http.requests.clear()
    with lease(NAME, "expire", "task 2", wait_s=0.3):
        assert [method for method, *_ in flink.http.requests] == ["GET"]  # the recorded session is cleared


@pytest.mark.parametrize("part", ["flink_rest", "flink_sql_gateway"])
def test_without_flink_a_call_that_was_left_behind_cannot_be_ended(killed, connect, part):
    connect(part, port=1)
    for _ in range(2):  # it stays recorded
        with pytest.raises(FlinkError, match="cannot be reached"), lease(NAME, "a rewrite", "task 1", wait_s=0.3):
            pass


def test_without_a_call_left_behind_flink_may_be_down(connect, iceberg):
    connect("flink_rest", port=1)
    with lease(NAME, "expire", wait_s=0.3):
        pass


def test_another_rewrite_is_awaited(flink, monkeypatch):
    flink.jobs = [JOB]
    monkeypatch.setattr(procedures, "END_LIMIT_S", 0.2)
    message = r"end of Flink job rewrite_data_files silver\.cleaned_trips: not within"
    with pytest.raises(TimeoutError, match=message), lease(NAME, "expire"):
        pass
    assert flink.jobs == [JOB]
    flink.jobs = [{**JOB, "state": "FINISHED"}]
    with lease(NAME, "expire"):
        pass


def test_two_holders_take_turns(flink):
    held, release, order = Event(), Event(), []

    def first() -> None:
        with lease(NAME, "a rewrite"):
            held.set()
            release.wait(20)
            order.append(1)

    holder = Thread(target=first)
    holder.start()
    assert held.wait(20)
    with pytest.raises(TimeoutError), lease(NAME, "expire", wait_s=0.3):
        pass
    with lease("silver.rejected_trips", "expire", wait_s=0.3):
        pass
    release.set()
    with lease(NAME, "expire", wait_s=20):
        order.append(2)
    holder.join()
    assert order == [1, 2]


def test_a_live_holder_renews_the_lease(flink):
    with lease(NAME, "a rewrite", ttl_s=0.6) as held:
        time.sleep(1.2)
        held.check()
        with pytest.raises(TimeoutError), lease(NAME, "expire", wait_s=0.2):
            pass


def test_a_holder_that_slept_too_long_notices_it(flink):
    held = Lease(NAME, "task 1", "a rewrite", ttl_s=0.1)
    with lease(NAME, "so that there is a table"):
        pass
    assert held.take() == (True, "")
    held.check()
    time.sleep(0.2)
    with pytest.raises(LeaseLost, match=r"The lease of silver\.cleaned_trips for a rewrite was lost"):
        held.check()


def test_another_try_of_the_same_task_takes_it_from_the_first(flink):
    """Airflow considered the first try dead, but it is not."""
    with lease(NAME, "a rewrite", "task 1") as first, lease(NAME, "a rewrite", "task 1", wait_s=0.3) as second:
        with pytest.raises(LeaseLost):
            first.check()
        with pytest.raises(LeaseLost):
            first.note_session("s")
        first.release()
        second.check()


def test_it_is_released_after_an_error(flink):
    with pytest.raises(ValueError, match="oops"), lease(NAME, "a rewrite"):
        raise ValueError("oops")
    with lease(NAME, "expire", wait_s=0.2):
        pass


def test_the_next_holder_ends_a_call_of_unknown_state(flink):
    """The connection to the gateway broke: the call may still be running."""

    def fail(held: Lease) -> None:
        held.note_session("broken")
        raise ConnectionError

    with pytest.raises(ConnectionError), lease(NAME, "a rewrite") as held:
        fail(held)
    flink.jobs = [JOB]
    with lease(NAME, "expire", wait_s=0.2):
        assert flink.jobs[0]["state"] == "CANCELED"


def test_expiry_goes_by_the_clock_of_the_database(flink):
    with lease(NAME, "a rewrite", ttl_s=60), IcebergCatalogHook().catalog.engine.connect() as connection:
        left = connection.execute(
            text("SELECT extract(epoch FROM ends_at - clock_timestamp()) FROM maintenance_leases")
        )
        assert 50 < left.scalar() < 61


def test_a_database_that_is_down_is_named(connect, database, iceberg):
    connect("coordination", port=1)
    with pytest.raises(AirflowException, match="lock database"), lease(NAME, "a rewrite"):
        pass
