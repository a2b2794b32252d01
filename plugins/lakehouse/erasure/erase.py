"""Erases what was selected, and completes interrupted erasures."""

from __future__ import annotations

from collections import Counter

from airflow.sdk.exceptions import AirflowException

from lakehouse.erasure import log
from lakehouse.erasure.delete import delete_rows
from lakehouse.erasure.log import Erasure
from lakehouse.erasure.selection import Selection, held_tables
from lakehouse.maintenance.settings import thresholds
from lakehouse.pipelines.model import Pipeline
from lakehouse.reconciliation.positions import Positions
from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.waiting import wait_until

ARRIVE_LIMIT_S = 180


def erase(selection: Selection, reason: str) -> dict[str, int]:
    """Delete the selected rows from every table of the pipeline. Tables are taken from the last stage to the first.

    :param reason: why, for the log
    :return: table -> rows deleted from it
    :raises AirflowException: rows are still on their way to a table
    :raises CommitFailedException, TimeoutError: as in `delete_rows`; the next erasure of the pipeline completes this one
    """
    pipeline, pending, deleted = selection.pipeline, list(selection.interrupted), Counter[str]()
    with log.erasing(pipeline.name):
        _await_arrival(pipeline, selection.everything)
        if selection.positions:
            erasure = Erasure(pipeline.name, selection.topic_id, selection.table, selection.positions, reason)
            log.begin(erasure)
            pending.append(erasure)
        for erasure in pending:
            rows = delete_rows(reversed(held_tables(pipeline)), erasure.positions, f"erasure {erasure.id}")
            log.finish(erasure, rows)
            deleted.update(rows)
    return dict(deleted)


def remaining_copies(pipeline: Pipeline) -> list[str]:
    """Where copies of erased rows remain, and for how long; one sentence each."""
    limits = thresholds()
    hours = f"{limits.snapshot_age_s / 3_600:g} hours"
    copies = [
        f"Old snapshots contain them until they expire: after {hours}, once there are {limits.retain_last} newer snapshots",
        f"Kafka retains the events for {pipeline.topic.retention.days} days; a replay skips them",
        "Backups contain them, and so does whatever was copied from the tables",
    ]
    if pipeline.gold:
        copies.insert(
            0,
            f"Gold contains them until {pipeline.dag_id} has run twice: it is built from scratch, in one of two files",
        )
    return copies


def _await_arrival(pipeline: Pipeline, positions: Positions) -> None:
    """Wait until these rows have passed every stage: a row in flight would come back after its deletion.

    :raises AirflowException: a stage does not process them in time
    """

    def awaited() -> list[str]:
        reconciled = [reconcile(pipeline, stage) for stage in pipeline.stages.values()]
        return [found.stage.job for found in reconciled if found.missing & positions]

    try:
        wait_until(lambda: not awaited(), "the rows to reach their last table", ARRIVE_LIMIT_S)
    except TimeoutError as error:
        raise AirflowException(
            f"{', '.join(awaited())} has not yet processed all rows that are to be erased, and would write them again. Nothing "
            "was erased. Next: make sure that flink_jobs is green, then erase again"
        ) from error
