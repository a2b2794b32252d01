"""All events conform to the contract, and the contract and the code have the same columns."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from jsonschema import Draft7Validator

from taxi_generator import synthetic
from taxi_generator.events import COLUMNS, INTEGER, NUMBER, TEXT, TIMESTAMP, arrow_type, encode
from taxi_generator.files import TripFile

CONTRACT = json.loads((Path(__file__).parents[3] / "include/contracts/nyc_taxi.json").read_text())


@pytest.fixture(scope="module")
def contract() -> Draft7Validator:
    Draft7Validator.check_schema(CONTRACT)
    return Draft7Validator(CONTRACT)


def test_the_columns_are_the_contracts():
    names = {INTEGER: "integer", NUMBER: "number", TEXT: "string", TIMESTAMP: "string"}
    for (name, field), (column, kind) in zip(CONTRACT["properties"].items(), COLUMNS.items(), strict=True):
        assert (name, field["type"] if isinstance(field["type"], str) else field["type"][0]) == (
            column,
            names[kind],
        )
        assert (kind == TIMESTAMP) == ("pattern" in field)
        assert ("null" in field["type"]) != (name in CONTRACT["required"])
        assert field["description"]


def test_the_columns_are_those_of_tlcs_files(real_file):
    """The generator knows them only from the contract."""
    assert real_file.open().readline().strip().split(",") == list(COLUMNS)


def test_a_field_of_a_later_contract_is_null(monkeypatch):
    """A new field only changes the contract, not the generator's code."""
    monkeypatch.setitem(COLUMNS, "cbd_congestion_fee", NUMBER)
    events = [json.loads(value) for value in encode(next(synthetic.batches(1, 100)))[1]]
    assert {event["cbd_congestion_fee"] for event in events} == {None}


def test_synthetic_events_conform_to_the_contract(contract):
    for batch in synthetic.batches(seed=11, events=3_000):
        for value in encode(batch)[1]:
            contract.validate(json.loads(value))


def test_events_of_the_real_file_conform_to_the_contract(contract, real_file):
    for batch in TripFile(real_file).batches(3_000):
        for value in encode(batch)[1]:
            contract.validate(json.loads(value))


def test_the_contract_refuses_invalid_events(contract):
    good = json.loads(encode(next(synthetic.batches(1, 100)))[1][0])
    contract.validate(good)
    bad = [{"passenger_count": 1.5}, {"fare_amount": "9"}, {"tpep_pickup_datetime": "2024-01-01 00:00:00"}]
    for change in bad:
        assert not contract.is_valid(good | change)
    assert not contract.is_valid({name: good[name] for name in good if name != "trip_distance"})
    assert contract.is_valid(good | {"cbd_congestion_fee": 0.75})


def test_json_has_all_values_of_the_batch():
    """Including nulls, quotes, non-ASCII and extra columns; the key is the pickup zone, or none."""
    row = dict.fromkeys(COLUMNS) | {"store_and_fwd_flag": 'a"\\b é\n', "fare_amount": 17.7, "VendorID": 2}
    rows = [row, row | {"PULocationID": 186, "tpep_pickup_datetime": 0, "fare_amount": -0.1}]
    columns = [pa.array([r[name] for r in rows], arrow_type(kind)) for name, kind in COLUMNS.items()]
    batch = pa.record_batch([*columns, pa.array([0.75, None])], names=[*COLUMNS, 'new "fee"'])

    keys, values = encode(batch)

    assert keys == [None, b"186"]
    first, second = (json.loads(value) for value in values)
    assert first == row | {'new "fee"': 0.75}
    assert second == rows[1] | {"tpep_pickup_datetime": "1970-01-01T00:00:00", 'new "fee"': None}
    assert list(first) == [*COLUMNS, 'new "fee"']
