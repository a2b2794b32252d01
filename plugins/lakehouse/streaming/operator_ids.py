"""How saved state finds its operators again when the options of a job change.

Flink derives an operator's id from its place in the plan and from the operators that are chained to it (`StreamGraphHasherV2`).
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowFailException

PARALLELISM = "parallelism.default"
_CHAINING = "pipeline.operator-chaining"

#: Iceberg's committer is always one. By default it is chained to its writer as long as there is one of them, and not when
#: there are more; never chained, all ids stay the same at any parallelism.
STABLE = {f"{_CHAINING}.chain-operators-with-different-max-parallelism": "false"}


def kept(options: Mapping[str, str], last_stable: Mapping[str, str] | None) -> dict[str, str]:
    """Options of a job, without those that would give other ids to the state of a job which began without them.

    :param last_stable: what the job last ran with, None for a new one
    """
    if last_stable is None or STABLE.keys() <= last_stable.keys():
        return dict(options)
    return {name: value for name, value in options.items() if STABLE.get(name) != value}


def check(job: str, last_stable: Mapping[str, str], declared: Mapping[str, str]) -> None:
    """Refuse options with which Flink would not find the state of a job again.

    :raises AirflowFailException: names the option, both values and the way out
    """
    fixed = {name for name in {*last_stable, *declared} if name.startswith(_CHAINING)} | {"pipeline.max-parallelism"}
    number = last_stable.get(PARALLELISM, "1"), declared.get(PARALLELISM, "1")
    if "1" in number and number[0] != number[1] and not STABLE.items() <= last_stable.items():
        fixed.add(PARALLELISM)
    for name in sorted(fixed):
        before, after = last_stable.get(name, "unset"), declared.get(name, "unset")
        if before != after:
            raise AirflowFailException(
                f"Flink job {job} keeps {name} = {before}: with {after}, Flink would not find its saved state again. The job "
                "runs as before. Next: set the option back in the variable flink_job_options; or trigger the DAG replay, which "
                "rebuilds the tables with the new options"
            )
