"""
# Audit

Counts everything again, by hand: **Trigger** shows a form. Each event that Kafka holds is read anew and compared, value by
value, with what Bronze, Silver and the published Gold hold of it, by rules that are written down a second time. Nothing of
the pipeline's own code takes part, and nothing is changed.

| param | means |
|---|---|
| `partition` | look at this Kafka partition alone |
| `first_offset`, `last_offset` | look at the events between these offsets |
| `since` | look at the events since then |
| `at_rest` | nothing is being sent and the jobs are done: whatever has not arrived is missing |
| `memory_limit` | of DuckDB; what does not fit is spilled to disk |

`compare` returns the counts by layer and the first 20 of each kind of finding. Rows that cannot be judged, because they are
still on their way or because Kafka has deleted their events, are left out and counted, with the reason.

**When it is red**: the log lists the rows by partition and offset. `missing`: the row is in no table; `doubled`: it is there
too often; `altered`: it has other values, or is in another table, than the event and the rules say. Look the first of them
up in the layer that comes first: what is wrong there goes on into the next one.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args

with DAG(
    "audit",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    # No retry by itself: what is wrong would only be found again.
    default_args=default_args(retries=0, execution_timeout=timedelta(hours=6)),
    params={
        "partition": Param(None, type=["null", "integer"], minimum=0, description="A Kafka partition (nothing: all)"),
        "first_offset": Param(None, type=["null", "integer"], minimum=0, description="From this offset on"),
        "last_offset": Param(None, type=["null", "integer"], minimum=0, description="Up to and including this offset"),
        "since": Param(
            None, type=["null", "string"], format="date-time", description="Events since then, by Kafka's timestamp"
        ),
        "at_rest": Param(False, type="boolean", description="Nothing is under way: what has not arrived is missing"),
        "memory_limit": Param("1GB", type="string", pattern=r"^\d+ ?[MG]B$", description="For DuckDB"),
    },
    **dag_args(__doc__, Tag.OPERATIONS),
):

    @task
    def compare() -> dict:
        """Compare every layer with the one before it; fails when anything is missing, doubled or altered."""
        from airflow.sdk.exceptions import AirflowFailException

        from lakehouse.quality.audit import run_audit

        params = dict(get_current_context()["params"])
        since = params.pop("since")
        report = run_audit(
            since_ms=int(datetime.fromisoformat(since).timestamp() * 1000) if since else None, log=print, **params
        )
        print(report)
        if not report.clean:
            counts = f"missing {report.missing}, doubled {report.doubled}, altered {report.altered}"
            raise AirflowFailException(f"Rows are not as they should be: {counts}. The log lists the first of them.")
        return report.as_dict()

    compare()
