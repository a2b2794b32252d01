"""A job's record is stored completely, is private, and is reported if it is damaged."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException
from remembered import began, committed

from lakehouse.streaming import record as records
from lakehouse.streaming.record import STARTS_KEPT, JobRecord, RolledBack, Version


@pytest.fixture
def full(job) -> JobRecord:
    starts = (
        began("a"),
        began("b", None, (committed("bronze.raw_trips", "a", 7),)),
        began("c", "file:///chk-9"),
    )
    return JobRecord(
        suspended=True,
        last_stable=Version.of(job),
        rolled_back=RolledBack(fingerprint="f00d", reason="does not fit", savepoint="file:///savepoint-1"),
        starts=starts,
    )


@pytest.fixture
def file(job, tmp_path):
    return tmp_path / "flink/jobs/trips.bronze.json"


def test_a_record_is_stored_completely(job, full):
    records.save(job, full)
    assert records.load(job) == full
    records.save(job, JobRecord())
    assert records.load(job) == JobRecord()


def test_the_last_stable_version_is_identified_by_its_sql_and_options(job, full):
    assert full.last_stable.fingerprint == job.fingerprint


def test_a_renamed_job_keeps_its_record(job, full):
    renamed = replace(job, name="trips.raw", renamed_from=job.name)
    records.save(job, full)
    assert records.load(renamed) == full
    records.save(renamed, JobRecord())
    assert records.load(renamed) == JobRecord()
    assert records.load(job) == full


def test_a_record_of_version_1_is_read(job, file):
    file.parent.mkdir(parents=True)
    start = {"job_id": "a", "restored_from": None, "after": [{"table": "t", "job_id": "b", "checkpoint_id": 3}]}
    version = {"fingerprint": "f00d", "script": "INSERT", "options": {"a": "b"}}
    refused = {"fingerprint": "beef", "reason": "x", "savepoint": None}
    old = {"suspended": True, "proven": version, "refused": refused, "starts": [start]}
    file.write_text(json.dumps(old))
    found = records.load(job)
    assert (found.suspended, found.last_stable.script, found.rolled_back.fingerprint) == (True, "INSERT", "beef")
    assert found.starts[0].after == (committed("t", "b", 3),)


def test_without_a_file_the_record_is_empty(job):
    assert records.load(job) == JobRecord()


def test_only_its_owner_can_read_it(job, full, file):
    """It contains passwords, because the rendered SQL does."""
    for _ in range(2):
        records.save(job, full)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"suspended": false, "proven": {"sql": 1}}', "null"])
def test_a_damaged_record_is_reported_with_the_next_step(job, full, file, content):
    records.save(job, full)
    file.write_text(content)
    with pytest.raises(
        AirflowException,
        match=r"record of Flink job trips\.bronze at file:.*/jobs/trips\.bronze\.json is damaged.*move the file away",
    ):
        records.load(job)


def test_a_failed_write_keeps_the_old_record(job, full, file, monkeypatch):
    records.save(job, full)
    monkeypatch.setattr(JobRecord, "model_dump_json", lambda _: object())  # no text
    with pytest.raises(TypeError):
        records.save(job, JobRecord())
    assert records.load(job) == full


def test_the_last_starts_are_kept_without_repetition():
    record = JobRecord()
    for number in (*range(STARTS_KEPT + 5), STARTS_KEPT + 4):
        record = record.starting(began(str(number)))
    assert [start.job_id for start in record.starts] == [str(number) for number in range(5, STARTS_KEPT + 5)]
