"""A second pipeline next to the repository's own: other stage names, three stages, another role, shared namespaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.paths import INCLUDE
from lakehouse.pipelines import load, script

#: `landing` writes to two namespaces, one of which is nyc_taxi's `bronze`; no stage has the name of a namespace.
RIDES: dict[str, Any] = {
    "title": "Rides",
    "topic": {"name": "rides.events", "contract": "nyc_taxi.json"},
    "params": {
        "pickup_from": "2024-01-01 00:00:00",
        "pickup_to": "2024-02-01 00:00:00",
        "dedup_retention": "7 d",
        "allowed_disorder": "15m",
        "idle_partition": "30s",
    },
    "stages": {
        "landing": {
            "sql": "05-bronze.sql",
            "source": "topic",
            "sinks": {"accepted": "bronze.rides", "rejected": "refused.rides"},
        },
        "typing": {
            "sql": "nyc_taxi/06-silver.sql",
            "source": "bronze.rides",
            "sinks": {"accepted": "core.rides", "rejected": "refused.untyped", "duplicate": "core.repeated"},
        },
        "splitting": {
            "sql": "rides/split.sql",
            "source": "core.rides",
            "sinks": {"short": "silver.short_rides", "long": "silver.long_rides"},
        },
    },
    "sort_orders": {"core.rides": "pickup_date"},
}
SPLIT = """
CREATE TABLE IF NOT EXISTS {{ sinks.short }} (kafka_partition INT, kafka_offset BIGINT);
CREATE TABLE IF NOT EXISTS {{ sinks.long }} (kafka_partition INT, kafka_offset BIGINT);
EXECUTE STATEMENT SET BEGIN
INSERT INTO {{ sinks.short }} SELECT kafka_partition, kafka_offset FROM {{ source }} WHERE trip_distance < 1;
INSERT INTO {{ sinks.long }} SELECT kafka_partition, kafka_offset FROM {{ source }} WHERE trip_distance >= 1;
END;
"""


def declare(monkeypatch: pytest.MonkeyPatch, folder: Path, **pipelines: dict[str, Any]) -> None:
    """Declare these pipelines in addition to the repository's, in the test's own `include` folder."""
    include = folder / "include"
    for name in ("pipelines", "sql/rides"):
        (include / name).mkdir(parents=True)
    for name in ("contracts", "dbt"):
        (include / name).symlink_to(INCLUDE / name)
    for part in ("pipelines", "sql"):
        for file in (INCLUDE / part).iterdir():
            (include / part / file.name).symlink_to(file)
    (include / "sql/rides/split.sql").write_text(SPLIT)
    for name, declared in pipelines.items():
        (include / "pipelines" / f"{name}.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    monkeypatch.setattr(load.declarations, "__defaults__", (include,))
    monkeypatch.setattr(script, "SQL", include / "sql")


def positions(topic: TopicHook) -> list[tuple[int, int]]:
    """Partition and offset of each event of a topic."""
    return [(partition, offset) for partition, end in topic.end_offsets().items() for offset in range(end)]
