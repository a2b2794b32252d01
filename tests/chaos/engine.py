"""Injects faults under load, waits for the platform to recover by itself, and checks every row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import count

from airflow.sdk.exceptions import AirflowException
from confluent_kafka import KafkaException
from sqlalchemy.exc import SQLAlchemyError

from chaos.load import RATE, Load
from chaos.row_checks import Verdict
from chaos.stage import Stage
from lakehouse.quality.ledger import Ledger
from lakehouse.waiting import wait_until
from local.config import PlatformError

FLOW_LIMIT_S = 300
RECOVER_LIMIT_S = 360
DRAIN_LIMIT_S = 240
RESCUE_LIMIT_S = 600
SETTLE_S = 1.0  # a commit that was in flight when its process was killed is finished before rows are counted
NEXT_AFTER_S = 5  # maximum pause in a sequence
POLL_S = 0.5
#: Raised while a service is unavailable; anything else is an error in the suite, and is not caught.
AWAY = (AirflowException, KafkaException, PlatformError, SQLAlchemyError, OSError)


@dataclass(frozen=True)
class Fault:
    """A fault.

    :param strike: injects the fault on entering; undoes on leaving what only the suite can undo (SIGCONT, a plugged-in cable)
    :param lasts_s: duration in seconds
    :param impossible: returns why the fault is not possible on this machine, or None
    :param goal_s: seconds within which the platform should recover
    :param pending: why it is not injected yet
    :param combines: can overlap with other faults in a random sequence
    """

    name: str
    what: str
    strike: Callable[[Stage], AbstractContextManager]
    lasts_s: float = 0
    impossible: Callable[[Stage], str | None] = lambda _: None
    goal_s: float = 30
    pending: str | None = None
    combines: bool = False


@dataclass(frozen=True)
class Outcome:
    """The effects of a fault.

    :param recovery_s: from its end until the platform was healthy and new rows reached Silver; None: not by itself
    :param rows_in_flight: maximum number of events that were in Kafka but not in Silver
    :param lost: events missing in a layer
    :param duplicated: surplus rows
    :param altered: rows whose values differ from those sent
    """

    fault: str
    recovery_s: float | None
    rows_in_flight: int
    lost: int
    duplicated: int
    altered: int

    @property
    def good(self) -> bool:
        return self.recovery_s is not None and not (self.lost or self.duplicated or self.altered)


class NotStruck(Exception):
    """The fault could not be injected; the message says why."""


class Engine:
    """Injects faults one after the other, under a load of `rate` events/s."""

    def __init__(self, stage: Stage, check_rows: Callable[[], Verdict], seed: int, rate: int = RATE) -> None:
        self.stage = stage
        self.check_rows = check_rows
        self.rate = rate
        self.progress = stage.job.progress
        self._in_flight = 0
        self._random = random.Random(seed)
        self._seeds = count(seed * 1_000_000)

    def load(self) -> Load:
        """A load of new trips."""
        return Load(self.stage.platform.logs / "chaos-load.log", self._seeds, self.rate)

    def run(self, name: str, faults: Sequence[Fault]) -> Outcome:
        """Inject overlapping faults; then drain and check all rows.

        :raises NotStruck: a fault could not be injected
        """
        self.progress.done(f"{name} ...")
        with self.load():
            try:
                recovery_s = self.strike(faults)
            except Exception as error:
                self._rescue()
                raise NotStruck(f"{type(error).__name__}: {error}") from error
        verdict = self.drain_and_check()
        outcome = Outcome(name, recovery_s, self._in_flight, verdict.lost, verdict.duplicated, verdict.altered)
        self.progress.done(str(outcome))
        return outcome

    def strike(self, faults: Sequence[Fault]) -> float | None:
        """Inject faults under load; return the seconds until the platform had recovered, or None if it did not by itself."""
        self._await_well(FLOW_LIMIT_S)  # start only when rows flow
        self._in_flight = 0
        self.stage.struck_at = None
        with ExitStack() as struck:
            for fault in faults:
                struck.enter_context(fault.strike(self.stage))
                if fault is not faults[-1]:
                    time.sleep(self._random.uniform(0, NEXT_AFTER_S))
            lasts_s = max(fault.lasts_s for fault in faults)
            self._hold(lasts_s)
        over = time.monotonic() if lasts_s else self.stage.struck_at or time.monotonic()
        try:
            self._await_well(RECOVER_LIMIT_S)
        except TimeoutError as error:
            self.progress.done(f"  {error}")
            self._rescue()
            return None
        return round(time.monotonic() - over, 1)

    def _hold(self, seconds: float) -> None:
        """Wait, and measure meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1))
            self._look()

    def drain_and_check(self) -> Verdict:
        """Without load, wait until the ledger is balanced (or the limit); then return the verdict."""
        deadline = time.monotonic() + DRAIN_LIMIT_S
        while not ((ledger := self._look()) and ledger.balanced):
            if time.monotonic() > deadline:
                self.progress.done(f"not balanced within {DRAIN_LIMIT_S} s:\n{ledger}")
                break
            self.progress.waiting("waiting: rows in flight arrive")
            time.sleep(POLL_S)
        return self.check_rows()

    def _await_well(self, limit_s: float) -> None:
        """Wait until all services and jobs are healthy and new rows reach Silver.

        :raises TimeoutError: they are not; the message says why
        """
        deadline = time.monotonic() + limit_s
        time.sleep(SETTLE_S)
        before = None
        while True:
            problem = self.stage.problem() or "no new row in Silver"
            now = self._look()
            before = before or now
            if problem == "no new row in Silver" and before and now and in_silver(now) > in_silver(before):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not well within {limit_s} s: {problem}")
            self.progress.waiting(f"waiting: {problem}")
            time.sleep(POLL_S)

    def _rescue(self) -> None:
        """Do what an operator would do, so that the suite can continue."""
        self.stage.checkout.command("up")
        wait_until(self._redeployed, "the platform to recover manually", RESCUE_LIMIT_S, self.stage.problem)

    def _redeployed(self) -> bool:
        self.stage.at_rest("flink_jobs")
        self.stage.job.api.trigger("flink_jobs", {})
        self.stage.at_rest("flink_jobs")
        return self.stage.problem() is None

    def _look(self) -> Ledger | None:
        """The current ledger, or None while a service is unavailable; updates the maximum of rows in flight."""
        try:
            ledger = self.stage.ledger()
        except AWAY:
            return None
        self._in_flight = max(self._in_flight, sum(stage.in_flight for stage in ledger.stages))
        return ledger


def in_silver(ledger: Ledger) -> int:
    """Number of Bronze rows that Silver has processed."""
    return sum(ledger["silver"].rows.values())
