"""Figures of table maintenance: how fast files are rewritten, and what a day's commits cost before and after it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.bench.commits import SinkCommits
from demo.main_job import TABLES, MainJob

if TYPE_CHECKING:
    import pyarrow
    from pyiceberg.table import Table

    from demo.bench import Bench

ROUNDS = 3
SLICES = 8
COMMITS = 10_000
ROWS_PER_FILE = 50
TARGET_BYTES = 128 * 1024 * 1024
SORT_ORDER = "pickup_date,pickup_hour"
#: All that no writer or reader needs goes.
NOW = {"snapshot_age_s": 1, "retain_last": 1}


def rewrites(bench: Bench, job: MainJob) -> None:
    """Silver's rows in small files, rewritten whole by Flink; and by DuckDB, with as many threads, as a yardstick."""
    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, summary_of

    silver = IcebergCatalogHook().table(TABLES["silver"])
    rows = silver.scan().to_arrow()
    for number in range(1, ROUNDS + 1):
        for strategy in ("binpack", "sort"):
            table = _like(silver, f"bench.{strategy}_{number}")
            _append_in_small_files(table, rows)
            megabytes = int(summary_of(table.current_snapshot())["total-files-size"]) / 1e6
            for who, rewrite in {"DuckDB": _duckdb_rewrite, "Flink": _flink_rewrite}.items():
                bench.note(
                    f"rewrite by {strategy}, one thread of {who}, MB/s", megabytes / rewrite(bench, table, strategy)
                )
            bench.note("    input of each, MB", megabytes)


def _append_in_small_files(table: Table, rows: pyarrow.Table) -> None:
    length = -(-rows.num_rows // SLICES)
    for number in range(SLICES):
        table.append(rows.slice(number * length, length))


def _like(model: Table, name: str) -> Table:
    """A new, empty table with the schema, partitions and properties of another."""
    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

    catalog = IcebergCatalogHook().catalog
    catalog.create_namespace_if_not_exists(name.split(".")[0])
    return catalog.create_table(name, model.schema(), partition_spec=model.spec(), properties=model.properties)


def _flink_rewrite(bench: Bench, table: Table, strategy: str) -> float:
    """Seconds of the procedure, rows compared before and after."""
    from lakehouse.maintenance.procedures import call

    order: dict[str, Any] = {"sort_order": SORT_ORDER} if strategy == "sort" else {}
    options: dict[str, Any] = {"target_file_size_bytes": TARGET_BYTES, "min_input_files": 2, "delete_file_threshold": 1}
    name = ".".join(table.name()[-2:])

    def rewrite() -> None:
        (done,) = call(
            "rewrite_data_files", table=name, strategy=strategy, **order, **options, rewrite_all=True, dry_run=False
        )
        if done["failed_groups"] or not done["groups"]:
            raise RuntimeError(f"the rewrite did not come about: {done}")

    return bench.timed(rewrite)


def _duckdb_rewrite(bench: Bench, table: Table, strategy: str) -> float:
    """Seconds of one thread that reads the table and writes its rows by partition."""
    from lakehouse.tables.duckdb_iceberg import IcebergDatabase

    order = f"ORDER BY {SORT_ORDER}" if strategy == "sort" else ""
    with tempfile.TemporaryDirectory(dir=bench.platform.home) as folder, IcebergDatabase(Path(folder), "2GB") as duckdb:
        duckdb.view("trips", table)
        duckdb.connection.execute("SET threads = 1")
        options = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (pickup_date)"
        return bench.timed(
            lambda: duckdb.connection.execute(f"COPY (FROM trips {order}) TO '{folder}/out' ({options})")
        )


def commits(bench: Bench, job: MainJob) -> None:
    """A table after more than a day of commits every 10 s, before and after its maintenance."""
    import pyarrow.compute as pc

    from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook

    catalog = IcebergCatalogHook().catalog
    bronze = IcebergCatalogHook().table(TABLES["bronze"])
    table = _like(bronze, "bench.commits")
    rows = bronze.scan().to_arrow()
    samples = [rows.filter(pc.field("kafka_partition") == partition)[:ROWS_PER_FILE] for partition in (0, 1, 2)]
    for sample in samples:
        table.append(sample)
    location = SinkCommits(table).write(COMMITS)
    catalog.drop_table("bench.commits")
    table = catalog.register_table("bench.commits", location)
    _state(bench, table, f"after {COMMITS:,} commits")
    _maintain(bench, "remove_orphan_files", when=" before all")
    for operation in ("rewrite_data_files", "rewrite_manifests", "expire_snapshots", "remove_orphan_files"):
        _maintain(bench, operation)
    _state(bench, table.refresh(), "after maintenance")


def _state(bench: Bench, table: Table, when: str) -> None:
    """Size of what describes the table, and what it costs to read it."""
    from lakehouse.airflow.hooks.iceberg import summary_of

    files = int(summary_of(table.current_snapshot())["total-data-files"])
    bench.note(f"{when}: data files", files)
    bench.note(f"{when}: snapshots", len(table.snapshots()))
    bench.note(f"{when}: metadata file, MB", len(table.io.new_input(table.metadata_location)) / 1e6)
    for _ in range(ROUNDS):
        bench.note(
            f"{when}: planning a scan (pyiceberg), ms", 1_000 * bench.timed(lambda: list(table.scan().plan_files()))
        )
        bench.note(f"{when}: iceberg_scan of all rows (DuckDB), ms", 1_000 * _scan_s(bench, table))


def _scan_s(bench: Bench, table: Table) -> float:
    from lakehouse.tables.duckdb_iceberg import IcebergDatabase

    with tempfile.TemporaryDirectory(dir=bench.platform.home) as folder, IcebergDatabase(Path(folder), "2GB") as duckdb:
        duckdb.view("raw_trips", table)
        query = "SELECT count(*), max(tpep_pickup_datetime) FROM raw_trips"
        return bench.timed(lambda: duckdb.connection.execute(query).fetchall())


def _maintain(bench: Bench, operation: str, when: str = "") -> None:
    """One operation by the shell's verb, in a process of its own."""
    seconds, memory_mb = bench.verb(
        "maintenance", "--table", "bench.commits", "--operation", operation, "--thresholds", json.dumps(NOW)
    )
    bench.note(f"{operation}{when}, s", seconds)
    bench.note(f"{operation}{when}, peak memory of the worker (RSS), MB", memory_mb)
