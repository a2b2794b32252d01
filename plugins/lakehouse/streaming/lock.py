"""One at a time changes a streaming job."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lakehouse.airflow.hooks.coordination import CoordinationHook


def deployment_lock(job: str, limit_s: float = 300) -> AbstractContextManager[None]:
    """Held by whoever stops, starts or upgrades the job, and by whoever waits until nobody does.

    :raises TimeoutError: somebody else held it for the whole limit
    :raises AirflowException: the database of locks does not answer
    """
    return CoordinationHook().lock(f"flink-job:{job}", limit_s)
