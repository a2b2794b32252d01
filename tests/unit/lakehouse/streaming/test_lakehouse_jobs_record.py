"""What is remembered of a job comes back as it was, is nobody else's to read, and says so when it is damaged."""

from __future__ import annotations

import stat

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.streaming import record as records
from lakehouse.streaming.record import STARTS_KEPT, Commit, JobRecord, Refused, Start, Version


@pytest.fixture
def full(job) -> JobRecord:
    starts = Start("a", None), Start("b", None, (Commit("bronze.raw_trips", "a", 7),)), Start("c", "file:///chk-9")
    return JobRecord(True, Version.of(job), Refused("f00d", "does not fit", "file:///savepoint-1"), starts)


@pytest.fixture
def file(job, tmp_path):
    return tmp_path / "flink/jobs/bronze.json"


def test_a_record_comes_back_as_it_was(job, full):
    records.save(job.state_dir, job.name, full)
    assert records.load(job.state_dir, job.name) == full
    records.save(job.state_dir, job.name, JobRecord())
    assert records.load(job.state_dir, job.name) == JobRecord()


def test_the_sql_comes_back_as_a_job(job, full):
    assert full.proven.as_job(job) == job


def test_without_a_file_nothing_is_remembered(job):
    assert records.load(job.state_dir, job.name) == JobRecord()


def test_only_its_owner_reads_it(job, full, file):
    """It holds passwords, as the rendered SQL does."""
    for _ in range(2):
        records.save(job.state_dir, job.name, full)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"suspended": false, "proven": {"sql": 1}}', "null"])
def test_a_damaged_record_is_named_with_the_next_step(job, full, file, content):
    records.save(job.state_dir, job.name, full)
    file.write_text(content)
    with pytest.raises(
        AirflowException, match=r"record of Flink job bronze at file:.*/jobs/bronze\.json is damaged.*Move it away"
    ):
        records.load(job.state_dir, job.name)


def test_a_record_that_cannot_be_written_leaves_the_old_one(job, full, file, monkeypatch):
    records.save(job.state_dir, job.name, full)
    monkeypatch.setattr(records, "asdict", lambda _: object())  # no JSON
    with pytest.raises(TypeError):
        records.save(job.state_dir, job.name, JobRecord())
    assert records.load(job.state_dir, job.name) == full


def test_a_start_is_kept_once_and_the_last_ones_are_kept():
    record = JobRecord()
    for number in (*range(STARTS_KEPT + 5), STARTS_KEPT + 4):
        record = record.starting(Start(str(number), None))
    assert [start.job_id for start in record.starts] == [str(number) for number in range(5, STARTS_KEPT + 5)]
