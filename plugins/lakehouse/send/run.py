"""Reads, checks, sends and counts the rows of a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from lakehouse.pipelines.model import Pipeline
from lakehouse.producer import key_of, key_text, pipeline_producer

from .files import BATCH_ROWS, Row, RowFile
from .rows import Conversion, Refused

if TYPE_CHECKING:
    from lakehouse.producer import TopicProducer

#: Number of refused rows to show.
SHOWN = 5
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Sent:
    """The result of sending a file: each row was delivered or refused.

    :param refused: reason -> number of rows, the most frequent first
    :param examples: the first refused rows, each with its place in the file
    :param seconds: from the first row to the last delivery
    """

    topic: str
    rows: int
    delivered: int
    refused: dict[str, int]
    examples: tuple[str, ...]
    seconds: float

    @property
    def refused_rows(self) -> int:
        return sum(self.refused.values())

    def __str__(self) -> str:
        lines = [f"{self.delivered:,} of {self.rows:,} rows were delivered to {self.topic} in {self.seconds:.1f} s."]
        if self.refused:
            lines.append(f"{self.refused_rows:,} were refused, because they do not match the contract:")
            lines += [f"{rows:>12,}  {reason}" for reason, rows in self.refused.items()]
            lines += ["The first of them:", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)


def send_file(pipeline: Pipeline, file: Path | str) -> Sent:
    """Send each row that matches the contract to the pipeline's topic; count the others by reason.

    :param file: JSON lines, CSV with a header, or Parquet
    :raises AirflowException: the file cannot be read, Kafka or the registry does not answer, or an event was not delivered; the
        message says how many were delivered
    """
    rows = RowFile(Path(file))
    return _Sending(pipeline, rows, pipeline_producer(pipeline)).run()


class _Sending:
    def __init__(self, pipeline: Pipeline, file: RowFile, producer: TopicProducer) -> None:
        self._file = file
        self._producer = producer
        self._key = pipeline.topic.key
        self._conversion = Conversion(pipeline.contract, file.kind == "CSV", file.kind == "JSON lines")
        self._rows = 0
        self._refused: Counter[str] = Counter()
        self._examples: list[str] = []

    def run(self) -> Sent:
        started = time.monotonic()
        batch: list[tuple[int, bytes | None, bytes]] = []
        try:
            for event in self._events():
                batch.append(event)
                if len(batch) == BATCH_ROWS:
                    self._send(batch)
                    batch = []
            self._send(batch)
        except AirflowException as error:
            self._producer.finish()
            raise AirflowException(f"{error} {self._producer.delivered:,} events were delivered before.") from error
        self._producer.finish()
        if self._producer.failed:
            raise self._failed()
        return Sent(
            self._producer.topic,
            self._rows,
            self._producer.delivered,
            dict(self._refused.most_common()),
            tuple(self._examples),
            time.monotonic() - started,
        )

    def _send(self, batch: list[tuple[int, bytes | None, bytes]]) -> None:
        if not batch:
            return
        numbers, keys, values = zip(*batch, strict=True)
        sent = self._producer.send(keys, values)
        if sent < len(values) or self._producer.failed:
            self._producer.finish()
            raise self._failed(f" The last row that was handed over is in {self._file.place} {numbers[sent - 1]:,}.")

    def _failed(self, where: str = "") -> AirflowException:
        return AirflowException(
            f"{self._producer.failed:,} events were not delivered to {self._producer.topic}: "
            f"{self._producer.first_error}.{where} "
            "Next: fix the row or start the broker, then send the file again."
        )

    def _events(self) -> Iterator[tuple[int, bytes | None, bytes]]:
        """Row number, key and value of each event."""
        for row in self._file.rows():
            self._rows += 1
            try:
                yield row.number, *self._event(row)
            except Refused as refused:
                self._note(row, refused)

    def _event(self, row: Row) -> tuple[bytes | None, bytes]:
        import orjson

        if row.values is None:
            raise Refused(row.problem)
        event = self._conversion.event(row.values)
        try:
            value = row.raw or orjson.dumps(event, default=_as_json)
            return self._key_of(event, value), value
        except (TypeError, ValueError) as error:
            raise Refused(f"cannot be written as JSON in UTF-8 ({error})") from error

    def _key_of(self, event: dict[str, Any], value: bytes) -> bytes | None:
        key = event.get(self._key) if self._key else None
        return key_text(key) if isinstance(key, str | int | None) else key_of(value, self._key)

    def _note(self, row: Row, refused: Refused) -> None:
        self._refused[refused.reason] += 1
        if len(self._examples) < SHOWN:
            value = "" if refused.value is None else f": {refused.value!r:.{SHOWN_CHARACTERS}}"
            self._examples.append(f"{self._file.place} {row.number:,}: {refused.reason}{value}")


def _as_json(value: Any) -> Any:
    """Serialize a decimal digit by digit, which orjson does not support."""
    import orjson

    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"JSON has no equivalent for type {type(value).__name__}")
