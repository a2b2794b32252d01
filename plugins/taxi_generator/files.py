"""Reads TLC's yellow-taxi files of any year, Parquet or CSV, batch by batch, as events in the current format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.texts import printable

from .errors import GeneratorError
from .events import BATCH_ROWS, COLUMNS, CONTRACT, INTEGER, NUMBER, TEXT, TIMESTAMP, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

# Earlier names of columns, unless they are Silver's names too.
_FORMER_NAMES = {
    "vendor_name": "VendorID",
    "trip_pickup_datetime": "tpep_pickup_datetime",
    "trip_dropoff_datetime": "tpep_dropoff_datetime",
    "rate_code": "RatecodeID",
    "store_and_forward": "store_and_fwd_flag",
    "fare_amt": "fare_amount",
    "surcharge": "extra",
    "tip_amt": "tip_amount",
    "tolls_amt": "tolls_amount",
    "total_amt": "total_amount",
}
#: Names of an event's fields, in order of precedence; case and surrounding blanks are ignored.
_NAMES = (
    {field.name.lower(): field.name for field in CONTRACT.fields},
    {field.column: field.name for field in CONTRACT.fields},
    _FORMER_NAMES,
)

# Until 2010 some codes were text; the numbers are from TLC's data dictionary. Vendor DDS has none.
_CODES = {
    "VendorID": {"CMT": 1, "VTS": 2},
    "payment_type": {
        "CREDIT": 1, "CRE": 1, "CRD": 1, "CASH": 2, "CAS": 2, "CSH": 2, "NO CHARGE": 3, "NO": 3, "NOC": 3,
        "DISPUTE": 4, "DIS": 4, "UNKNOWN": 5, "UNK": 5,
    },
}  # fmt: skip
_FLAGS = {"0": "N", "1": "Y", "0.0": "N", "1.0": "Y"}

# A trip without these violates a rule of Silver: a file without the column is not a yellow-taxi file.
_NEEDED = ["tpep_pickup_datetime", "tpep_dropoff_datetime", "trip_distance", "fare_amount"]
_USE_A_TAXI_FILE = "use a yellow_tripdata file of TLC's trip record data"
# CSV has no types: of the columns that exist only in some years, these are numbers.
_NUMBERS_OF_SOME_YEARS = {
    "cbd_congestion_fee", "ehail_fee", "start_lon", "start_lat", "end_lon", "end_lat",
    "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude",
}  # fmt: skip


class TripFile:
    """A file opened for reading: its `missing` and `extra` columns, and its `batches()`."""

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self._is_parquet = self._detect_parquet()
        self._source = self._columns_of_the_file()
        #: Name in the event -> indexes of its columns in the file; several, if names are equal or differ only in case.
        self._places = self._match(self._source)
        self.missing = [name for name in COLUMNS if name not in self._places]
        self.extra = [name for name in self._places if name not in COLUMNS]
        #: Column -> values without a code; complete after the last batch.
        self.unknown_codes: dict[str, set[str]] = {}
        needed = [name for name in _NEEDED if name in self.missing]
        if needed:
            raise self._error(f"has no column {', '.join(needed)}, only {', '.join(self._source)}", _USE_A_TAXI_FILE)

    def batches(self, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows, at most `limit`, in the file's order."""
        import pyarrow as pa

        left = limit
        row = 0
        reader = self._parquet_batches() if self._is_parquet else self._csv_batches()
        while left is None or left > 0:
            try:
                batch = next(reader, None)
            except (pa.ArrowInvalid, OSError) as error:
                problem = f"cannot be read after row {row:,}: {error}"
                raise self._error(problem, "download it again") from error
            if batch is None:
                if not row:
                    raise self._error("has no trips", _USE_A_TAXI_FILE)
                return
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(start, BATCH_ROWS if left is None else min(BATCH_ROWS, left))
                if part.num_rows:
                    yield self._events(part, row)
                row += part.num_rows
                left = None if left is None else left - part.num_rows

    def _detect_parquet(self) -> bool:
        try:
            with self.path.open("rb") as file:
                return file.read(4) == b"PAR1"
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}", "check path and permissions") from error

    def _columns_of_the_file(self) -> list[str]:
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        try:
            if self._is_parquet:
                return pa.parquet.read_schema(self.path).names
            with pa.csv.open_csv(self.path) as reader:
                return reader.schema.names
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            kind = "Parquet" if self._is_parquet else "CSV"
            raise self._error(f"cannot be read as {kind}: {error}", _USE_A_TAXI_FILE) from error

    def _match(self, columns: list[str]) -> dict[str, list[int]]:
        """Names in the event of all columns in the file, with the indexes of all columns that have them."""
        keys = [column.strip().lower() for column in columns]
        matched: dict[str, str] = {}
        for names in _NAMES:
            for key in keys:
                name = names.get(key)
                if key not in matched and name and name not in matched.values():
                    matched[key] = name
        places: dict[str, list[int]] = {}
        for place, (key, column) in enumerate(zip(keys, columns, strict=True)):
            places.setdefault(matched.setdefault(key, column.strip()), []).append(place)
        return places

    def _parquet_batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet

        # With a buffer per column; otherwise a whole row group (a million rows, in TLC's files) is read at once.
        with pyarrow.parquet.ParquetFile(self.path, buffer_size=65_536, pre_buffer=False) as file:
            yield from file.iter_batches(BATCH_ROWS, use_threads=False)

    def _csv_batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.csv

        # As text, because a type inferred from the first block may fail on a later one; events are typed below.
        types = pa.csv.ConvertOptions(column_types=dict.fromkeys(self._source, pa.string()), strings_can_be_null=True)
        with pa.csv.open_csv(self.path, convert_options=types) as reader:
            yield from reader

    def _events(self, batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
        import pyarrow as pa

        by_name = {}
        for name, places in self._places.items():
            try:
                columns = [self._event_column(name, batch.column(place)) for place in places]
                by_name[name] = self._merged(name, columns, row)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise self._error(
                    f"column {self._source[places[0]].strip()}, rows {row + 1:,} to {row + batch.num_rows:,}: {error}",
                    "correct the value, or use TLC's Parquet file of the month",
                ) from error
        for name in self.missing:
            by_name[name] = pa.nulls(batch.num_rows, arrow_type(COLUMNS[name]))
        names = [*COLUMNS, *self.extra]
        return pa.record_batch([by_name[name] for name in names], names=names)

    def _event_column(self, name: str, values: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        kind = COLUMNS.get(name) or _kind_of_extra(name, values.type)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = pc.utf8_trim_whitespace(values.cast(pa.string()))
            values = pc.if_else(pc.equal(values, ""), None, values)
            if name in _CODES:
                values = self._codes(name, values)
        if name in COLUMNS and (zone := getattr(values.type, "tz", None)):
            # Only the file's writer knows which local time an instant represents.
            raise self._error(
                f"has times with a zone ({zone}) as {name}, but trips have New York's local time",
                "write them without a zone, as local time",
            )
        if kind == TIMESTAMP:
            # Via microseconds, which accepts fractions of a second too; events have whole seconds.
            return values.cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("s"), safe=False)
        if kind == NUMBER or (kind == INTEGER and not pa.types.is_integer(values.type)):
            values = values.cast(pa.float64(), safe=False)
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_finite(values), values, None)
        values = values.cast(arrow_type(kind))
        return _replace(values, _FLAGS) if name == "store_and_fwd_flag" else values

    def _merged(self, name: str, columns: list[pa.Array], row: int) -> pa.Array:
        """Merge several columns: each row gets the value of whichever has one.

        :raises GeneratorError: two columns have different values in a row
        """
        import pyarrow.compute as pc

        merged, *others = columns
        for other in others:
            differs = pc.index(pc.not_equal(merged, other), True).as_py()
            if differs >= 0:
                raise self._error(
                    f"has the column {name} {len(columns)} times, with different values in row {row + differs + 1:,}",
                    "remove all but one of them",
                )
            merged = pc.coalesce(merged, other)
        return merged

    def _codes(self, name: str, values: pa.Array) -> pa.Array:
        """Replace text codes by numbers; numbers, as text, are kept."""
        import pyarrow.compute as pc

        codes = _CODES[name]
        values = _replace(pc.utf8_upper(values), {text: str(code) for text, code in codes.items()})
        is_number = pc.match_substring_regex(values, r"^[0-9.]+$")
        unknown = values.filter(pc.invert(pc.fill_null(is_number, True))).unique().to_pylist()
        if unknown:
            self.unknown_codes.setdefault(name, set()).update(unknown)
        return pc.if_else(is_number, values, None)

    def _error(self, problem: str, next_step: str) -> GeneratorError:
        return GeneratorError(printable(" ".join(f"File {self.path} {problem}. Next: {next_step}.".split())))


def _kind_of_extra(name: str, type_: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_timestamp(type_):
        return TIMESTAMP
    if pa.types.is_integer(type_):
        return INTEGER
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_) or name.lower() in _NUMBERS_OF_SOME_YEARS:
        return NUMBER
    return TEXT


def _replace(values: pa.Array, by: dict[str, str]) -> pa.Array:
    """Replace the values that are keys of `by`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index_in(values, pa.array(list(by), pa.string()))
    return pc.coalesce(pa.array(list(by.values()), pa.string()).take(place), values)
