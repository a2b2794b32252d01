"""Locks that deployments share ride on a connection of their own."""

from contextlib import ExitStack
from threading import Event, Thread

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.coordination import CoordinationHook


def test_who_holds_a_lock_keeps_others_out_until_done(iceberg):
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


def test_many_locks_are_held_at_once(iceberg):
    """Those of all jobs of all pipelines, as for a backup."""
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
    """What the settings of the tests lead to."""
    with (
        pytest.raises(
            AirflowException, match=r"database of locks \(connection 'coordination'\) does not answer.*make status"
        ),
        CoordinationHook().lock("job"),
    ):
        pass
