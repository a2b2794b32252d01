"""Keeps operator ids stable, so that saved state can be mapped to the operators when a job's options change.

Flink derives an operator's id from its position in the plan and from the operators chained to it (`StreamGraphHasherV2`).
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowFailException

PARALLELISM = "parallelism.default"
_CHAINING = "pipeline.operator-chaining"

#: Iceberg's committer always has parallelism 1. By default it is chained to the writer only if that has parallelism 1 too; if
#: it is never chained, all ids are the same at any parallelism.
STABLE = {f"{_CHAINING}.chain-operators-with-different-max-parallelism": "false"}


def kept(options: Mapping[str, str], last_stable: Mapping[str, str] | None) -> dict[str, str]:
    """A job's options, without those that would change the operator ids of a job that was started without them.

    :param last_stable: options of the last stable version; None for a new job
    """
    if last_stable is None or STABLE.keys() <= last_stable.keys():
        return dict(options)
    return {name: value for name, value in options.items() if STABLE.get(name) != value}


def check(job: str, last_stable: Mapping[str, str], declared: Mapping[str, str]) -> None:
    """Reject options with which Flink could not map the saved state of a job to its operators.

    :raises AirflowFailException: there is such an option; the message has both values and the next step
    """
    fixed = {name for name in {*last_stable, *declared} if name.startswith(_CHAINING)} | {"pipeline.max-parallelism"}
    number = last_stable.get(PARALLELISM, "1"), declared.get(PARALLELISM, "1")
    if "1" in number and number[0] != number[1] and not STABLE.items() <= last_stable.items():
        fixed.add(PARALLELISM)
    for name in sorted(fixed):
        before, after = last_stable.get(name, "unset"), declared.get(name, "unset")
        if before != after:
            raise AirflowFailException(
                f"Flink job {job} keeps {name} = {before}: with {after}, its saved state could not be restored. The job runs as "
                "before. Next: undo the change in the variable flink_job_options; or trigger the DAG replay, which rebuilds the "
                "tables with the new options"
            )
