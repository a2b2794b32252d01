"""
# Rejected events: look, mend, replay

No event is lost: what is not a JSON object is a row of `bronze.rejected_events`, a trip that breaks a rule is a row of
`silver.rejected_trips`, each with its reason and its position in the topic.

1. **Look**: `make rejects` counts them by reason and shows the first ones; so does the log of `overview` here. Any SQL engine
   finds them in the two tables.
2. **Mend**: `make rejects LAYER=bronze REASON='not JSON' FILE=mend.jsonl` writes one JSON object a line. Put each
   `payload` right, leave `position` as it is, and delete the lines that are to stay rejected.
3. **Replay**: `make rejects-replay FILE=mend.jsonl`, or this DAG with `file`. When the rule was wrong and not the events (another
   window, a mended job), give `layer` and `reason` instead: the events are sent as they are.

| param | means |
|---|---|
| `file` | path or URI of the mended events, readable by the worker |
| `layer`, `reason` | instead of a file: what that layer rejected for exactly that reason |
| `dry_run` | say what would be sent, and send nothing |

| task | does |
|---|---|
| `overview` | logs rejected and mended events by layer and reason |
| `replay` | sends each event that no replay has sent before |

A mended event is a new event with an offset of its own, and goes the way of all others; its header `mends` and Bronze's column
of that name say which one it puts right. The rejected row stays, so the ledger stays balanced. A second replay of the same file
sends nothing twice. Of a trip that Silver rejected, the fields of the contract are sent; fields beyond it are not kept.

**When it is red**: the log names the line, the position or the part. What was sent before is left out by the next try: clear the
task, or trigger the DAG again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args

with DAG(
    "taxi_rejects_replay",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    default_args=default_args(retries=1, retry_delay=timedelta(minutes=1)),
    params={
        "file": Param(None, type=["null", "string"], description="JSON lines with mended payloads"),
        "layer": Param(
            None,
            type=["null", "string"],
            enum=[None, "bronze", "silver"],
            description="Instead: rejected by this layer ...",
        ),
        "reason": Param(None, type=["null", "string"], description="... for exactly this reason"),
        "dry_run": Param(False, type="boolean", description="Send nothing"),
    },
    **dag_args(__doc__, Tag.REPAIR),
):

    @task
    def overview() -> None:
        """What was rejected, and how much of it is mended."""
        from lakehouse.quality import rejects

        print(rejects.overview(rejects.reasons()))

    @task
    def replay() -> dict[str, int]:
        """Send the events that the form names; returns how many were sent, now and before."""
        from lakehouse.quality import rejects_replay

        return rejects_replay.run(**get_current_context()["params"])

    overview() >> replay()
