"""The platform's orphan removal and that of its Flink module follow the same rules: both are tested with the same cases."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType
from streamed import age

from lakehouse.maintenance.locations import Location
from lakehouse.maintenance.orphans import find
from local.config import ROOT

RULES = json.loads((ROOT / "flink/iceberg-procedures/src/test/resources/orphan-rules.json").read_text())
DAY_S = 86_400


@pytest.mark.parametrize("rule", RULES, ids=[rule["name"] for rule in RULES])
def test_the_rule_is_kept(iceberg, plant, rule):
    iceberg.create_namespace("silver")
    column = rule.get("partition", "kind")
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, column, StringType()))
    by = [PartitionField(2, 1000, IdentityTransform(), column)] if "partition" in rule else []
    table = iceberg.create_table(
        "silver.t", schema, partition_spec=PartitionSpec(*by), properties=rule.get("properties", {})
    )
    table.append(pa.table({"id": [1], column: ["p"]}))
    if "other" in rule:
        iceberg.create_table("silver.other", schema, rule["other"].replace("{table}", table.location()))
    root = Path("/", Location.parse(table.location()).path)
    for file in filter(Path.is_file, root.rglob("*")):
        age(file, 30 * DAY_S)
    expected = set()
    for name, file in rule["files"].items():
        path = plant(table, name, file["days"])
        expected |= {path} if file["orphan"] else set()
    for number in range(rule.get("more", 0)):
        plant(table, f"data/{number}.parquet")

    def found() -> set[Path]:
        orphans = find(table, int((time.time() - 3 * DAY_S) * 1000), rule.get("share", 1) * 100)
        return {Path("/", file.location.path) for file in orphans.files}

    if rule.get("refused"):
        with pytest.raises(AirflowException):
            found()
    else:
        assert found() == expected
