"""The topic's events: their columns, from the contract, and their JSON.

The generator represents trips as Arrow record batches, because a month of them as Python objects is too slow and too large. They
are only encoded as bytes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.paths import CONTRACTS
from lakehouse.pipelines.contract import Field, read_contract

if TYPE_CHECKING:
    import pyarrow as pa

TIMESTAMP, INTEGER, NUMBER, TEXT = "timestamp", "integer", "number", "text"

CONTRACT = read_contract(CONTRACTS / "nyc_taxi.json")


def _kind(field: Field) -> str:
    if field.type.startswith("TIMESTAMP"):
        return TIMESTAMP
    return {"integer": INTEGER, "number": NUMBER}.get(field.json_type, TEXT)


#: The contract's fields, in its order, which is that of TLC's files. A batch has all of them, then additional columns of a file.
COLUMNS = {field.name: _kind(field) for field in CONTRACT.fields}

#: Rows per batch: small enough that generating the next one (about 15 ms) does not interrupt an even stream.
BATCH_ROWS = 10_000


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a column's kind in every batch."""
    import pyarrow as pa

    return {TIMESTAMP: pa.timestamp("s"), INTEGER: pa.int64(), NUMBER: pa.float64(), TEXT: pa.string()}[kind]


def encode(batch: pa.RecordBatch) -> tuple[list[bytes | None], list[bytes]]:
    """The Kafka key (the pickup zone as text) and the JSON of every row.

    Each distinct value of a column is converted to JSON once, and Arrow joins these fragments to rows: three times as fast as a
    dict per row.
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
    if pa.types.is_timestamp(column.type):  # mostly distinct, and nothing to escape
        text = pc.binary_replace_slice(pc.cast(column, pa.string()), 10, 11, "T").cast(pa.binary())
        quoted = pc.binary_join_element_wise(_text(prefix + b'"'), text, _text(b'"'), _text(b""))
        return pc.fill_null(quoted, prefix + b"null")
    distinct = column.dictionary_encode(null_encoding="encode")
    encoded = [prefix + orjson.dumps(value) for value in distinct.dictionary.to_pylist()]
    return pa.array(encoded, pa.binary()).take(distinct.indices)


def _text(value: bytes) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(value, pa.binary())
