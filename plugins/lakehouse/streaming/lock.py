"""The lock that serializes changes of a streaming job."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lakehouse.airflow.hooks.coordination import CoordinationHook


def deployment_lock(job: str, limit_s: float = 300) -> AbstractContextManager[None]:
    """The lock for stopping, starting and upgrading a job; also used to wait until nobody does so.

    :raises TimeoutError: it was not free within the limit
    :raises AirflowException: the lock database does not answer
    """
    return CoordinationHook().lock(f"flink-job:{job}", limit_s)
