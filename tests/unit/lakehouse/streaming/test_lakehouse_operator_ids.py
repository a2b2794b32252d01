"""Jobs that started without stable operator ids keep theirs; new jobs have stable ones."""

from __future__ import annotations

from lakehouse.streaming.operator_ids import STABLE, kept

DECLARED = STABLE | {"execution.checkpointing.interval": "10 s"}


def test_a_new_job_has_stable_ids():
    assert kept(DECLARED, None) == DECLARED


def test_a_job_that_started_with_them_keeps_them():
    assert kept(DECLARED, STABLE) == DECLARED


def test_an_older_job_keeps_its_own():
    assert kept(DECLARED, {"parallelism.default": "1"}) == {"execution.checkpointing.interval": "10 s"}
