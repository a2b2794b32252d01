"""Advisory locks, which have a connection of their own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event, Thread

import pytest
from sqlalchemy import text

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.waiting import wait_until


def test_the_holder_of_a_lock_keeps_others_out_until_it_is_done(iceberg):
    held, release = Event(), Event()

    def hold() -> None:
        with CoordinationHook().lock("job"):
            held.set()
            release.wait(20)

    holder = Thread(target=hold)
    holder.start()
    try:
        assert held.wait(20)
        with (
            pytest.raises(TimeoutError, match=r"Lock 'job' was held by another run for 0\.2 s"),
            CoordinationHook().lock("job", 0.2),
        ):
            pass
        with CoordinationHook().lock("another job", 0.2):
            pass
    finally:
        release.set()
        holder.join()
    with CoordinationHook().lock("job", 0.2):
        pass


def test_a_database_that_goes_away_while_waiting_for_a_lock_is_named(iceberg):
    """It is not a lock that was held for too long."""
    waiting = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    ended = text("SELECT pg_terminate_backend(:pid)")

    def end() -> None:
        with CoordinationHook().engine.connect() as connection:
            wait_until(lambda: connection.execute(waiting).scalar(), "somebody who waits for the lock", 20)
            connection.execute(ended, {"pid": connection.execute(waiting).scalar()})

    with CoordinationHook().lock("job"), ThreadPoolExecutor(1) as background:
        ending = background.submit(end)
        with pytest.raises(ServiceUnavailable, match="lock database"), CoordinationHook().lock("job", 20):
            pass
        ending.result()


def test_many_locks_are_held_at_once(iceberg):
    """As by a backup, which holds the locks of all jobs of all pipelines."""
    with ExitStack() as held:
        for number in range(20):
            held.enter_context(CoordinationHook().lock(f"job {number}", 0.2))


def test_a_lock_is_free_again_after_an_error(iceberg):
    hook = CoordinationHook()
    with pytest.raises(ValueError, match="oops"), hook.lock("job"):
        raise ValueError("oops")
    with CoordinationHook().lock("job", 0.2):
        pass


def test_a_database_that_is_not_there_is_named_with_the_next_step():
    """As the test settings configure it."""
    with (
        pytest.raises(
            ServiceUnavailable, match=r"lock database \(connection 'coordination'\) does not answer.*make status"
        ),
        CoordinationHook().lock("job"),
    ):
        pass
