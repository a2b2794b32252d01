"""Commits to tables that others write to at the same time."""

from __future__ import annotations

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

TRIES = 20
#: Snapshot property: the purpose of a commit that the platform itself makes, not a Flink job.
MADE_FOR = "lakehouse.made-for"


def commit_tries() -> Retrying:
    """Retries of a commit that conflicts with others; the last try raises pyiceberg's `CommitFailedException`."""
    from pyiceberg.exceptions import CommitFailedException

    return Retrying(
        retry=retry_if_exception_type(CommitFailedException),
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )
