"""
# Rejected events: inspect, fix, replay

No event is lost: what a stage cannot use becomes a row of its table for rejected events (the sink `rejected` in
`include/pipelines/<name>.yaml`), with the reason and its position in the topic.

1. **Look**: `make rejects` counts them by reason and shows the first ones, as does the log of `overview` here. Any SQL engine
   can read the tables.
2. **Fix**: `make rejects STAGE=bronze REASON='not JSON' FILE=fix.jsonl` writes one JSON object per line. Correct each
   `payload`, leave `position` unchanged, and delete the lines that should stay rejected.
3. **Replay**: `make rejects-replay FILE=fix.jsonl`, or this DAG with `file`. If the rule was wrong and not the events (and you
   have changed a parameter or the SQL), give `stage` and `reason` instead: the events are sent unchanged.

| param | means |
|---|---|
| `pipeline` | which pipeline |
| `file` | path or URI of the fixed events, readable by the worker |
| `stage`, `reason` | instead of a file: what that stage rejected for exactly that reason |
| `dry_run` | report what would be sent, and send nothing |

| task | does |
|---|---|
| `overview` | logs rejected and fixed events by stage and reason |
| `replay` | sends each event that no replay has sent before |

A fixed event is a new event with an offset of its own, and takes the same path as all others. Its header `mends`, and the
column of that name in the tables over the topic, identify the event that it corrects. The rejected row stays, so the ledger
stays balanced. A second replay of the same file sends nothing again. For events that a later stage rejected, only the
contract's fields are sent.

**When it is red**: the log names the line, the position or the service. The next attempt skips what was already sent: clear the
task, or trigger the DAG again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args, form, pipeline_param
from lakehouse.pipelines.load import get_pipeline

with DAG(
    "rejects_replay",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    default_args=default_args(retries=1, retry_delay=timedelta(minutes=1)),
    params={
        "pipeline": pipeline_param(),
        "file": Param(None, type=["null", "string"], description="JSON lines with fixed payloads"),
        "stage": Param(None, type=["null", "string"], description="Instead of a file: rejected by this stage ..."),
        "reason": Param(None, type=["null", "string"], description="... for exactly this reason"),
        "dry_run": Param(False, type="boolean", description="Send nothing"),
    },
    **dag_args(__doc__, Tag.REPAIR),
):

    @task
    def overview() -> None:
        """Show what was rejected, and how much of it is fixed."""
        from lakehouse.quality import rejects

        with form():
            pipeline = get_pipeline(get_current_context()["params"]["pipeline"])
        print(rejects.overview(pipeline))

    @task
    def replay() -> dict[str, int]:
        """Send the events that the form selects; returns how many were sent, now and before."""
        from lakehouse.quality import rejects

        params = {**get_current_context()["params"]}
        with form():
            pipeline = get_pipeline(params.pop("pipeline"))
        return rejects.run(pipeline, **params)

    overview() >> replay()
