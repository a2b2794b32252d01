"""Computes the expected contents of Bronze and Silver after a batch, without the pipeline's SQL.

While events are sent, the oracle only records the identity of each valid trip in a temporary file, which costs almost nothing.
Duplicates and trip ids are computed at the end, part by part, so that memory stays bounded.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lakehouse.pipelines.contract import Field

from .errors import GeneratorError
from .events import CONTRACT
from .pipeline import OUTSIDE, moment

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Trips that are searched for duplicates at a time.
PART_ROWS = 1_000_000
_NULL = -(2**63)
_IDENTITY = {
    "VendorID": "vendor",
    "tpep_pickup_datetime": "pickup",
    "tpep_dropoff_datetime": "dropoff",
    "PULocationID": "origin",
    "DOLocationID": "destination",
    "fare_amount": "fare",
    "total_amount": "total",
}
#: Amounts in the identity, as whole cents.
_AMOUNTS = ("fare_amount", "total_amount")
#: Fields with rules in addition to their type.
_WITH_OWN_RULES = ("tpep_pickup_datetime", "tpep_dropoff_datetime", "trip_distance")
_BY_TYPE = sorted((f for f in CONTRACT.fields if f.name not in _WITH_OWN_RULES), key=lambda field: field.type)
_INT_END = 2**31


class Oracle:
    """Call `add` with all sent events, then `result`."""

    def __init__(self, pickup_from: datetime, pickup_to: datetime, keys: Path | None = None):
        import numpy as np

        self._window = pickup_from, pickup_to
        self._edges = [int(np.datetime64(edge, "s").astype(np.int64)) for edge in self._window]
        self._keys = keys
        if keys and not keys.parent.is_dir():
            raise GeneratorError(f"Keys file {keys}: folder {keys.parent} does not exist. Next: create it.")
        self._record = np.dtype([(field, "<i8") for field in _IDENTITY.values()])
        self._valid_trips = tempfile.TemporaryFile(prefix="lakehouse-generator-")  # noqa: SIM115
        self._events = self._valid = 0
        self._hours: set[int] = set()
        self._reasons: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._valid_trips.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count sent events by Silver's rules, and record the valid trips."""
        import numpy as np

        self._events += batch.num_rows
        numbers = {name: _integers(batch, name) for name in _IDENTITY if name not in _AMOUNTS}
        cents = {name: _cents(batch, name) for name in _AMOUNTS}
        valid = np.ones(batch.num_rows, bool)
        for reason, broken in self._rules(batch, numbers):
            self._reasons[reason] += int((valid & broken).sum())
            valid &= ~broken

        trips = np.empty(int(valid.sum()), self._record)
        for name, field in _IDENTITY.items():
            trips[field] = (cents if name in cents else numbers)[name][valid]
        self._valid_trips.write(trips.tobytes())
        self._valid += len(trips)
        self._hours.update(np.unique(trips["pickup"] // 3600).tolist())

    def _rules(self, batch: pa.RecordBatch, numbers: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """All of Silver's reasons with a mask of the events that violate the rule; the first one counts for each event."""
        pickup, dropoff = numbers["tpep_pickup_datetime"], numbers["tpep_dropoff_datetime"]
        distance, fare = _floats(batch, "trip_distance"), _floats(batch, "fare_amount")
        yield "tpep_pickup_datetime is missing or unreadable", pickup == _NULL
        yield "tpep_dropoff_datetime is missing or unreadable", dropoff == _NULL
        yield OUTSIDE, (pickup < self._edges[0]) | (pickup >= self._edges[1])
        yield "trip_distance is missing or not a number", distance != distance
        yield "trip_distance is negative or not finite", ~((distance >= 0) & (distance < 1e9))
        yield "fare_amount is missing or not a number", fare != fare
        yield "fare_amount is negative", fare < 0
        for field in _BY_TYPE:
            if field.limit is not None:
                # Null, here NaN, is not too large.
                yield _misfit(field), abs(_floats(batch, field.name)) >= float(field.limit)
            elif field.type == "INT":
                values = _integers(batch, field.name)
                yield _misfit(field), (values != _NULL) & ((values >= _INT_END) | (values <= -_INT_END))

    def result(self) -> dict[str, Any]:
        """Number of rows by table, of Silver's distinct dates and hours, and of rejected trips; writes the keys file if wanted.

        `reasons` has the number of rejected trips by reason, the most frequent first; `window` its edges as text.
        """
        silver = self._write_keys() if self._keys else sum(len(hours) for _, hours in self._distinct())
        return {
            "events": self._events,
            "bronze": self._events,
            "rejected_events": 0,
            "silver": silver,
            "rejected_trips": self._events - self._valid,
            "duplicates": self._valid - silver,
            "dates": len({hour // 24 for hour in self._hours}),
            "hours": len(self._hours),
            "reasons": {reason: rows for reason, rows in self._reasons.most_common() if rows},
            "window": [moment(edge) for edge in self._window],
        }

    def _write_keys(self) -> int:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet

        columns = {"trip_id": pa.string(), "pickup_date": pa.date32(), "pickup_hour": pa.int32()}
        written = 0
        with pa.parquet.ParquetWriter(self._keys, pa.schema(columns)) as file:
            for ids, hours in self._distinct():
                days = pa.array((hours // 24).astype(np.int32)).cast(pa.date32())
                of_day = pa.array((hours % 24).astype(np.int32))
                trip_ids = pa.array(ids.tolist(), pa.string())
                file.write_table(pa.table([trip_ids, days, of_day], names=list(columns)))
                written += len(ids)
        return written

    def _distinct(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Distinct trip ids, with the hour of pickup since 1970, part by part."""
        import numpy as np

        parts = -(-self._valid // PART_ROWS)
        for part in range(parts):
            # Duplicates have the same pickup, so they are in the same part.
            trips = np.concatenate([trips[trips["pickup"] % parts == part] for trips in self._recorded()])
            ids, first = np.unique(_trip_ids(trips), return_index=True)
            yield ids, trips["pickup"][first] // 3600

    def _recorded(self) -> Iterator[np.ndarray]:
        import numpy as np

        self._valid_trips.seek(0)
        while block := self._valid_trips.read(PART_ROWS * self._record.itemsize):
            yield np.frombuffer(block, self._record)


def _misfit(field: Field) -> str:
    return f"{field.name} " + (
        "is not an integer" if field.type == "INT" else f"does not fit {field.type.replace(' ', '')}"
    )


def _trip_ids(trips: np.ndarray) -> np.ndarray:
    """MD5 over the identity's fields as text, joined by `|`, with nulls as empty strings."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    def text(field: str) -> pa.Array:
        values = pa.array(trips[field], mask=trips[field] == _NULL)
        if field in ("pickup", "dropoff"):
            values = values.cast(pa.timestamp("s"))
        if field in ("fare", "total"):
            distinct = values.dictionary_encode()
            amounts = [str(Decimal(cents).scaleb(-2)) for cents in distinct.dictionary.to_pylist()]
            values = pa.array(amounts, pa.string()).take(distinct.indices)
        return pc.fill_null(values.cast(pa.string()), "")

    joined = pc.binary_join_element_wise(*(text(field) for field in _IDENTITY.values()), "|")
    keys = joined.cast(pa.binary()).to_pylist()
    return np.array([hashlib.md5(key, usedforsecurity=False).hexdigest() for key in keys], dtype="S32")


def _integers(batch: pa.RecordBatch, name: str) -> np.ndarray:
    import pyarrow as pa

    return batch.column(name).cast(pa.int64()).fill_null(_NULL).to_numpy(zero_copy_only=False)


def _floats(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return batch.column(name).fill_null(float("nan")).to_numpy(zero_copy_only=False)


def _cents(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """An amount as DECIMAL(10, 2): rounded half up, based on the digits in JSON."""
    import numpy as np

    values = _floats(batch, name)
    scaled = np.clip(values * 100, -1e15, 1e15)
    missing = np.isnan(scaled)
    cents = np.where(missing, 0, np.rint(scaled)).astype(np.int64)
    # Binary fractions do not show on which side of half a cent a number is.
    for i in np.flatnonzero(np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < 1e-4):
        cents[i] = int((Decimal(repr(float(values[i]))) * 100).to_integral_value(ROUND_HALF_UP))
    cents[missing] = _NULL
    return cents
