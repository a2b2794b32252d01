"""A job that began without stable operator ids keeps its own, whatever new jobs begin with."""

from __future__ import annotations

from lakehouse.streaming.operator_ids import STABLE, kept

DECLARED = STABLE | {"execution.checkpointing.interval": "10 s"}


def test_a_new_job_has_stable_ids():
    assert kept(DECLARED, None) == DECLARED


def test_so_has_one_that_began_with_them():
    assert kept(DECLARED, STABLE) == DECLARED


def test_an_older_job_keeps_its_own():
    assert kept(DECLARED, {"parallelism.default": "1"}) == {"execution.checkpointing.interval": "10 s"}
