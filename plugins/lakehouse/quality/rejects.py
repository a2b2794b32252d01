"""Rejected events: counted, shown, and written to a file where they can be fixed. `rejects_replay` sends them again.

As a command: `python -m lakehouse rejects --help`.
"""

from __future__ import annotations

import argparse
import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.streaming.declared import JOBS
from taxi_generator.events import COLUMNS, INTEGER, NUMBER

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Layer -> its table of rejected events, and when a row was written.
LAYERS = {"bronze": ("bronze.rejected_events", "ingested_at"), "silver": ("silver.rejected_trips", "processed_at")}
SHOWN = 10
SHOWN_CHARACTERS = 400
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Reason:
    """Why events were rejected, and how many of them.

    :param mended: those for which another event was sent to put them right
    :param last_at: when the newest was rejected
    """

    layer: str
    reason: str
    rejected: int
    mended: int
    last_at: datetime


@dataclass(frozen=True)
class Reject:
    """One rejected event.

    :param payload: its value; of Silver's, the fields that Bronze keeps, as JSON
    """

    layer: str
    partition: int
    offset: int
    reason: str
    payload: bytes | None

    @property
    def position(self) -> str:
        """Partition and offset, as the header and column `mends` write them."""
        return f"{self.partition}:{self.offset}"


def reasons() -> list[Reason]:
    """Every reason of both layers, the most frequent first.

    :raises AirflowException: the catalog cannot be read; the message says what to do
    """
    found = []
    for layer, (_, at) in LAYERS.items():
        rows = _rejects(layer, at).execute(
            f"SELECT reason, count(*) AS rejected, count(mends), epoch(max({at})) FROM rejects GROUP BY reason "
            "ORDER BY rejected DESC, reason"
        )
        found += [Reason(layer, *row, datetime.fromtimestamp(last, UTC)) for *row, last in rows.fetchall()]
    return found


def open_rejects(layer: str, reason: str | None = None, limit: int | None = None) -> Iterator[Reject]:
    """Rejected events of a layer that nobody has mended yet, by position; if wanted, of one reason, and the first ones only.

    :raises AirflowException: the catalog cannot be read; the message says what to do
    """
    content = ["payload"] if layer == "bronze" else list(COLUMNS)
    rows = _rejects(layer, *content, reason=reason).execute(
        f"SELECT kafka_partition, kafka_offset, reason, {', '.join(content)} FROM rejects WHERE mends IS NULL "
        "ORDER BY kafka_partition, kafka_offset LIMIT ?",
        [limit],
    )
    while batch := rows.fetchmany(1_000):
        for partition, offset, why, *values in batch:
            payload = values[0] if layer == "bronze" else _as_event(dict(zip(content, values, strict=True)))
            yield Reject(layer, partition, offset, why, payload)


def rejected_positions() -> Iterator[str]:
    """Position ("partition:offset") of each rejected event of both layers."""
    for table, _ in LAYERS.values():
        scan = IcebergCatalogHook().table(table).scan(selected_fields=("kafka_partition", "kafka_offset"))
        for batch in scan.to_arrow_batch_reader():
            for row in batch.to_pylist():
                yield f"{row['kafka_partition']}:{row['kafka_offset']}"


def mended_positions() -> set[str]:
    """Positions ("partition:offset") that events in Bronze say they mend. Files that hold none are not read."""
    found: set[str] = set()
    for name in JOBS["bronze"].tables:
        scan = IcebergCatalogHook().table(name).scan("mends IS NOT NULL", selected_fields=("mends",))
        for batch in scan.to_arrow_batch_reader():
            found.update(batch.column("mends").to_pylist())
    return found


def _rejects(layer: str, *columns: str, reason: str | None = None) -> DuckDBPyConnection:
    """A layer's rejected events as the view `rejects`, read batch by batch; `mends` is set where one is mended."""
    import duckdb
    import pyarrow as pa
    from pyiceberg.expressions import AlwaysTrue, EqualTo

    table = IcebergCatalogHook().table(LAYERS[layer][0])
    wanted = ("kafka_partition", "kafka_offset", "reason", *columns)
    scan = table.scan(EqualTo("reason", reason) if reason else AlwaysTrue(), selected_fields=wanted)
    connection = duckdb.connect()
    connection.register("rows", scan.to_arrow_batch_reader())
    connection.register("mended", pa.table({"mends": pa.array(sorted(mended_positions()), pa.string())}))
    connection.execute(
        "CREATE TEMP VIEW rejects AS FROM rows LEFT JOIN mended ON mends = kafka_partition || ':' || kafka_offset"
    )
    return connection


def _as_event(fields: dict[str, str | None]) -> bytes:
    """The event again: a number digit by digit where the field is one, and null where it was null or missing."""
    import orjson

    def value(name: str, text: str | None) -> Any:
        is_number = text is not None and COLUMNS[name] in (INTEGER, NUMBER) and _JSON_NUMBER.fullmatch(text)
        return orjson.Fragment(text) if is_number else text

    return orjson.dumps({name: value(name, text) for name, text in fields.items()})


def write(rejects: Iterable[Reject], file: Path) -> int:
    """Write one JSON object a line: the position, the reason, and `payload`, which is to be mended. How many were written.

    `payload` is JSON where the event is an object, else text, or null for none; `payload_base64` holds what is not UTF-8.
    """
    import orjson

    written = 0
    with file.open("xb") as lines:
        for reject in rejects:
            head = {"layer": reject.layer, "position": reject.position, "reason": reject.reason}
            lines.write(orjson.dumps(head | _payload(reject)) + b"\n")
            written += 1
    return written


def _payload(reject: Reject) -> dict[str, Any]:
    import orjson

    if reject.payload is None:
        return {"payload": None}
    if reject.layer == "silver":
        return {"payload": orjson.Fragment(reject.payload)}
    try:
        return {"payload": reject.payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(reject.payload).decode()}


def readable(payload: bytes | None) -> str:
    """A payload on one line, cut where it is long; what does not print, or would steer a terminal, is escaped."""
    if payload is None:
        return "(none)"
    text = payload[: 4 * SHOWN_CHARACTERS].decode(errors="backslashreplace")[:SHOWN_CHARACTERS]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(payload) <= len(text.encode()) else f"{shown}... ({len(payload):,} bytes)"


def overview(found: list[Reason]) -> str:
    """The reasons as a table."""
    lines = [f"{'layer':8} {'rejected':>12} {'mended':>12}  {'last':19}  reason"]
    lines += [
        f"{r.layer:8} {r.rejected:>12,} {r.mended:>12,}  {r.last_at:%Y-%m-%d %H:%M:%S}  {r.reason}" for r in found
    ]
    return "\n".join(lines) if found else "No event was ever rejected."


def main(*arguments: str) -> int:
    """Show what was rejected, or write it to a file."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse rejects", description=__doc__)
    parser.add_argument("--layer", choices=LAYERS, help="only of this layer")
    parser.add_argument("--reason", help="only of this reason")
    parser.add_argument(
        "--limit", type=int, help=f"the first so many of a layer; by default {SHOWN}, or all with --file"
    )
    parser.add_argument("--file", type=Path, help="write them there, to be mended and replayed")
    options = parser.parse_args(arguments)
    layers = [options.layer] if options.layer else list(LAYERS)
    if options.file:
        found = (reject for layer in layers for reject in open_rejects(layer, options.reason, options.limit))
        try:
            written = write(found, options.file)
        except OSError as error:
            raise AirflowException(
                f"{options.file} cannot be written: {error.strerror}. Next: name another."
            ) from error
        print(
            f"{written:,} rejected events are in {options.file}. Mend each `payload`, then: make rejects-replay FILE=..."
        )
        return 0
    print(overview(reasons()))
    for layer in layers:
        for reject in open_rejects(layer, options.reason, SHOWN if options.limit is None else options.limit):
            print(f"\n{layer} {reject.position}: {reject.reason}\n  {readable(reject.payload)}")
    return 0
