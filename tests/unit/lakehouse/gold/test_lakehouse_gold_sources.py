"""dbt's source matches the contract and the declaration."""

from __future__ import annotations

import pytest
import yaml

from lakehouse.gold.sources import render_source


def source_of(pipeline) -> dict:
    [source] = yaml.safe_load(render_source(pipeline))["sources"]
    return source


def columns_of(pipeline) -> dict[str, dict]:
    [table] = source_of(pipeline)["tables"]
    return {column["name"]: column for column in table["columns"]}


@pytest.fixture
def typed(shop):
    """The shop with a second stage, whose table is typed."""
    stage = {"sql": "shop/06-silver.sql", "source": "bronze.orders", "sinks": {"accepted": "silver.orders"}}
    declared = shop.model_dump(exclude={"stages", "contract"})
    landing = shop.stages["landing"].model_dump(exclude={"name", "pipeline"})
    gold = {"fact": "fct_orders", "source": "silver.orders"}
    stages = {"landing": landing, "typing": stage}
    return type(shop).model_validate({**declared, "stages": stages, "gold": gold, "contract": shop.contract})


def test_it_is_the_table_that_gold_reads(typed):
    source = source_of(typed)
    assert (source["name"], source["tables"][0]["name"]) == ("silver", "orders")
    assert source["tables"][0]["config"] == {"external_location": "iceberg_scan(getvariable('source_metadata'))"}
    assert source["tables"][0]["description"].startswith("Orders of a shop")


def test_columns_are_those_of_the_contract(typed):
    columns = columns_of(typed)
    assert {name: column["data_type"] for name, column in columns.items()} == {
        "order_id": "BIGINT",
        "amount": "DECIMAL(10, 2)",
        "note": "STRING",
        "kafka_partition": "INT",
        "kafka_offset": "BIGINT",
    }
    assert columns["amount"]["description"] == "What was paid. Unit: EUR."


def test_a_table_that_is_filled_from_the_topic_has_text_columns(shop):
    columns = columns_of(shop)
    assert list(columns) == ["orderId", "amount", "note", "kafka_partition", "kafka_offset"]
    assert {columns[name]["data_type"] for name in ("orderId", "amount", "note")} == {"STRING"}


def test_the_header_names_the_files_to_change(shop):
    header = render_source(shop).splitlines()[0]
    assert "include/pipelines/shop.yaml" in header
    assert "include/contracts/shop.json" in header
