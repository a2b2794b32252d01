"""Reads the rows of a JSON lines, CSV or Parquet file, each with its number, or the reason why it cannot be read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException

BATCH_ROWS = 10_000
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
_FORMATS = "use JSON lines, CSV with a header, or Parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    :param number: line number in a text file, row number in Parquet, from 1
    :param values: values by field; None if it cannot be read
    :param raw: the bytes of the event, if the file is JSON lines
    :param problem: why it cannot be read
    """

    number: int
    values: dict[str, Any] | None
    raw: bytes | None = None
    problem: str = ""


class RowFile:
    """A file of rows.

    :raises AirflowException: it cannot be read, or has another format
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = self._detect_kind()
        #: Whether all values are text, to be typed by the contract.
        self.is_text = self.kind == "CSV"
        #: What the number of a row counts.
        self.place = "row" if self.kind == "Parquet" else "line"

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the file.

        :raises AirflowException: the file cannot be read to its end
        """
        read = {"Parquet": self._parquet, "CSV": self._csv, "JSON lines": self._json_lines}[self.kind]
        try:
            yield from read()
        except OSError as error:  # includes those of pyarrow that are not ValueErrors
            raise self._error(f"cannot be read to its end: {error}", "write it again") from error

    def _detect_kind(self) -> str:
        try:
            with self.path.open("rb") as file:
                start = file.read(65_536)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}", "check path and permissions") from error
        if start.startswith(PARQUET):
            return "Parquet"
        if start.startswith(GZIP) or b"\0" in start:
            raise self._error("is neither text nor Parquet", f"unpack it, or {_FORMATS}")
        match start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]:
            case b"{" | b"":
                return "JSON lines"
            case b"[":
                raise self._error("is a JSON array", "write one object per line")
        return "CSV"

    def _json_lines(self) -> Iterator[Row]:
        import orjson

        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
                if not text:
                    continue
                try:
                    values = orjson.loads(text)
                except orjson.JSONDecodeError:
                    yield Row(number, None, problem="not JSON")
                    continue
                if isinstance(values, dict):
                    yield Row(number, values, text)
                else:
                    yield Row(number, None, problem="JSON, but not an object")

    def _csv(self) -> Iterator[Row]:
        # Bytes that are not UTF-8 become lone surrogates, which cannot be sent: only these rows are refused.
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = self._header(reader)
            while True:
                number = reader.line_num + 1
                try:
                    texts = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Row(number, None, problem=f"not CSV ({error})")
                    continue
                if len(texts) == len(header):
                    yield Row(number, dict(zip(header, texts, strict=True)))
                elif texts:
                    yield Row(number, None, problem=f"does not have as many values as the header ({len(header)})")

    def _header(self, reader: Iterator[list[str]]) -> list[str]:
        try:
            header = [name.strip() for name in next(reader)]
        except (csv.Error, StopIteration) as error:
            raise self._error(f"has no header: {error}", _FORMATS) from error
        if twice := {name for name in header if header.count(name) > 1}:
            raise self._error(f"has the column {min(twice)!r} more than once", "rename or remove one of them")
        return header

    def _parquet(self) -> Iterator[Row]:
        import pyarrow as pa
        import pyarrow.parquet

        number = 0
        try:
            with pa.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    columns = [_python_values(column) for column in batch.columns]
                    for values in zip(*columns, strict=True):
                        number += 1
                        yield Row(number, dict(zip(batch.schema.names, values, strict=True)))
        except pa.ArrowException as error:
            raise self._error(f"cannot be read after row {number:,}: {error}", "write it again") from error

    def _error(self, problem: str, next_step: str) -> AirflowException:
        return AirflowException(f"File {self.path} {problem}. Next: {next_step}.")


def _python_values(column: Any) -> list[Any]:
    """An Arrow column as Python values; timestamps in microseconds, which is the precision of the tables."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column.to_pylist()
