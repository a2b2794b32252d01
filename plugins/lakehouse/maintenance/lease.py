"""A lease for each table, which gives its holder exclusive access for maintenance, or to replace the table.

A lease is a row in the database of the connection `coordination`, with an expiry time that its holder keeps renewing. An advisory
lock would be free as soon as a worker is killed, although the worker's call keeps running in Flink's SQL Gateway unnoticed. The
row outlives the worker and names its gateway session, so that the next holder can end it first. All times are the database's.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.maintenance.procedures import end_rewrite
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from sqlalchemy import Table

log = logging.getLogger(__name__)

TTL_S = 120
WAIT_S = 1800


class LeaseLost(AirflowException):
    """The lease expired, or another try of the same task took it: the former holder must not touch the table any more."""


@cache
def _rows() -> Table:
    from sqlalchemy import Column, DateTime, MetaData, Table, Text

    return Table(
        "maintenance_leases",
        MetaData(),
        Column("table_name", Text, primary_key=True),
        Column("holder", Text),
        Column("purpose", Text),
        Column("token", Text),
        Column("ends_at", DateTime(timezone=True), nullable=False),
        Column("gateway_session", Text),
    )


@dataclass
class Lease:
    """The lease of one table.

    :param token: identifies this try; another try of the same task has its own
    """

    table: str
    holder: str
    purpose: str
    ttl_s: float = TTL_S
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self._engine = CoordinationHook().engine

    def take(self) -> tuple[bool, str]:
        """Take the lease if it is free or expired, or if an earlier try of the same holder has it.

        :return: whether it was taken; and if so, the gateway session that was left behind, otherwise who holds it
        """
        from sqlalchemy import func, select
        from sqlalchemy.dialects.postgresql import insert

        rows = _rows()
        with self._engine.begin() as connection:
            never = insert(rows).values(table_name=self.table, ends_at=func.to_timestamp(0))
            connection.execute(never.on_conflict_do_nothing())
            mine = rows.c.table_name == self.table
            ended = (rows.c.ends_at <= func.clock_timestamp()).label("ended")
            found = connection.execute(select(rows, ended).where(mine).with_for_update()).mappings().one()
            if not found["ended"] and found["holder"] != self.holder:
                return False, f"{found['holder']} ({found['purpose']}) until {found['ends_at']:%Y-%m-%d %H:%M:%S %Z}"
            held = {"holder": self.holder, "purpose": self.purpose, "token": self.token, "ends_at": self._expiry()}
            connection.execute(rows.update().where(mine).values(held))
            return True, found["gateway_session"] or ""

    def check(self) -> None:
        """Renew the lease.

        :raises LeaseLost: it is no longer ours
        """
        self._change(ends_at=self._expiry())

    def note_session(self, handle: str) -> None:
        """Record which gateway session is working for us (empty: none). Errors as in `check`."""
        self._change(ends_at=self._expiry(), gateway_session=handle or None)

    def release(self) -> None:
        """Release the lease if it is still ours; a recorded session stays, for the next holder to end."""
        from sqlalchemy import func

        try:
            self._change(ends_at=func.clock_timestamp())
        except LeaseLost as error:
            log.warning("%s", error)

    def _expiry(self) -> Any:
        from sqlalchemy import func

        return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, float(self.ttl_s))

    def _change(self, **values: Any) -> None:
        from sqlalchemy import func

        rows = _rows()
        ours = (rows.c.table_name == self.table, rows.c.token == self.token, rows.c.ends_at > func.clock_timestamp())
        with self._engine.begin() as connection:
            if not connection.execute(rows.update().where(*ours).values(values)).rowcount:
                raise LeaseLost(
                    f"The lease of {self.table} for {self.purpose} was lost: it was not renewed for {self.ttl_s:g} s, or another "
                    "try of the same task has it. This try has stopped. Next: see the other try, or run this again."
                )


@contextmanager
def lease(
    table: str,
    purpose: str,
    holder: str | None = None,
    wait_s: float = WAIT_S,
    ttl_s: float = TTL_S,
    clear: Callable[[str, str | None], None] = end_rewrite,
) -> Iterator[Lease]:
    """Hold the lease of `namespace.table`; whatever an earlier holder left running in Flink is ended first.

    :param purpose: what it is needed for, as text
    :param holder: the same holder gets the lease back at once; by default it is unique to this call
    :param wait_s: how long to wait for another holder
    :param clear: ends what is still running on the table; called with the gateway session that was left behind, if any
    :raises TimeoutError: another holder kept the lease, or a rewrite that was found running did not end
    :raises FlinkError: Flink cannot be asked whether a rewrite is running
    """
    _make_table()
    held = Lease(table, holder or f"{socket.gethostname()} {uuid.uuid4().hex[:8]}", purpose, ttl_s)
    taken: tuple[bool, str] = (False, "")

    def take() -> bool:
        nonlocal taken
        taken = held.take()
        return taken[0]

    wait_until(take, f"the lease of {table} for {purpose}", wait_s, on_timeout=lambda: f"It is held by {taken[1]}.")
    stop = Event()
    renewing = Thread(target=_renew, args=(held, stop), daemon=True)
    renewing.start()
    try:
        clear(table, taken[1] or None)
        held.note_session("")
        yield held
    finally:
        stop.set()
        renewing.join()
        held.release()


def _renew(held: Lease, stop: Event) -> None:
    """Renew the lease periodically, early enough to retry when the database is briefly unavailable."""
    while not stop.wait(held.ttl_s / 6):
        try:
            held.check()
        except LeaseLost:
            return
        except Exception as error:
            log.warning("The lease of %s could not be renewed yet: %s", held.table, error)


def _make_table() -> None:
    hook = CoordinationHook()
    with hook.lock("maintenance-leases"):
        _rows().create(hook.engine, checkfirst=True)
