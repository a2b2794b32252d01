"""A second pipeline with one stage, whose tables are in the namespace of the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse.pipelines.contract import read_contract
from lakehouse.pipelines.model import Pipeline

CONTRACT = {
    "type": "object",
    "properties": {
        "orderId": {"type": "integer", "description": "Number of the order.", "x-column": "order_id"},
        "amount": {
            "type": ["number", "null"],
            "description": "What was paid.",
            "unit": "EUR",
            "x-type": "DECIMAL(10, 2)",
        },
        "note": {"type": ["string", "null"]},
    },
    "required": ["orderId"],
}
SHOP = {
    "name": "shop",
    "title": "Orders of a shop",
    "topic": {"name": "shop.orders", "contract": "shop.json"},
    "stages": {
        "landing": {
            "sql": "05-bronze.sql",
            "source": "topic",
            "sinks": {"accepted": "bronze.orders", "rejected": "bronze.bad_orders"},
        }
    },
    "gold": {"fact": "fct_orders", "source": "bronze.orders"},
}


@pytest.fixture
def shop(tmp_path: Path) -> Pipeline:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(CONTRACT))
    return Pipeline.model_validate({**SHOP, "contract": read_contract(file)})
