"""What a replay is going to do, worked out and checked before anything is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.streaming.declared import JOBS


class Target(StrEnum):
    """What is rebuilt."""

    SILVER = "silver"
    BRONZE_AND_SILVER = "bronze_and_silver"


@dataclass(frozen=True)
class ReplayPlan:
    """One replay.

    :param id: eight digits that name its tables and jobs
    :param start: Kafka partition -> first offset that is read again; empty when Kafka is not read
    :param read_again: rows of the source that go through the SQL again
    :param kept: rows of Bronze before `start`, copied as they are
    :param rows_now: rows of each table that is going to be replaced
    """

    id: str
    target: str
    start: dict[str, int]
    read_again: int
    kept: int
    rows_now: dict[str, int]

    @property
    def layers(self) -> tuple[str, ...]:
        """The jobs whose tables are rebuilt; each job writes the namespace of its name."""
        return ("silver",) if self.target == Target.SILVER else ("bronze", "silver")

    def namespace(self, layer: str) -> str:
        """Where the layer's tables are built."""
        return f"{layer}_replay_{self.id}"

    def job(self, layer: str) -> str:
        """The Flink job that builds them."""
        return f"{layer}-replay-{self.id}"

    def table(self, name: str) -> str:
        """A table as the replay's jobs know it: its own, or the live one that it leaves alone."""
        layer, _, table = name.partition(".")
        return f"{self.namespace(layer)}.{table}" if layer in self.layers else name

    @property
    def before_start(self) -> str:
        """Condition for rows of Bronze that are kept."""
        return " OR ".join(
            f"(kafka_partition = {partition} AND kafka_offset < {offset})" for partition, offset in self.start.items()
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(topic: TopicHook, run_id: str, params: Mapping[str, Any]) -> ReplayPlan:
    """Work out what a run with these params does.

    :param params: `target`, `from_timestamp` (ISO 8601), `from_offsets` ("0:100,1:250,2:0")
    :raises AirflowFailException: the params do not fit each other or the topic
    """
    target, timestamp, offsets = Target(params["target"]), params["from_timestamp"], params["from_offsets"]
    if timestamp and offsets:
        raise AirflowFailException("from_timestamp and from_offsets are two ways to say the same: give one of them")
    if target is Target.SILVER and (timestamp or offsets):
        raise AirflowFailException(
            "Silver is always rebuilt from the whole of Bronze, because a duplicate is only known by every trip before it: "
            "leave from_timestamp and from_offsets empty, or choose bronze_and_silver"
        )
    iceberg = IcebergCatalogHook()
    plan = ReplayPlan(
        hashlib.sha256(run_id.encode()).hexdigest()[:8], target, start={}, read_again=0, kept=0, rows_now={}
    )
    plan = replace(plan, rows_now={name: iceberg.rows(name) for layer in plan.layers for name in JOBS[layer].tables})
    if target is Target.SILVER:
        return replace(plan, read_again=iceberg.rows("bronze.raw_trips"))
    start, end = _start(topic, timestamp, offsets), topic.end_offsets()
    plan = replace(
        plan,
        start={str(partition): offset for partition, offset in sorted(start.items())},
        read_again=sum(end[partition] - start[partition] for partition in end),
    )
    kept = sum(iceberg.table(name).scan(plan.before_start).count() for name in JOBS["bronze"].tables)
    return replace(plan, kept=kept)


def _start(topic: TopicHook, timestamp: str | None, offsets: str | None) -> dict[int, int]:
    """Partition -> first offset to read again."""
    oldest = topic.start_offsets()
    if timestamp:
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError as error:
            raise AirflowFailException(f"from_timestamp: {timestamp!r} is not an ISO 8601 time") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return topic.offsets_at(int(moment.timestamp() * 1000))
    if not offsets:
        return oldest
    try:
        start = {int(p): int(offset) for p, offset in (pair.split(":") for pair in offsets.split(","))}
    except ValueError as error:
        raise AirflowFailException(f"from_offsets: {offsets!r} is not of the form 0:100,1:250,2:0") from error
    end = topic.end_offsets()
    if set(start) != set(end):
        raise AirflowFailException(f"from_offsets: {offsets!r} must name each of the partitions {sorted(end)} once")
    for partition, offset in start.items():
        if not oldest[partition] <= offset <= end[partition]:
            raise AirflowFailException(
                f"from_offsets: partition {partition} holds the offsets {oldest[partition]} to {end[partition]}, not {offset}"
            )
    return start
