"""
# Iceberg maintenance

Keeps the Iceberg tables of all pipelines small and fast while jobs write and read them. Every hour, each table gets **what it
needs**, and nothing if it needs nothing.

| task | does |
|---|---|
| `remove_old_states` | removes week-old checkpoints and savepoints of runs that have ended: expiry keeps what they would need |
| `tables` | finds the tables that need something: of all pipelines, including disabled ones, and maintenance's own log |
| `maintain.rewrite_data_files` | compacts small files: closed partitions once and completely, open ones lightly |
| `maintain.rewrite_manifests` | does the same for manifests |
| `maintain.expire_snapshots` | removes old snapshots that no writer, reader, branch or tag needs, and their files |
| `maintain.remove_orphan_files` | moves files that nothing references to quarantine, weekly |
| `purge_quarantine` | deletes what has been in quarantine for a week |
| `report` | shows what was done; red if anything failed |

A skipped task had nothing to do. Every action writes a row to `ops.maintenance_log`: the table before and after, what was
protected and for whom, and how it ended. Each operation runs whether or not the one before it succeeded: a table that cannot be
compacted must still be able to shrink. Only one table is maintained at a time, under a lease: two runs, or a run and `replay`,
never work on the same table.

**On demand**, with a form, or in a shell: `make maintenance`.

| param | means |
|---|---|
| `tables` | only these, one per line |
| `operations` | run these now, whether or not they are due; by default what the policy decides |
| `dry_run` | only report what would be done |
| `thresholds` | override those of the variable `maintenance_thresholds`, as JSON |
| `ignore_unknown_positions` | expire even if a reader's position is unknown; the reader may then be unable to continue |

**When it is red**: the failed task's log says what was refused or failed, and the next step; see the
[runbook](docs/runbook.md#maintenance-failed). A table is either unchanged or fully maintained, never in between: trigger the
DAG again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task, task_group

from lakehouse.airflow.dag_policy import LONG_POOL, Tag, dag_args, default_args, upkeep_at
from lakehouse.alerting.notifier import AlertNotifier
from lakehouse.maintenance.settings import Operation

LIMIT = timedelta(hours=4)

with DAG(
    "iceberg_maintenance",
    schedule=upkeep_at("0 * * * *"),
    default_args=default_args(
        on_failure_callback=AlertNotifier("failure", rule="maintenance-failed", until="report"),
    ),
    params={
        "tables": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            description="Only these (namespace.table), one per line",
        ),
        "operations": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": [operation.value for operation in Operation]},
            examples=[operation.value for operation in Operation],
            description="Run these now; by default those that are due",
        ),
        "dry_run": Param(False, type="boolean", description="Change nothing"),
        "thresholds": Param(
            None,
            type=["null", "object"],
            additionalProperties={"type": "number"},
            description="Overrides of maintenance_thresholds",
        ),
        "ignore_unknown_positions": Param(
            False, type="boolean", description="Expire even if a reader's position is unknown"
        ),
    },
    max_active_tasks=1,  # so that the streaming jobs keep their share of Flink and disk
    **dag_args(__doc__, Tag.MAINTENANCE, Tag.OPERATIONS),
):

    @task
    def tables() -> list[str]:
        """The tables that the form selects, or those for which something is due."""
        from lakehouse.maintenance import tasks

        return tasks.tables(get_current_context())

    @task(
        pool=LONG_POOL,
        execution_timeout=LIMIT,
        trigger_rule=TriggerRule.ALL_DONE,
        map_index_template="{{ task.op_kwargs['table'] }}",
    )
    def operate(table: str, operation: str) -> str:
        """Run one operation on one table, if it is due; returns the reason."""
        from lakehouse.maintenance import tasks

        return tasks.operate(get_current_context(), table, Operation(operation))

    @task(pool=LONG_POOL, execution_timeout=LIMIT)
    def remove_old_states() -> int:
        """Delete old checkpoints and savepoints; returns the number of files."""
        from lakehouse.maintenance import tasks

        return tasks.remove_old_states(get_current_context())

    @task(pool=LONG_POOL, execution_timeout=LIMIT, trigger_rule=TriggerRule.ALL_DONE)
    def purge_quarantine() -> int:
        """Delete what has been in quarantine for long enough; returns the number of files."""
        from lakehouse.maintenance import tasks

        return tasks.purge_quarantine(get_current_context())

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def report() -> str:
        """Show what this run did, table by table."""
        from lakehouse.maintenance import tasks

        print(done := tasks.report(get_current_context()))
        return done

    reported, purged = report(), purge_quarantine()

    @task_group
    def maintain(table: str) -> None:
        """All operations on one table, one after the other."""
        before = None
        for operation in Operation:
            done = operate.override(task_id=operation.value)(table=table, operation=operation.value)
            done >> reported
            before = before >> done if before else done
        done >> purged

    maintain.expand(table=tables())
    [remove_old_states(), purged] >> reported
