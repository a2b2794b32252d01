"""
# Audit

Counts everything again, on demand: **Trigger** opens a form. It reads every event that Kafka holds and compares it, stage by
stage, with what became of it. It uses none of the pipeline's own SQL and changes nothing.

| param | means |
|---|---|
| `pipeline` | whose events |
| `partition` | only this Kafka partition |
| `first_offset`, `last_offset` | only events between these offsets |
| `since` | only events since then: ISO 8601, UTC unless it has an offset |
| `at_rest` | no events are being sent and the jobs have caught up: whatever has not arrived is missing |
| `memory_limit` | for DuckDB; beyond it, data is spilled to disk |

`compare` returns the counts by layer (a stage, or `gold`) and the first 20 of each kind of finding. Rows that cannot be checked,
because they are still in flight or because Kafka has deleted their events, are left out and counted, with the reason.

| layer | rule |
|---|---|
| any stage | each row of its source is in exactly one of its tables; values are the event's texts, converted by the contract |
| rejected rows | the event's texts, unchanged, and a reason |
| duplicates | the position only |
| a stage that declares `audit: <file>` | the rules in that file, written independently: also which table a row belongs in |
| `gold` | the fact holds each row of the version that it was built from once, with equal values in the columns that both have |

Rows of the fact are matched by `kafka_partition` and `kafka_offset` if it keeps them, otherwise as a whole; an altered row then
counts as one that is missing and one that is surplus. Rows that share no column with their source are only counted.
`gold.audit: <file>` can define another key, or values that Gold changes on purpose.

**When it is red**: the log lists the rows by partition and offset. `missing`: the row is in no table; `duplicated`: it is there
too often; `altered`: it has other values, or is in another table, than the event and the rules require. Start with the first
row of the first layer: its errors carry over to the later layers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import LONG_POOL, Tag, dag_args, default_args, form, offset_param, pipeline_param
from lakehouse.texts import MEMORY, epoch_ms

with DAG(
    "audit",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    # A retry would find the same.
    default_args=default_args(retries=0, pool=LONG_POOL, execution_timeout=timedelta(hours=6)),
    params={
        "pipeline": pipeline_param(),
        "partition": Param(None, type=["null", "integer"], minimum=0, description="A Kafka partition (empty: all)"),
        "first_offset": offset_param("From this offset on"),
        "last_offset": offset_param("Up to and including this offset"),
        "since": Param(
            None, type=["null", "string"], format="date-time", description="Events since then, by Kafka's timestamp"
        ),
        "at_rest": Param(
            False, type="boolean", description="Nothing is in flight: whatever has not arrived is missing"
        ),
        "memory_limit": Param("1GB", type="string", pattern=MEMORY, description="For DuckDB"),
    },
    **dag_args(__doc__, Tag.OPERATIONS),
):

    @task
    def compare() -> dict[str, Any]:
        """Compare every layer with its source; fails if anything is missing, duplicated or altered."""
        from airflow.sdk.exceptions import AirflowFailException

        from lakehouse.pipelines.load import get_pipeline
        from lakehouse.quality.audit import run_audit

        params = dict(get_current_context()["params"])
        with form():
            pipeline, since = get_pipeline(params.pop("pipeline")), params.pop("since")
            since_ms = epoch_ms(since) if since else None
        report = run_audit(pipeline, since_ms=since_ms, log=print, **params)
        print(report)
        if not report.clean:
            counts = f"missing {report.missing}, duplicated {report.duplicated}, altered {report.altered}"
            raise AirflowFailException(f"{pipeline.name}: {counts}. Next: see the log, which lists the first of them")
        return report.as_dict()

    compare()
