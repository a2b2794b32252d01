"""The contract is the only list of an event's fields: their SQL is derived from it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lakehouse.paths import CONTRACTS
from lakehouse.pipelines.contract import ContractError, Field, read_contract


@pytest.fixture
def contract(tmp_path):
    """Read a contract with these properties, or this text."""

    def contract(properties: dict | None = None, text: str | None = None, **more):
        file = tmp_path / "rides.json"
        file.write_text(text if text is not None else json.dumps({"type": "object", "properties": properties, **more}))
        return read_contract(file)

    return contract


def test_a_field_has_defaults_for_its_column_and_type(contract):
    found = contract(
        {
            "ID": {"type": "integer", "description": "Which.", "unit": "rides"},
            "fare": {"type": ["number", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "ok": {"type": "boolean"},
            "tags": {"type": "array"},
            "note": {"type": ["null", "string"], "x-column": "remark"},
            "price": {"type": "number", "x-type": "DECIMAL(8, 2)"},
        },
        required=["ID"],
    )
    assert [field.type for field in found.fields] == [
        "BIGINT", "DOUBLE", "TIMESTAMP(6)", "DATE", "BOOLEAN", "STRING", "STRING", "DECIMAL(8, 2)",
    ]  # fmt: skip
    assert found["ID"] == Field("ID", "id", "BIGINT", "integer", False, True, "Which.", "rides")
    assert (found["note"].column, found["note"].nullable, found["note"].required) == ("remark", True, False)
    assert found.columns == ("id", "fare", "at", "day", "ok", "tags", "remark", "price")


@pytest.mark.parametrize(
    ("type_", "limit"), [("DECIMAL(10, 2)", "99999999.995"), ("DECIMAL(3,0)", "999.5"), ("DOUBLE", None)]
)
def test_limits_of_decimals_include_rounding(contract, type_, limit):
    field = contract({"a": {"type": "number", "x-type": type_}})["a"]
    assert field.limit == (limit and Decimal(limit))


def test_the_taxi_contract():
    taxi = read_contract(CONTRACTS / "nyc_taxi.json")
    assert len(taxi.fields) == 19
    assert (taxi["PULocationID"].column, taxi["PULocationID"].type) == ("pickup_location_id", "INT")
    assert sum(field.type == "DECIMAL(10, 2)" for field in taxi.fields) == 9
    assert all(field.description for field in taxi.fields)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, r"rides\.json has no properties\. Next: list"),
        ({"a": {}}, None),
        ({"a": "integer"}, r"properties\.a is not a JSON Schema"),
        (
            {"a": {"type": ["integer", "string"]}},
            r"properties\.a\.type is \['integer', 'string'\]\. Next: use one of integer,",
        ),
        ({"a": {"type": "null"}}, r"properties\.a\.type is 'null'"),
        ({"a-b": {"type": "string"}}, r"properties\.a-b: name 'a-b' cannot be a column"),
        ({"a`b": {"type": "string"}}, r"cannot be a column"),
        ({"a": {"type": "string", "x-column": "1a"}}, r"properties\.a: x-column '1a' cannot be a column"),
        ({"Reason": {"type": "string"}}, r"'Reason' is reserved by the platform"),
        ({"a__parsed": {"type": "string"}}, r"is reserved by the platform"),
        ({"a": {"type": "string", "x-type": "TEXT"}}, r"x-type 'TEXT' is unknown\. Next: choose one of INT, BIGINT,"),
        ({"a": {"type": "string"}, "A": {"type": "string"}}, r"properties\.A: name 'A' is also that of a \(upper and"),
        (
            {"a": {"type": "string", "x-column": "c"}, "b": {"type": "string", "x-column": "c"}},
            r"properties\.b: column 'c' is also that of a",
        ),
    ],
)
def test_a_property_that_cannot_be_a_column_is_refused(contract, properties, message):
    if message is None:
        assert contract(properties)["a"].type == "STRING"
        return
    with pytest.raises(ContractError, match=message):
        contract(properties)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"properties": []}'])
def test_an_invalid_contract_is_reported_with_its_file(contract, text):
    with pytest.raises(ContractError, match=r"rides\.json (cannot be read|has no properties)"):
        contract(text=text)


def test_a_required_field_must_exist(contract):
    with pytest.raises(ContractError, match=r"required: 'b' is not a property"):
        contract({"a": {"type": "string"}}, required=["b"])
    with pytest.raises(ContractError, match=r"no field 'b'\. Next: choose one of a"):
        contract({"a": {"type": "string"}})["b"]
