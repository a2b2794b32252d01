"""The switch of a replay: quiesce the jobs, check the ledger of the new tables, and put all of them in place at once.

It needs a catalog in a database (`sql`/JDBC), where several tables can be renamed in one transaction.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, is_table
from lakehouse.erasure import log as erasures
from lakehouse.erasure.delete import delete_rows
from lakehouse.maintenance.lease import lease
from lakehouse.pipelines.load import get_stage
from lakehouse.pipelines.model import Stage
from lakehouse.reconciliation import state as states
from lakehouse.reconciliation.positions import Positions
from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.replay.plan import ReplayPlan
from lakehouse.storage import stored
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import JobCluster
from lakehouse.streaming.lock import deployment_lock
from lakehouse.streaming.record import JobRecord, Start
from lakehouse.streaming.stages import job_state
from lakehouse.streaming.writers import writers
from lakehouse.tables.namespaces import backup_of
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

CATCH_UP_LIMIT_S = 240  # less than deployments wait for the locks that are held meanwhile


class Switch:
    """Replaces the live tables with those of one replay. Other tables and jobs are left alone."""

    def __init__(self, plan: ReplayPlan) -> None:
        self.plan = plan
        self.cluster = JobCluster()
        self.flink = self.cluster.flink
        self.iceberg = IcebergCatalogHook()

    def run(self) -> dict[str, int]:
        """Switch, and return the number of rows of each new table. Idempotent.

        The live jobs are stopped with a savepoint, from which they continue if the switch fails. The jobs that built the new
        tables are stopped with a savepoint in the folder of the live jobs, which continue from it after the switch, because no
        other state fits the new tables.

        :raises AirflowException: the ledger of the new tables is not balanced; nothing was switched
        :raises TimeoutError: the lease of a table was not free in time; nothing was switched
        """
        with ExitStack() as locks:
            # Before the jobs are stopped, because it may take a while until maintenance has finished with a table.
            for name in self.plan.tables:
                locks.enter_context(lease(name, "the switch of a replay", f"replay {self.plan.id}"))
            for job in self.plan.jobs:
                locks.enter_context(deployment_lock(job))
            if not self._is_done():
                self._stop_live()
                for stage in self.plan.rebuilt:
                    self._finish(stage)
                self._swap()
            for stage in self.plan.rebuilt:
                # The versions before the switch do not apply to the new tables.
                remembered = records.load(job_state(stage)).changed(last_stable=None, rolled_back=None)
                records.save(job_state(stage), self._with_builders(stage, remembered))
        return {name: self.iceberg.rows(name) for name in self.plan.tables}

    def _with_builders(self, stage: Stage, record: JobRecord) -> JobRecord:
        """The record with the jobs that built the tables added to its starts, because they wrote the tables that are live now."""
        known = {start.job_id for start in record.starts}
        for job_id in dict.fromkeys(found for name in stage.tables for found in writers(self.iceberg.table(name))):
            if job_id not in known:
                record = record.starting(Start(job_id=job_id, restored_from=None))
        return record

    def _is_done(self) -> bool:
        """Whether the swap has happened: it is one transaction, after which the built tables are gone from their namespace."""
        return not any(map(self.iceberg.exists, self.plan.tables.values()))

    def _stop_live(self) -> None:
        for job in reversed(self.plan.jobs):  # readers before writers
            _, stage = get_stage(job)
            if run := self.cluster.live_run(job_state(stage)):
                self.cluster.stop(job_state(stage), run)

    def _finish(self, stage: Stage) -> None:
        """Wait until each row of the source up to now is in the new tables exactly once, then stop their job."""
        building = self.plan.building(stage)
        ends = self.plan.topic.end_offsets() if stage.reads_topic else {}

        def difference() -> tuple[Positions, Positions]:
            found = reconcile(self.plan.declared, building)
            # The topic may get more events meanwhile; a source table gets no more rows.
            return (found.missing.below(ends) if stage.reads_topic else found.missing), found.surplus

        if run := self.flink.live_run(building.job):
            wait_until(
                lambda: not difference()[0],
                f"each row of {stage.source} in the tables of {building.job}",
                CATCH_UP_LIMIT_S,
                on_timeout=lambda: f"Missing: {len(difference()[0]):,} rows ({difference()[0]})",
            )
            self.cluster.stop(job_state(stage), run)
        self._erase_again(stage, difference()[1])
        missing, surplus = difference()
        if missing or surplus:
            counts = {"missing": missing, "surplus": surplus}
            problems = [f"{len(rows):,} rows are {what} ({rows})" for what, rows in counts.items() if rows]
            raise AirflowException(
                f"Nothing was switched: in the tables that {building.job} built, {' and '.join(problems)}. Next: trigger replay "
                "again; it starts from scratch"
            )

    def _erase_again(self, stage: Stage, surplus: Positions) -> None:
        """Erase rows again that were erased before, and that Kafka's events have brought back."""
        again = surplus & erasures.erased(self.plan.pipeline, self.plan.topic.topic_id())
        built = [self.plan.table(name) for name in stage.sinks.values()]
        for name, rows in delete_rows(built, again, f"replay {self.plan.id}").items():
            log.info("%s: %s rows that had been erased before were erased again", name, rows)

    def _swap(self) -> None:
        """In one transaction of the catalog, rename the live tables to backups, and the new ones to the live names.

        :raises AirflowException: a table is gone; nothing was switched
        """
        from pyiceberg.catalog.sql import SqlCatalog

        catalog = self.iceberg.catalog
        assert isinstance(catalog, SqlCatalog), "checked by make_plan"
        for name in self.plan.tables:
            self._purge(backup_of(name))
            catalog.create_namespace_if_not_exists(backup_of(name).partition(".")[0])
        with catalog.engine.begin() as connection:
            for name, built in self.plan.tables.items():
                self._rename(catalog, connection, name, backup_of(name))
                self._rename(catalog, connection, built, name)
        for stage in self.plan.rebuilt:
            if known := states.load(self.plan.building(stage)):
                states.save(stage, known.renamed({built: name for name, built in self.plan.tables.items()}))

    def _rename(self, catalog: SqlCatalog, connection: Connection, old: str, new: str) -> None:
        """Move a table to another namespace."""
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import update

        where = is_table(catalog, tuple(old.split(".")))
        moved = connection.execute(update(IcebergTables).where(*where).values(table_namespace=new.partition(".")[0]))
        if moved.rowcount != 1:
            raise AirflowException(f"Nothing was switched: table {old} is gone. Next: trigger replay again")

    def abandon(self) -> None:
        """Cancel the replay's jobs and remove its tables; the live tables and the state of their jobs stay as they are."""
        for stage in self.plan.stages:
            self.cluster.cancel(self.plan.copying(stage))
            self.cluster.cancel(self.plan.state(stage))
        self.clean_up()

    def clean_up(self) -> None:
        """Remove the replay's own tables, namespaces and checkpoints."""
        catalog = self.iceberg.catalog
        for built in self.plan.tables.values():
            self._purge(built)
        for namespace in self.plan.namespaces:
            if catalog.namespace_exists(namespace) and not catalog.list_tables(namespace):
                catalog.drop_namespace(namespace)
        for stage in self.plan.rebuilt:
            checkpoints = stored(self.plan.state(stage.name).checkpoint_dir)
            if checkpoints.exists():
                checkpoints.rmdir(recursive=True)
            states.forget(self.plan.building(stage))

    def _purge(self, table: str) -> None:
        if self.iceberg.exists(table):
            self.iceberg.catalog.purge_table(table)
