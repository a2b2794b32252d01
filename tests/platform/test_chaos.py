"""A few faults of the chaos suite; `make chaos` injects all of them under full load."""

from __future__ import annotations

import pytest
from chaos.catalogue import CATALOGUE
from chaos.engine import Engine
from chaos.row_checks import RowCheck, Verdict
from chaos.stage import Stage, tolerate_restarts

SEED, RATE = 5, 200
FAULTS = ("kill -9 flink-taskmanager", "kill -9 kafka", "kill -9 postgres", "commit answer lost")


@pytest.mark.timeout(1800)
def test_the_platform_recovers_by_itself_without_damaged_rows(platform, copy, main_job, proxy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_HEALTH_THRESHOLDS", tolerate_restarts(copy))
    faults = {fault.name: fault for fault in CATALOGUE}
    engine = Engine(Stage(platform, copy, main_job, proxy), RowCheck(main_job.topic), SEED, RATE)

    with engine.load():
        recovery_s = {name: engine.strike([faults[name]]) for name in FAULTS}

    assert engine.drain_and_check() == Verdict(lost=0, duplicated=0, altered=0)
    assert [name for name, seconds in recovery_s.items() if seconds is None] == []
