"""The moment of a replay: jobs at rest, the ledger checked on the new tables, then all of them in place at once.

Needs a catalog in a database (`sql`/JDBC): several tables are renamed there in one transaction.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.maintenance.lease import lease
from lakehouse.replay.plan import ReplayPlan
from lakehouse.storage import stored
from lakehouse.streaming import record as records
from lakehouse.streaming.cluster import RUNNING_LIMIT_S, JobCluster
from lakehouse.streaming.declared import JOBS
from lakehouse.streaming.job import FlinkJob
from lakehouse.streaming.lock import deployment_lock
from lakehouse.waiting import wait_until

log = logging.getLogger(__name__)

CATCH_UP_LIMIT_S = 240  # below the limit of the locks, which whoever deploys the jobs waits for meanwhile


class Switch:
    """Puts the tables of one replay in the place of the live ones."""

    def __init__(self, plan: ReplayPlan, topic: TopicHook, state_dir: str) -> None:
        self.plan = plan
        self.topic = topic
        self.state_dir = state_dir
        self.cluster = JobCluster()
        self.flink = self.cluster.flink
        self.iceberg = IcebergCatalogHook()

    def run(self) -> dict[str, int]:
        """Switch, and return the rows of each new table. A second run finds it done.

        The live jobs stop with a savepoint, which stays theirs if the switch does not come about. The jobs that built the
        new tables end with a savepoint in the folder of the live ones: these go on from it, because it is the only
        state that fits the new tables.

        :raises AirflowException: the ledger of the new tables is not balanced; nothing was switched
        :raises TimeoutError: maintenance is not done with a table; nothing was switched
        """
        with ExitStack() as locks:
            # Before the jobs are stopped: maintenance may take its time to be done with a table.
            for name in (name for layer in self.plan.layers for name in JOBS[layer].tables):
                locks.enter_context(lease(name, "the switch of a replay", f"taxi_replay {self.plan.id}"))
            for layer in JOBS:
                locks.enter_context(deployment_lock(layer))
            if not self._is_done():
                self._stop_live()
                if "bronze" in self.plan.layers:
                    self._finish_bronze()
                self._finish_silver()
                self._swap()
            for layer in self.plan.layers:
                # What ran before the switch says nothing about the new tables.
                remembered = records.load(self.state_dir, layer)
                records.save(self.state_dir, layer, replace(remembered, proven=None, refused=None))
        return {name: self.iceberg.rows(name) for layer in self.plan.layers for name in JOBS[layer].tables}

    def _is_done(self) -> bool:
        """The swap is one transaction: with the tables gone from where they were built, it has happened."""
        return not self.iceberg.catalog.table_exists(self.plan.table(JOBS["silver"].tables[0]))

    def _stop_live(self) -> None:
        for layer in reversed(JOBS):
            self._stop(layer, layer)

    def _finish_bronze(self) -> None:
        """Wait until each event up to now is in Bronze exactly once, then end its job."""
        upto = self.topic.end_offsets()
        if self.flink.live_run(self.plan.job("bronze")):
            wait_until(
                lambda: self._built("bronze") >= sum(upto.values()),
                f"rows of {self.plan.namespace('bronze')} to reach {sum(upto.values()):,}",
                CATCH_UP_LIMIT_S,
                on_timeout=lambda: f"They are {self._built('bronze'):,}",
            )
            wait_until(
                lambda: not self._unlike(upto),
                f"each event in {self.plan.namespace('bronze')} once",
                RUNNING_LIMIT_S,
                on_timeout=lambda: "; ".join(self._unlike(upto)),
            )
            self._stop(self.plan.job("bronze"), "bronze")
        if unlike := self._unlike(upto):
            raise AirflowException(f"Nothing was switched: in {self.plan.namespace('bronze')}, {'; '.join(unlike)}")

    def _finish_silver(self) -> None:
        """Wait until each row of Bronze, where nothing is added any more, is in Silver, then end its job."""
        bronze = self.iceberg.rows(self.plan.table("bronze.raw_trips"))
        if self.flink.live_run(self.plan.job("silver")):
            wait_until(
                lambda: self._built("silver") == bronze,
                f"rows of {self.plan.namespace('silver')} to be the {bronze:,} of Bronze",
                CATCH_UP_LIMIT_S,
                on_timeout=lambda: f"They are {self._built('silver'):,}",
            )
            self._stop(self.plan.job("silver"), "silver")
        if (silver := self._built("silver")) != bronze:
            raise AirflowException(
                f"Nothing was switched: Bronze holds {bronze:,} rows, {self.plan.namespace('silver')} {silver:,}"
            )

    def _stop(self, job: str, layer: str) -> None:
        """Stop a job with a savepoint among those of the layer's live job."""
        if run := self.flink.live_run(job):
            log.info("Flink job %s: stopped with savepoint %s", job, self.cluster.stop(self._folders(layer), run))

    def _folders(self, job: str) -> FlinkJob:
        """A job as far as where its states are."""
        return FlinkJob(job, "", (), self.state_dir)

    def _unlike(self, upto: dict[int, int]) -> list[str]:
        """For each partition whose events below an offset are not in Bronze once each: how many are, in words."""
        import duckdb

        found = {}
        with duckdb.connect() as connection:
            scans = []
            for number, name in enumerate(JOBS["bronze"].tables):
                columns = ("kafka_partition", "kafka_offset")
                rows = self.iceberg.table(self.plan.table(name)).scan(selected_fields=columns)
                connection.register(f"t{number}", rows.to_arrow_batch_reader())
                scans.append(f"SELECT * FROM t{number}")
            connection.execute(f"CREATE TEMP TABLE positions AS {' UNION ALL '.join(scans)}")
            count = "SELECT count(*), count(DISTINCT kafka_offset) FROM positions"
            for partition, offset in upto.items():
                rows = connection.execute(f"{count} WHERE kafka_partition = {partition} AND kafka_offset < {offset}")
                found[partition] = rows.fetchone()
        return [
            f"partition {partition} has {rows:,} rows of {distinct:,} events instead of {upto[partition]:,}"
            for partition, (rows, distinct) in found.items()
            if not rows == distinct == upto[partition]
        ]

    def _swap(self) -> None:
        """In one transaction of the catalog: live tables step aside, and the new ones take their names."""
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import update
        from sqlalchemy.orm import Session

        catalog = self.iceberg.catalog
        for layer in self.plan.layers:
            self._drop(aside(layer))
            catalog.create_namespace_if_not_exists(aside(layer))
        with Session(catalog.engine) as session, session.begin():
            for layer in self.plan.layers:
                for old, new in ((layer, aside(layer)), (self.plan.namespace(layer), layer)):
                    where = (IcebergTables.catalog_name == catalog.name, IcebergTables.table_namespace == old)
                    session.execute(update(IcebergTables).where(*where).values(table_namespace=new))

    def abandon(self) -> None:
        """End what was being built and remove it; the live tables and the states of their jobs stay as they are."""
        for layer in self.plan.layers:
            self.cluster.cancel(self._folders(self.plan.job(layer)))
        self.clean_up()

    def clean_up(self) -> None:
        """Remove what is left of the building: its namespaces, and the checkpoints of its jobs."""
        for layer in self.plan.layers:
            self._drop(self.plan.namespace(layer))
            if self.iceberg.catalog.namespace_exists(self.plan.namespace(layer)):
                self.iceberg.catalog.drop_namespace(self.plan.namespace(layer))
            checkpoints = stored(self._folders(self.plan.job(layer)).checkpoint_dir)
            if checkpoints.exists():
                checkpoints.rmdir(recursive=True)

    def _drop(self, namespace: str) -> None:
        catalog = self.iceberg.catalog
        if catalog.namespace_exists(namespace):
            for table in catalog.list_tables(namespace):
                catalog.purge_table(table)

    def _built(self, layer: str) -> int:
        """Rows of the layer's tables as this replay builds them."""
        return self.iceberg.rows(*map(self.plan.table, JOBS[layer].tables))


def aside(layer: str) -> str:
    """Namespace in which the tables that a replay replaced stay until the next replay."""
    return f"{layer}_before_replay"
