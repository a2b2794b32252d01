"""Tables are maintained while jobs write and read them: no job is affected, and every row still exists once."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from chaos.upkeep import ALL_BUT_THE_LAST, job_runs

from demo.main_job import Trips
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.log import DONE
from lakehouse.maintenance.run import Options, maintain
from lakehouse.maintenance.settings import Operation
from lakehouse.quality.audit import run_audit

TABLES = ("bronze.raw_trips", "silver.cleaned_trips")
DAYS_S = 86_400
LIMIT_S = 180


def forget_earlier_runs(home: Path, live: dict[str, tuple[str, int]]) -> None:
    """Remove the states of all runs except the live ones: expiry keeps what any restorable run would need."""
    for job, (job_id, _) in live.items():
        shutil.rmtree(home / "flink" / "savepoints" / job, ignore_errors=True)
        for folder in (home / "flink" / "checkpoints" / job).iterdir():
            if folder.name != job_id:
                shutil.rmtree(folder)


def plant_orphan(table: str) -> Path:
    """An unreferenced file, older than any checkpoint."""
    location = Location.parse(IcebergCatalogHook().table(table).location())
    file = Path("/", location.path, "data", "orphan.parquet")
    file.write_bytes(b"never committed")
    os.utime(file, times=(time.time() - 10 * DAYS_S,) * 2)
    return file


def test_while_jobs_are_running(platform, main_job, trips_arrive):
    for seed in (971, 972):
        main_job.send(Trips(events=500, seed=seed))
    main_job.at_rest("flink_jobs", LIMIT_S)
    before = job_runs(main_job.pipeline)
    forget_earlier_runs(platform.home, before)
    load = main_job.api.trigger(
        "taxi_trip_generator", {"events": 20_000, "mode": "realtime", "rate": 1_000, "seed": 973}
    )

    for table in TABLES:
        orphan = plant_orphan(table)
        options = Options(requested_by="test", force=True, overrides=ALL_BUT_THE_LAST)
        done = {operation: maintain(table, operation, options)[1] for operation in Operation}
        assert {entry.verdict for entry in done.values() if entry} == {DONE}
        rewritten = done[Operation.REWRITE_DATA_FILES]
        assert sum(row["rewritten_data_files_count"] for row in rewritten.result) > sum(
            row["added_data_files_count"] for row in rewritten.result
        )
        expired = done[Operation.EXPIRE_SNAPSHOTS]
        assert expired.after.snapshots < expired.before.snapshots
        assert expired.deleted_files > 0
        assert any("writer" in protected["by"] for protected in expired.protected)
        assert done[Operation.REMOVE_ORPHAN_FILES].deleted_files == 1
        assert not orphan.exists()

    main_job.wait(lambda: main_job.api.state("taxi_trip_generator", load) == "success", "the load to end", LIMIT_S)
    trips_arrive(seed=974)
    assert job_runs(main_job.pipeline) == before
    main_job.build()
    main_job.wait(main_job.ledger_at_rest, "all rows to arrive", LIMIT_S)
    report = run_audit(main_job.pipeline, at_rest=True)
    assert report.clean, f"\n{report}"
