"""The engine with a stub platform: what it measures, what it undoes, and what counts as not recovered."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from chaos import engine as engine_module
from chaos.catalogue import CATALOGUE, GOOD_SQL
from chaos.engine import Engine, Fault, NotStruck
from chaos.row_checks import Verdict
from lakehouse.pipelines.load import get_pipeline
from lakehouse.quality.ledger import Ledger, PartitionLedger, StageLedger
from local.config import ROOT


class Stage:
    """A stub platform with ten more rows in Silver at each request, unless it is broken."""

    def __init__(self) -> None:
        self.struck_at = None
        self.broken = False
        self.commands: list[str] = []
        self.done: list[str] = []
        self.checkout = SimpleNamespace(command=self.commands.append)
        self.job = SimpleNamespace(
            progress=SimpleNamespace(done=self.done.append, waiting=lambda text: None),
            api=SimpleNamespace(trigger=lambda *_: setattr(self, "broken", False)),
        )
        self._silver = 0

    def ledger(self) -> Ledger:
        if not self.broken:
            self._silver += 10
        pipeline = get_pipeline("nyc_taxi")
        bronze, silver, *_ = pipeline.stages.values()
        found = {0: PartitionLedger(self._silver, {"accepted": self._silver})}
        return Ledger(pipeline, (StageLedger(bronze, found), StageLedger(silver, found)))

    def problem(self) -> str | None:
        return "a service is down" if self.broken else None

    def at_rest(self, dag_id: str) -> None:
        pass


@pytest.fixture
def stage(monkeypatch) -> Stage:
    monkeypatch.setattr(engine_module, "SETTLE_S", 0)
    monkeypatch.setattr(engine_module, "POLL_S", 0.01)
    monkeypatch.setattr(engine_module, "RECOVER_LIMIT_S", 0.2)
    monkeypatch.setattr(Engine, "load", lambda self: nullcontext())
    return Stage()


@pytest.fixture
def engine(stage: Stage) -> Engine:
    return Engine(stage, lambda: Verdict(0, 0, 0), seed=1)


def breaks(stage: Stage):
    stage.broken = True
    return nullcontext()


def test_recovery_without_intervention_is_good(engine, stage):
    outcome = engine.run("harmless", [Fault("harmless", "", lambda _: nullcontext())])
    assert outcome.good
    assert stage.commands == []


def test_recovery_counts_from_the_marked_moment(engine, stage):
    def strike(stage: Stage):
        stage.struck_at = time.monotonic() - 100
        return nullcontext()

    assert engine.strike([Fault("earlier", "", strike)]) == pytest.approx(100, abs=2)


def test_the_suite_undoes_a_fault_after_its_duration(engine, stage):
    @contextmanager
    def strike(stage: Stage):
        stage.broken = True
        yield
        stage.broken = False

    began = time.monotonic()
    recovery_s = engine.strike([Fault("cut", "", strike, lasts_s=0.3)])
    assert recovery_s < 0.2
    assert time.monotonic() - began >= 0.3


def test_manual_recovery_is_not_good(engine, stage):
    outcome = engine.run("broken", [Fault("broken", "", breaks)])
    assert outcome.recovery_s is None
    assert not outcome.good
    assert stage.commands == ["up"]
    assert not stage.broken
    assert any("a service is down" in line for line in stage.done)


def test_a_fault_that_cannot_be_injected_is_reported(engine):
    def strike(stage: Stage):
        raise TimeoutError("no commit")

    with pytest.raises(NotStruck, match="TimeoutError: no commit"):
        engine.run("never", [Fault("never", "", strike)])


def test_lost_rows_are_not_good(stage):
    outcome = Engine(stage, lambda: Verdict(1, 0, 0), seed=1).run(
        "loses", [Fault("loses", "", lambda _: nullcontext())]
    )
    assert not outcome.good


def test_fault_names_are_unique_and_there_are_enough():
    names = [fault.name for fault in CATALOGUE]
    assert len(set(names)) == len(names) > 25


def test_the_text_that_the_broken_upgrade_replaces_is_in_the_sql():
    assert GOOD_SQL in (ROOT / "include" / "sql" / "05-bronze.sql").read_text()
