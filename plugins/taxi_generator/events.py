"""An event of the topic: its columns (as in `include/contracts/taxi_trip.json`) and its JSON.

Trips travel through the generator as Arrow record batches, because a month of them as Python objects is too
slow and too large. Only here do they become bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TIMESTAMP, INTEGER, NUMBER, TEXT = "timestamp", "integer", "number", "text"

#: The columns of TLC's 2024 files, in their order. A batch has all of them, then what a file holds besides.
COLUMNS = {
    "VendorID": INTEGER,
    "tpep_pickup_datetime": TIMESTAMP,
    "tpep_dropoff_datetime": TIMESTAMP,
    "passenger_count": INTEGER,
    "trip_distance": NUMBER,
    "RatecodeID": INTEGER,
    "store_and_fwd_flag": TEXT,
    "PULocationID": INTEGER,
    "DOLocationID": INTEGER,
    "payment_type": INTEGER,
    "fare_amount": NUMBER,
    "extra": NUMBER,
    "mta_tax": NUMBER,
    "tip_amount": NUMBER,
    "tolls_amount": NUMBER,
    "improvement_surcharge": NUMBER,
    "total_amount": NUMBER,
    "congestion_surcharge": NUMBER,
    "Airport_fee": NUMBER,
}

#: Rows of a batch: small enough that making the next one (some 15 ms) does not show in a smooth stream.
BATCH_ROWS = 10_000


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type that stands for a column's kind in every batch."""
    import pyarrow as pa

    return {TIMESTAMP: pa.timestamp("s"), INTEGER: pa.int64(), NUMBER: pa.float64(), TEXT: pa.string()}[kind]


def encode(batch: pa.RecordBatch) -> tuple[list[bytes | None], list[bytes]]:
    """The Kafka key (the pickup zone as text) and the JSON of every row.

    Each distinct value of a column is turned into JSON once, and Arrow joins the rows from these fragments:
    three times as fast as a dict for each row.
    """
    import pyarrow.compute as pc

    columns = zip(batch.schema.names, batch.columns, strict=True)
    fragments = [_fragments(name, column) for name, column in columns]
    members = pc.binary_join_element_wise(*fragments, _text(b","))
    values = pc.binary_join_element_wise(_text(b"{"), members, _text(b"}"), _text(b""))

    zones = batch.column("PULocationID").dictionary_encode()
    keys = [str(zone).encode() for zone in zones.dictionary.to_pylist()]
    return [None if i is None else keys[i] for i in zones.indices.to_pylist()], values.to_pylist()


def _fragments(name: str, column: pa.Array) -> pa.Array:
    """`"name":value` of every row."""
    import orjson
    import pyarrow as pa
    import pyarrow.compute as pc

    prefix = orjson.dumps(name) + b":"
    if pa.types.is_timestamp(column.type):  # hardly two alike, and nothing in them to escape
        text = pc.binary_replace_slice(pc.cast(column, pa.string()), 10, 11, "T").cast(pa.binary())
        quoted = pc.binary_join_element_wise(_text(prefix + b'"'), text, _text(b'"'), _text(b""))
        return pc.fill_null(quoted, prefix + b"null")
    distinct = column.dictionary_encode(null_encoding="encode")
    encoded = [prefix + orjson.dumps(value) for value in distinct.dictionary.to_pylist()]
    return pa.array(encoded, pa.binary()).take(distinct.indices)


def _text(value: bytes) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(value, pa.binary())
