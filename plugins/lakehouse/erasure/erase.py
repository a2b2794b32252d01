"""Erasing what was selected, and finishing what an earlier erasure left."""

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
    :raises AirflowException: rows are on their way to a table, or others commit to a table or hold it all the time; the next
        erasure of the pipeline finishes what was begun
    """
    pipeline, begun, deleted = selection.pipeline, list(selection.interrupted), Counter[str]()
    with log.erasing(pipeline.name):
        _await_arrival(pipeline, selection.everything)
        if selection.positions:
            erasure = Erasure(pipeline.name, selection.topic_id, selection.table, selection.positions, reason)
            log.begin(erasure)
            begun.append(erasure)
        for erasure in begun:
            rows = delete_rows(reversed(held_tables(pipeline)), erasure.positions, f"erasure {erasure.id}")
            log.finish(erasure, rows)
            deleted.update(rows)
    return dict(deleted)


def remains(pipeline: Pipeline) -> list[str]:
    """Where erased rows are for a while longer, in sentences."""
    limits = thresholds()
    hours = f"{limits.snapshot_age_s / 3_600:g} hours"
    said = [
        f"Old snapshots hold them until these expire: after {hours}, and when {limits.retain_last} newer ones are there",
        f"Kafka holds the events for {pipeline.topic.retention.days} days; a replay leaves them out",
        "Backups hold them, and so does what was copied from the tables",
    ]
    if pipeline.gold:
        said.insert(
            0, f"Gold holds them until {pipeline.dag_id} has run twice: it is built from scratch, in one of two files"
        )
    return said


def _await_arrival(pipeline: Pipeline, positions: Positions) -> None:
    """Wait until each stage has taken these rows: one that is on its way would come back.

    :raises AirflowException: a stage does not take them
    """

    def awaited() -> list[str]:
        looks = [reconcile(pipeline, stage) for stage in pipeline.stages.values()]
        return [found.stage.job for found in looks if found.missing & positions]

    try:
        wait_until(lambda: not awaited(), "the rows to reach their last table", ARRIVE_LIMIT_S)
    except TimeoutError as error:
        raise AirflowException(
            f"{', '.join(awaited())} has yet to take rows that are to be erased, and would bring them back. Nothing was erased. "
            "Next: see that flink_jobs is green, then erase again"
        ) from error
