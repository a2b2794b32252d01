"""Commits to tables that others write to."""

from __future__ import annotations

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

TRIES = 20
#: Property of a snapshot: what the platform itself made it for, where no Flink job did.
MADE_FOR = "lakehouse.made-for"


def commit_tries() -> Retrying:
    """Tries of a commit, while others commit first; the last one raises pyiceberg's `CommitFailedException`."""
    from pyiceberg.exceptions import CommitFailedException

    return Retrying(
        retry=retry_if_exception_type(CommitFailedException),
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )
