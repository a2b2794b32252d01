"""One operation from the decision to the log entry, with a stub of Flink."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from more_pipelines import RIDES, declare
from streamed import DAYS, NAME, SCHEMA, append, expired, protect, reload, rewrite

from lakehouse.airflow.hooks.flink import FlinkSqlError
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.maintenance import log
from lakehouse.maintenance.engines import ENGINES
from lakehouse.maintenance.lease import lease
from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.log import LogEntry
from lakehouse.maintenance.quarantine import Quarantine
from lakehouse.maintenance.run import Options, maintain, maintained_tables, overview, purge, restore
from lakehouse.maintenance.settings import Engine, Operation

REWRITE, MANIFESTS, EXPIRE, ORPHANS = Operation
NOW = Options("run 1", force=True)
SOON = replace(NOW, overrides={"snapshot_age_s": 0, "retain_last": 1, "orphan_age_s": 3600, "orphan_percent": 100})


def rows() -> list[dict]:
    """The log, oldest entry first."""
    if not IcebergCatalogHook().exists(log.TABLE):
        return []
    return sorted(
        IcebergCatalogHook().table(log.TABLE).scan().to_arrow().to_pylist(), key=lambda row: row["finished_at"]
    )


def groups(**more) -> list[dict]:
    """A result row of the rewrite: no group failed."""
    return [{"failed_groups": 0, "conflicts": 0, "reasons": None, **more}]


def test_every_operation_has_one_engine():
    assert {operation: engine for operation, (engine, _) in ENGINES.items()} == {
        REWRITE: Engine.FLINK,
        MANIFESTS: Engine.FLINK,
        EXPIRE: Engine.FLINK,
        ORPHANS: Engine.PYICEBERG,
    }


def test_nothing_is_done_if_nothing_is_due(trips, flink):
    append(trips)
    decision, entry = maintain(NAME, REWRITE, Options("run 1"))
    assert entry is None
    assert decision.reason.startswith(f"{NAME}: 1 small file in 1 partition, but")
    assert (rows(), flink.statements) == ([], [])


def test_flink_does_a_rewrite(trips, flink):
    for day in (*DAYS, *DAYS):
        append(trips, 5, day)

    def answer(_: str) -> list[dict]:
        rewrite(reload())
        return groups(rewritten_data_files_count=4, added_data_files_count=2)

    flink.procedures["rewrite_data_files"] = answer
    _, entry = maintain(NAME, REWRITE, NOW)
    catalog, call = flink.statements
    assert catalog.startswith("CREATE CATALOG iceberg_catalog WITH (")
    assert "`table` => 'silver.cleaned_trips'" in call
    assert "strategy => 'binpack'" in call  # both partitions are still open
    assert "dry_run => FALSE" in call
    assert "where" not in call
    [row] = rows()
    assert row["verdict"] == entry.verdict == "done"
    assert (row["table_name"], row["operation"], row["engine"], row["run"]) == (
        NAME,
        "rewrite_data_files",
        "flink",
        "run 1",
    )
    assert [row[f"{what}_before"] for what in ("files", "snapshots", "manifests")] == [4, 4, 4]
    assert [row[f"{what}_after"] for what in ("files", "snapshots")] == [2, 5]
    assert row["bytes_before"] > row["bytes_after"] > 0
    assert row["rows_before"] == row["rows_after"] == 20
    assert json.loads(row["parameters"])["calls"][0]["min_input_files"] == 2
    assert json.loads(row["result"]) == groups(rewritten_data_files_count=4, added_data_files_count=2)
    assert row["reason"] == f"{NAME}: 4 small files in 2 partitions, 2 open ones lightly"
    assert (row["dry_run"], row["seconds"] > 0) == (False, True)


def test_closed_partitions_are_selected_and_sorted(trips, flink, monkeypatch):
    for day in (*DAYS, DAYS[0]):
        append(trips, 1, day)
    maintain(NAME, REWRITE, replace(NOW, overrides={"closed_after_s": 0}))
    [call] = flink.called("rewrite_data_files")
    assert "`where` => '(`pickup_date` = DATE ''2024-01-01'')'" in call
    assert "strategy => 'sort'" in call
    assert "sort_order => 'pickup_date,pickup_hour'" in call


def test_a_rewrite_that_loses_rows_fails_and_is_logged(trips, flink):
    append(trips, 5)
    append(trips, 5)
    flink.procedures["rewrite_data_files"] = lambda _: groups(rewritten=rewrite(reload(), lose=1))
    message = r"did not keep its rows: snapshot \d+ replaced 10 rows with 9, and the table went from 10 rows to 9"
    with pytest.raises(AirflowFailException, match=message):
        maintain(NAME, REWRITE, NOW)
    [row] = rows()
    assert "did not keep its rows" in row["verdict"]
    assert row["files_before"] == 2
    assert row["files_after"] is None


def test_a_group_with_a_conflict_is_left_to_the_next_run_and_a_failed_one_is_an_error(trips, flink):
    append(trips)
    append(trips)
    flink.procedures["rewrite_data_files"] = groups(failed_groups=1, conflicts=1, reasons="another commit")
    assert maintain(NAME, REWRITE, NOW)[1].verdict == "done"
    flink.procedures["rewrite_data_files"] = groups(failed_groups=3, conflicts=1, reasons="no space left on device")
    with pytest.raises(
        AirflowException, match=r"2 file groups could not be rewritten \(the others were\): no space left"
    ):
        maintain(NAME, REWRITE, NOW)
    assert "no space left" in rows()[1]["verdict"]
    assert json.loads(rows()[1]["result"])[0]["failed_groups"] == 3


def test_lost_rows_are_noticed_if_the_call_failed_afterwards(trips, flink):
    append(trips, 5)
    append(trips, 5)

    def answer(_: str) -> str:
        rewrite(reload(), lose=1)
        return "java.lang.IllegalStateException: the second group"

    flink.procedures["rewrite_data_files"] = answer
    with pytest.raises(AirflowFailException, match="did not keep its rows") as error:
        maintain(NAME, REWRITE, NOW)
    assert "the second group" in str(error.value.__cause__)


def test_rows_that_a_writer_adds_meanwhile_do_not_matter(trips, flink):
    append(trips, 5)
    append(trips, 5)

    def answer(_: str) -> list[dict]:
        append(reload(), 7)
        rewrite(reload())
        append(reload(), 7)
        return groups()

    flink.procedures["rewrite_data_files"] = answer
    assert maintain(NAME, REWRITE, NOW)[1].verdict == "done"


def test_an_error_of_flink_is_logged(trips, flink):
    append(trips)
    append(trips)
    flink.procedures["rewrite_data_files"] = "java.lang.IllegalStateException: hash differs\n\tat x"
    with pytest.raises(FlinkSqlError, match="hash differs"):
        maintain(NAME, REWRITE, NOW)
    [row] = rows()
    assert "hash differs" in row["verdict"]
    assert "\n" not in row["verdict"]
    with lease(NAME, "the next", wait_s=0.2):
        assert not [path for method, path, _ in flink.http.requests if method == "DELETE"][
            1:
        ]  # no session was left behind


def test_flink_expires_snapshots_and_the_protected_ones_are_logged(trips, flink):
    ids = [append(trips) for _ in range(2)]
    kept = [(ids[0], "reader 's' of job silver: its position"), (ids[1], "branch main; writer sink of Flink job a")]
    flink.procedures["protected_snapshots"] = protect(*kept)
    flink.procedures["expire_snapshots"] = expired(data_files=1, manifest_files=2, manifest_lists=3, bytes=70)
    _, entry = maintain(NAME, EXPIRE, replace(SOON, dry_run=True))
    assert (entry.engine, entry.deleted_files, entry.deleted_bytes) == ("flink", 6, 70)
    protected = json.loads(rows()[0]["protected"])
    assert [(found["snapshot_id"], found["by"]) for found in protected] == kept
    [call] = flink.called("expire_snapshots")
    for part in (
        "older_than => TIMESTAMP '20",
        "retain_last => 1",
        "ignore_unknown_positions => FALSE",
        "dry_run => TRUE",
    ):
        assert part in call


def test_files_that_expiry_could_not_delete_are_an_error_and_logged(trips, flink):
    append(trips)
    append(trips)
    flink.procedures |= {"protected_snapshots": protect(), "expire_snapshots": expired(failed_deletes_count=0)}
    assert maintain(NAME, EXPIRE, SOON)[1].verdict == "done"
    flink.procedures["expire_snapshots"] = expired(manifest_lists=3, failed_deletes_count=2)
    flink.answered.clear()
    message = "2 files could not be deleted: orphan removal will delete them"
    with pytest.raises(AirflowException, match=message):
        maintain(NAME, EXPIRE, SOON)
    assert (rows()[-1]["verdict"], rows()[-1]["deleted_files"]) == (message, 3)


def test_an_unknown_position_stops_it(trips, flink):
    append(trips)
    append(trips)
    flink.procedures["protected_snapshots"] = "java.lang.IllegalStateException: position of silver is unknown"
    with pytest.raises(FlinkSqlError, match="position of silver is unknown"):
        maintain(NAME, EXPIRE, SOON)
    assert "position of silver is unknown" in rows()[0]["verdict"]
    assert flink.called("expire_snapshots") == []
    flink.procedures |= {"protected_snapshots": protect(), "expire_snapshots": expired()}
    maintain(NAME, EXPIRE, replace(SOON, ignore_unknown_positions=True))
    asked = flink.called("protected_snapshots")
    assert ["ignore_unknown_positions => TRUE" in call for call in asked] == [False, True]
    assert "ignore_unknown_positions => TRUE" in flink.called("expire_snapshots")[0]


def test_orphans_are_quarantined_restored_and_purged(trips, flink, plant):
    append(trips)
    orphan = plant(trips, "data/x")
    _, dry = maintain(NAME, ORPHANS, replace(SOON, dry_run=True))
    assert (dry.deleted_files, dry.deleted_bytes, dry.result["quarantine"], orphan.exists()) == (1, 1, None, True)
    _, done = maintain(NAME, ORPHANS, SOON)
    assert (done.engine, done.deleted_files, orphan.exists()) == ("pyiceberg", 1, False)
    assert flink.statements == []
    assert purge(SOON) is None  # too young
    assert restore(Options("jane"), NAME).deleted_files == 1
    assert orphan.exists()
    maintain(NAME, ORPHANS, SOON)
    overdue = replace(SOON, overrides={"purge_age_s": 0})
    assert purge(replace(overdue, dry_run=True)).deleted_files == 1
    assert purge(overdue).deleted_files == 1
    assert Quarantine().kept() == []
    assert [(row["operation"], row["table_name"]) for row in rows()] == [
        ("remove_orphan_files", NAME), ("remove_orphan_files", NAME), ("restore", NAME), ("remove_orphan_files", NAME),
        ("purge", None), ("purge", None),
    ]  # fmt: skip


def test_files_that_could_not_be_restored_are_an_error_and_logged(trips, flink, plant):
    plant(trips, "data/x")
    maintain(NAME, ORPHANS, SOON)
    plant(trips, "data/x")
    with pytest.raises(AirflowException, match=r"restore: 0 files; 1 left in quarantine: .* exists: "):
        restore(Options("jane"))
    assert " exists: " in rows()[-1]["verdict"]


def test_quarantine_needs_no_flink(trips, http, connect):
    connect("flink_rest", port=http.server_port)  # answers 404 to everything
    batch = Quarantine().new_batch()
    Quarantine().put(batch, Location.parse(trips.metadata_location))
    assert restore(Options("jane"), batch=batch.name).deleted_files == 1


def test_dry_runs_do_not_count_for_the_interval(trips, flink):
    assert maintain(NAME, ORPHANS, Options("1", dry_run=True))[1]
    assert maintain(NAME, ORPHANS, Options("2"))[1]
    assert maintain(NAME, ORPHANS, Options("3"))[1] is None
    assert maintain(NAME, ORPHANS, Options("4", force=True))[1]
    flink.jobs = []
    assert [row["run"] for row in rows()] == ["1", "2", "4"]
    assert log.last_done_ms(NAME, ORPHANS) == int(rows()[2]["finished_at"].timestamp() * 1000)
    assert log.last_done_ms(NAME, EXPIRE) is None


def test_concurrent_appends_to_the_log(iceberg):
    entry = LogEntry(NAME, EXPIRE, Engine.FLINK, False, "run 1", {}, "asked for", "done", 1.0)
    log.append(entry)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: log.append(entry), range(8)))
    assert len(rows()) == 9
    assert len({row["id"] for row in rows()}) == 9


def test_a_failure_that_could_not_be_logged_reports_both(trips, flink, monkeypatch):
    append(trips)
    append(trips)
    flink.procedures["rewrite_data_files"] = "java.lang.IllegalStateException: hash differs"
    monkeypatch.setattr(log, "append", lambda entry: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(FlinkSqlError, match="hash differs") as error:
        maintain(NAME, REWRITE, NOW)
    assert error.value.__notes__ == ["In addition, it could not be logged in ops.maintenance_log: disk full"]


def test_tables_are_those_of_the_declared_pipelines_and_the_log(trips, fill):
    """Not all tables of their namespaces."""
    for name in ("bronze.raw_trips", "bronze.added_by_hand", "silver_before_replay.cleaned_trips", "other.table"):
        fill(name, 0)
    assert maintained_tables() == ["bronze.raw_trips", NAME]
    log.append(LogEntry(None, "purge", Engine.PYICEBERG, False, "run 1", {}, "", "done", 1.0))
    assert maintained_tables()[-1] == log.TABLE


@pytest.mark.parametrize("enabled", [True, False])
def test_tables_of_a_second_disabled_pipeline_in_any_namespace(trips, fill, monkeypatch, tmp_path, enabled):
    declare(monkeypatch, tmp_path, rides={**RIDES, "enabled": enabled})
    for name in ("bronze.rides", "refused.rides", "core.rides", "core.other"):
        fill(name, 0)
    assert sorted(maintained_tables()) == ["bronze.rides", "core.rides", "refused.rides", NAME]


def test_each_table_has_the_sort_order_of_its_own_pipeline(flink, iceberg, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, rides=RIDES)
    iceberg.create_namespace("core")
    table = iceberg.create_table("core.rides", SCHEMA)
    for _ in range(2):
        append(table)
    flink.procedures["rewrite_data_files"] = groups()
    maintain("core.rides", REWRITE, replace(NOW, overrides={"closed_after_s": 0}))
    [call] = flink.called("rewrite_data_files")
    assert "sort_order => 'pickup_date'," in call


def test_overview(trips, flink):
    append(trips)
    append(trips)
    assert overview(log.of_run("run 1")) == "Nothing was due."
    flink.procedures |= {"protected_snapshots": protect(), "expire_snapshots": expired(manifest_lists=1)}
    maintain(NAME, EXPIRE, replace(SOON, dry_run=True))
    header, line = overview(log.of_run("run 1")).splitlines()
    assert header.split() == ["table", "operation", "files", "snapshots", "deleted", "seconds", "verdict"]
    assert line.split("  ")[0] == NAME
    assert line.split()[1:9] == ["expire_snapshots", "2", ">", "2", "2", ">", "2", "1"]
    assert line.endswith("done (dry run)")
    assert log.of_run("run 2") == []


def test_a_platform_without_tables(iceberg):
    iceberg.destroy_tables()
    assert maintained_tables() == []
    assert purge(Options(requested_by="run 1")) is None
    assert overview(log.of_run("run 1")) == "Nothing was due."
