"""Options of a run's form, and of a shell command, reach the operation."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from more_pipelines import RIDES, declare
from streamed import NAME, append, expired, protect

from lakehouse.maintenance import log, shell, tasks
from lakehouse.maintenance.run import Options, maintain
from lakehouse.maintenance.settings import Operation
from lakehouse.streaming.state import HEADER, MAGIC

EXPIRE, ORPHANS = Operation.EXPIRE_SNAPSHOTS, Operation.REMOVE_ORPHAN_FILES
FORM = {"tables": None, "operations": None, "dry_run": False, "thresholds": None, "ignore_unknown_positions": False}


def context(map_index: int = 0, **form) -> dict:
    ti = SimpleNamespace(dag_id="iceberg_maintenance", task_id="maintain.x", map_index=map_index, run_id="run 1")
    return {"params": {**FORM, **form}, "run_id": "run 1", "ti": ti}


@pytest.fixture
def three(trips, flink):
    """A table with three snapshots, none of which is protected."""
    for _ in range(3):
        append(trips)
    flink.procedures |= {"protected_snapshots": protect(), "expire_snapshots": expired()}
    return flink


def test_the_form():
    assert tasks._options(context()) == Options("run 1")
    form = {
        "operations": [EXPIRE.value],
        "dry_run": True,
        "thresholds": {"open_files": 2},
        "ignore_unknown_positions": True,
    }
    assert tasks._options(context(**form)) == Options("run 1", True, True, {"open_files": 2}, True)


def test_tables(three):
    assert tasks.tables(context()) == [NAME]
    assert tasks.tables(context(tables=[NAME, NAME])) == [NAME]
    with pytest.raises(
        AirflowFailException, match=r"There is no Iceberg table 'a\.b'\. Next: choose one of bronze\.raw_trips, "
    ):
        tasks.tables(context(tables=[NAME, "a.b"]))


def test_without_a_selection_only_tables_that_need_something(three, monkeypatch):
    assert tasks.tables(context()) == [NAME]  # orphans were never searched for
    tasks.operate(context(), NAME, ORPHANS)
    assert tasks.tables(context()) == [log.TABLE]
    assert set(tasks.tables(context(operations=[EXPIRE.value]))) == {NAME, log.TABLE}


def test_a_scheduled_run_follows_the_policy(three):
    with pytest.raises(
        AirflowSkipException, match=r"Nothing to do\. silver\.cleaned_trips: none of 3 snapshots is old enough"
    ):
        tasks.operate(context(), NAME, EXPIRE)
    assert "last search for orphan files never" in tasks.operate(context(), NAME, ORPHANS)


def test_only_requested_operations_are_done(three):
    form = {"operations": [EXPIRE.value], "thresholds": {"snapshot_age_s": 0, "retain_last": 1}}
    with pytest.raises(AirflowSkipException, match="remove_orphan_files was not requested"):
        tasks.operate(context(**form), NAME, ORPHANS)
    assert "requested" in tasks.operate(context(**form), NAME, EXPIRE)
    assert len(three.called("expire_snapshots")) == 1
    assert tasks.report(context()).splitlines()[1].startswith(NAME)
    assert tasks.purge_quarantine(context()) == 0


def test_old_states_are_removed(three, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_VAR_FLINK_STATE_DIR", f"file://{tmp_path}")
    assert tasks.remove_old_states(context()) == 0
    # Of the job's current and its former name.
    folders = ["silver", "silver", "nyc_taxi.silver", "nyc_taxi.silver", "nyc_taxi.silver"]
    files = [
        tmp_path / f"savepoints/{folder}/savepoint-{number:06}-aa/_metadata" for number, folder in enumerate(folders)
    ]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True)
        file.write_bytes(HEADER.pack(MAGIC, 4, number))
    assert tasks.remove_old_states(context()) == 0  # too young
    form = {"thresholds": {"state_age_s": 0}}
    assert tasks.remove_old_states(context(**form, dry_run=True)) == 2
    assert all(file.exists() for file in files)
    assert tasks.remove_old_states(context(**form)) == 2
    assert [file.exists() for file in files] == [False, False, True, True, True]
    dry, done = log.of_run("run 1")
    assert (dry["dry_run"], done["dry_run"], done["operation"]) == (True, False, "remove_old_states")
    assert done["deleted_bytes"] == 2 * HEADER.size
    assert "savepoint-000001-aa" in done["result"]
    assert shell.run_operation("remove_old_states", [], shell.options()) == 0
    assert capsys.readouterr().out == "Nothing to do.\n"


def test_each_task_is_its_own_lease_holder():
    one, same, other = (tasks._holder(context(index)) for index in (0, 0, 1))
    assert one == same == "iceberg_maintenance.maintain.x[0] of run 1"
    assert one != other


def test_decisions_from_the_shell(three, capsys):
    assert shell.print_decisions([], shell.options()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [*Operation]
    assert [line.startswith("DUE") for line in lines] == [False, False, False, True]
    assert log.of_run("run 1") == []


def test_an_operation_from_the_shell(three, capsys):
    options = shell.options(dry_run=True, overrides={"snapshot_age_s": 0, "retain_last": 2})
    assert shell.run_operation(EXPIRE, [NAME], options) == 0
    reason, _, entry = capsys.readouterr().out.partition("\n")
    assert reason.startswith(f"{NAME}: 1 snapshot may expire, requested")
    assert (json.loads(entry)["verdict"], json.loads(entry)["dry_run"]) == ("done", True)
    shell.run_operation("purge", [], shell.options())
    shell.run_operation(Operation.REWRITE_MANIFESTS, [NAME], options)
    assert three.called("rewrite_manifests") == []
    shell.run_operation(Operation.REWRITE_MANIFESTS, [NAME], shell.options())
    assert len(three.called("rewrite_manifests")) == 1


def test_restore_from_the_shell(trips, flink, plant, capsys):
    orphan = plant(trips, "data/x")
    maintain(NAME, ORPHANS, Options("run 1", force=True))
    with pytest.raises(AirflowException, match="restore has no dry run"):
        shell.run_operation("restore", [NAME], shell.options(dry_run=True))
    with pytest.raises(AirflowException, match=r"takes one table, not a\.b, c\.d"):
        shell.run_operation("restore", ["a.b", "c.d"], shell.options())
    assert not orphan.exists()
    assert shell.run_operation("restore", [NAME], shell.options()) == 0
    assert json.loads(capsys.readouterr().out)["deleted_files"] == 1
    assert orphan.exists()


def test_a_missing_table(iceberg, flink, capsys):
    assert shell.run_operation(EXPIRE, ["silver.none"], shell.options()) == 1
    assert "error: expire_snapshots of silver.none: Iceberg table silver.none does not" in capsys.readouterr().err


def test_a_failing_table_does_not_stop_the_others(three, fill, capsys):
    fill("silver.rejected_trips", 1)
    fill("silver.rejected_trips", 1)
    three.procedures["protected_snapshots"] = lambda call: (
        "java.lang.IllegalStateException: position is unknown" if NAME in call else protect()
    )
    assert shell.run_operation(EXPIRE, [], shell.options(overrides={"snapshot_age_s": 0, "retain_last": 1})) == 1
    printed = capsys.readouterr()
    assert "position is unknown" in printed.err
    assert "silver.rejected_trips: 1 snapshot may expire" in printed.out


def test_states_of_every_pipeline_except_those_of_live_runs(three, tmp_path, monkeypatch):
    """A live run keeps its checkpoints, also under the former name of its job."""
    declare(monkeypatch, tmp_path, rides={**RIDES, "enabled": False})
    monkeypatch.setenv("AIRFLOW_VAR_FLINK_STATE_DIR", f"file://{tmp_path}")
    runs = {"rides.typing": "c" * 32, "bronze": "a" * 32, "silver": "b" * 32}
    for job, run in runs.items():
        for number in range(4):
            file = tmp_path / f"checkpoints/{job}/{run}/chk-{number}/_metadata"
            file.parent.mkdir(parents=True)
            file.write_bytes(HEADER.pack(MAGIC, 4, number))
        for number in range(3):  # newer
            file = tmp_path / f"savepoints/{job}/savepoint-{run[:6]}-{number}/_metadata"
            file.parent.mkdir(parents=True)
            file.write_bytes(HEADER.pack(MAGIC, 4, 10 + number))
    three.jobs = [{"jid": "a" * 32, "name": "bronze", "state": "RUNNING", "start-time": 1}]
    assert tasks.remove_old_states(context(thresholds={"state_age_s": 0})) == 8
    assert [job for job, run in runs.items() if (tmp_path / f"checkpoints/{job}/{run}").exists()] == ["bronze"]
