"""Plans a replay, and checks the plan before anything is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow import variables
from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.load import DeclarationError, get_pipeline, get_stage
from lakehouse.pipelines.model import Pipeline, Stage
from lakehouse.streaming.job import JobState
from lakehouse.tables.namespaces import in_namespace


@dataclass(frozen=True)
class ReplayPlan:
    """One replay.

    :param id: eight hex digits, part of the names of its tables and jobs
    :param pipeline: name of the pipeline
    :param stages: names of the stages to rebuild, each after the one that it reads from
    :param jobs: the live jobs that are stopped for the switch and deployed after it: those of the rebuilt stages, and of the
        stages that these read from
    :param start: Kafka partition -> first offset to read again; empty if Kafka is not read
    :param read_again: number of rows of the first stage's source that are processed again
    :param kept: number of rows before `start`, which are copied unchanged
    :param rows_now: table to replace -> its current number of rows
    """

    id: str
    pipeline: str
    stages: list[str]
    jobs: list[str]
    start: dict[str, int]
    read_again: int
    kept: int
    rows_now: dict[str, int]

    @cached_property
    def declared(self) -> Pipeline:
        return get_pipeline(self.pipeline)

    @property
    def rebuilt(self) -> list[Stage]:
        """The stages to rebuild."""
        return [self.declared.stages[name] for name in self.stages]

    @property
    def topic(self) -> TopicHook:
        return TopicHook(self.declared.topic.name)

    @property
    def tables(self) -> dict[str, str]:
        """Live table -> its replacement: the same name, in a namespace of this replay."""
        return {name: in_namespace(name, f"_replay_{self.id}") for name in self.rows_now}

    @property
    def namespaces(self) -> list[str]:
        """The replay's own namespaces."""
        return list(dict.fromkeys(name.partition(".")[0] for name in self.tables.values()))

    def table(self, name: str) -> str:
        """The table that the replay's jobs use: the replacement, or a live table that is not replaced."""
        return self.tables.get(name, name)

    def building(self, stage: Stage) -> Stage:
        """A stage with the replay's own job and tables."""
        return stage.model_copy(
            update={
                "name": f"{stage.name}-replay-{self.id}",
                "source": self.table(stage.source),
                "sinks": {role: self.table(name) for role, name in stage.sinks.items()},
                "aggregates": {name: self.table(table) for name, table in stage.aggregates.items()},
            }
        )

    def job(self, stage: str) -> str:
        """The Flink job that builds a stage's tables."""
        return self.building(self.declared.stages[stage]).job

    def state(self, stage: str) -> JobState:
        """Locations of the state of the job that builds a stage's tables."""
        return JobState(self.job(stage), (), variables.text("flink_state_dir"))

    def copying(self, stage: str) -> JobState:
        """The bounded job that copies the rows before the start into a stage's tables."""
        return JobState(f"{self.job(stage)}-copy", (), variables.text("flink_state_dir"))

    @property
    def before_start(self) -> str:
        """SQL condition for the rows that are copied."""
        return " OR ".join(
            f"(kafka_partition = {partition} AND kafka_offset < {offset})" for partition, offset in self.start.items()
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(run_id: str, params: Mapping[str, Any]) -> ReplayPlan:
    """Plan a run with these params.

    :param params: `from_stage` (`<pipeline>.<stage>`), `from_timestamp` (ISO 8601), `from_offsets` ("0:100,1:250,2:0")
    :raises AirflowFailException: the params are invalid for the pipeline or topic, or the catalog is not in a database
    """
    pipeline, first = _first_stage(params["from_stage"])
    timestamp, offsets = params["from_timestamp"], params["from_offsets"]
    if timestamp and offsets:
        raise AirflowFailException("from_timestamp and from_offsets exclude each other. Next: set only one of them")
    if not first.reads_topic and (timestamp or offsets):
        raise AirflowFailException(
            f"{first.job} is always rebuilt from all rows of {first.source}, because duplicates can only be found among all "
            "rows. Next: leave from_timestamp and from_offsets empty, or choose a from_stage that reads the topic"
        )
    if first.aggregates and (timestamp or offsets):
        raise AirflowFailException(
            f"{first.job} is always rebuilt from all events, because {', '.join(first.aggregates.values())} cannot be continued "
            "from a part of them. Next: leave from_timestamp and from_offsets empty"
        )
    iceberg = IcebergCatalogHook()
    if not iceberg.is_database:
        raise AirflowFailException(
            "A replay replaces several tables in one transaction, which only a catalog in a database supports; the connection "
            f"{iceberg.conn_id} has another type. Nothing was built. Next: use a JDBC catalog (no extra `type`)"
        )
    rebuilt = _downstream(pipeline, first)
    plan = ReplayPlan(
        id=hashlib.sha256(run_id.encode()).hexdigest()[:8],
        pipeline=pipeline.name,
        stages=[stage.name for stage in rebuilt],
        jobs=_jobs_to_stop(pipeline, rebuilt),
        start={},
        read_again=0,
        kept=0,
        rows_now={name: iceberg.rows(name) for stage in rebuilt for name in stage.tables},
    )
    if not first.reads_topic:
        return replace(plan, read_again=iceberg.rows(first.source))
    start, end = _start(plan.topic, timestamp, offsets), plan.topic.end_offsets()
    plan = replace(
        plan,
        start={str(partition): offset for partition, offset in sorted(start.items())},
        read_again=sum(end[partition] - start[partition] for partition in end),
    )
    return replace(plan, kept=sum(iceberg.table(name).scan(plan.before_start).count() for name in first.sinks.values()))


def _first_stage(job: str) -> tuple[Pipeline, Stage]:
    try:
        pipeline, stage = get_stage(job)
    except DeclarationError as error:
        raise AirflowFailException(f"from_stage: {error}") from error
    if not pipeline.enabled:
        raise AirflowFailException(
            f"from_stage: pipeline {pipeline.name} is disabled, and a replay would start its jobs. Next: enable it (enabled: "
            f"true in {pipeline.name}.yaml) and run flink_jobs"
        )
    return pipeline, stage


def _downstream(pipeline: Pipeline, first: Stage) -> list[Stage]:
    """A stage and all downstream stages, in the order of their declaration: each after the one that it reads from."""
    found = [first]
    for stage in pipeline.stages.values():
        if any(stage.source in other.tables for other in found):
            found.append(stage)
    return found


def _jobs_to_stop(pipeline: Pipeline, rebuilt: list[Stage]) -> list[str]:
    """The jobs that write a table which must not change during the switch, in the order of their declaration."""
    held = {name for stage in rebuilt for name in (stage.source, *stage.tables)}
    return [stage.job for stage in pipeline.stages.values() if held & set(stage.tables)]


def _start(topic: TopicHook, timestamp: str | None, offsets: str | None) -> dict[int, int]:
    """Partition -> first offset to read again."""
    oldest = topic.start_offsets()
    if timestamp:
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError as error:
            raise AirflowFailException(
                f"from_timestamp: {timestamp!r} is not a time in ISO 8601. Next: write it like 2024-01-31T12:00:00Z"
            ) from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return topic.offsets_at(int(moment.timestamp() * 1000))
    if not offsets:
        return oldest
    try:
        start = {int(p): int(offset) for p, offset in (pair.split(":") for pair in offsets.split(","))}
    except ValueError as error:
        raise AirflowFailException(
            f"from_offsets: {offsets!r} is invalid. Next: write partition:offset for each partition, as in 0:100,1:250,2:0"
        ) from error
    end = topic.end_offsets()
    if set(start) != set(end):
        raise AirflowFailException(
            f"from_offsets: {offsets!r} is incomplete. Next: name each of the partitions {sorted(end)} once"
        )
    for partition, offset in start.items():
        if not oldest[partition] <= offset <= end[partition]:
            raise AirflowFailException(
                f"from_offsets: partition {partition} has no offset {offset}. Next: choose one from {oldest[partition]} to "
                f"{end[partition]}"
            )
    return start
