"""A job's fingerprint covers its SQL and its options."""

from dataclasses import replace

import pytest


@pytest.mark.parametrize(
    "change",
    [{"script": "INSERT INTO b"}, {"options": {"parallelism.default": "2", "a": "b"}}, {"options": {"a": "b"}}],
)
def test_other_sql_or_options_give_another_fingerprint(job, change):
    assert replace(job, **change).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"a": "b", "parallelism.default": "1"}},  # the same options in another order
        {"name": "other"},
        {"tables": ("other.table",)},
        {"state_dir": "s3://elsewhere"},
        {"topic_tables": {"source": "bronze.raw_trips"}},
        {"renamed_from": "bronze"},
        {"script": "CREATE  TABLE source;\n-- a comment\nEXECUTE STATEMENT SET\nBEGIN INSERT INTO a; END"},
    ],
)
def test_other_changes_do_not(job, change):
    assert replace(job, **change).fingerprint == job.fingerprint
