"""The model of a pipeline as declared in `include/pipelines/<name>.yaml`.

One rule applies to every stage: each row of its source ends in exactly one of its sinks. Ledger, health, alerts, replay and
audit are all based on it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from lakehouse.pipelines.contract import Contract

#: The source of a stage that reads the pipeline's topic.
TOPIC = "topic"
#: Name of the layer that dbt builds in reports; no stage may have this name.
GOLD = "gold"
ACCEPTED, REJECTED, DUPLICATE = "accepted", "rejected", "duplicate"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")]


def duration(text: Any) -> Any:
    """Parse `7d`, `10m`, `30s` or `2h` into a timedelta; return anything else as it is, for pydantic to validate."""
    found = re.fullmatch(r"(\d+) ?([smhd])", text) if isinstance(text, str) else None
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else text


Duration = Annotated[timedelta, BeforeValidator(duration)]


class Declared(BaseModel):
    """Base of all parts of a declaration: immutable, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Topic(Declared):
    """The Kafka topic of the events.

    :param partitions: minimum number of partitions
    :param retention: how long Kafka keeps an event
    :param key: the field that is used as the message key when the platform sends events; None: no key
    :param contract: file in `include/contracts/`
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    partitions: int = Field(3, ge=1, le=10_000)
    retention: Duration = timedelta(days=7)
    key: str | None = None
    contract: str

    @property
    def subject(self) -> str:
        """Subject of the contract in the schema registry."""
        return f"{self.name}-value"

    @property
    def retention_ms(self) -> int:
        return int(self.retention.total_seconds() * 1000)


class EventTime(Declared):
    """Windows of event time that a stage closes as the watermark of its source advances.

    :param counted: role of the sink whose rows are counted in windows; it has columns `window_end`, `event_time` and
        `stream_watermark`
    :param windows: aggregate with one row for each closed window (and group); it has the column `window_end`
    :param rows: column of `windows` with the number of rows counted in it
    """

    counted: Name
    windows: Name
    rows: Name


class Stage(Declared):
    """One streaming job: writes each row of its source to exactly one of its sinks.

    :param pipeline: name of its pipeline
    :param name: its name within the pipeline
    :param sql: file in `include/sql/` with its CREATE TABLE statements and its statement set
    :param source: `topic`, or a table of an earlier stage
    :param sinks: role -> Iceberg table (`namespace.table`); roles are accepted, rejected, duplicate or custom ones
    :param aggregates: name -> Iceberg table that the stage writes in addition, with rows that summarize those of its sinks
    :param event_time: its windows of event time, if it has any
    :param audit: file in `include/sql/` with an independent implementation of the stage's rules; without it, the audit only
        checks what applies to every stage
    :param renamed_from: former name of its Flink job, whose state is adopted
    """

    pipeline: Name
    name: Name
    sql: str
    source: str
    sinks: dict[Name, TableName] = Field(min_length=1)
    aggregates: dict[Name, TableName] = Field(default_factory=dict)
    event_time: EventTime | None = None
    audit: str | None = None
    renamed_from: str | None = None

    @property
    def job(self) -> str:
        """Name of its Flink job."""
        return f"{self.pipeline}.{self.name}"

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it writes, in the order of their declaration: its sinks, then its aggregates."""
        return (*self.sinks.values(), *self.aggregates.values())

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of its tables."""
        return tuple(dict.fromkeys(table.partition(".")[0] for table in self.tables))

    @property
    def reads_topic(self) -> bool:
        return self.source == TOPIC

    @property
    def consumer_group(self) -> str:
        """Kafka consumer group of its first source; those of the others also have the role as suffix."""
        return f"lakehouse-{self.job}"

    @property
    def topic_tables(self) -> dict[str, str]:
        """For a stage that reads the topic: Flink source table over the topic -> sink with the positions of its rows.

        Each sink has its own source, so that each can start after the last row of its own table.
        """
        return {f"topic_{role}": table for role, table in self.sinks.items()} if self.reads_topic else {}


class Gold(Declared):
    """What dbt builds for a pipeline.

    :param fact: model that contains each row of `source` once
    :param source: table that dbt reads
    :param every: interval between two builds
    :param audit: file in `include/sql/` that compares the fact with its source, value by value; without it, the columns that
        both have are compared
    """

    fact: Name
    source: TableName
    every: Duration = timedelta(minutes=10)
    audit: str | None = None


class Pipeline(Declared):
    """A stream of events and its tables.

    :param name: file name of the declaration, without suffix
    :param enabled: false stops its jobs with a savepoint and removes its DAG; its tables stay
    :param params: values that its SQL uses as `params.<name>`; see `lakehouse.pipelines.params`
    :param stages: by name, each after those that it reads from
    :param sort_orders: table -> columns by which maintenance sorts closed partitions
    """

    name: Name
    title: str
    enabled: bool = True
    topic: Topic
    params: dict[Name, str | int | float] = Field(default_factory=dict)
    stages: dict[Name, Stage] = Field(min_length=1)
    gold: Gold | None = None
    sort_orders: dict[TableName, str] = Field(default_factory=dict)
    contract: Contract = Field(repr=False)

    @model_validator(mode="before")
    @classmethod
    def _name_stages(cls, declared: Any) -> Any:
        """Set the name and pipeline of each stage, which the file does not repeat."""
        if not isinstance(declared, dict) or not isinstance(declared.get("stages"), dict):
            return declared
        stages = declared["stages"]
        for name, stage in stages.items():
            if isinstance(stage, dict) and (repeated := {"name", "pipeline"} & stage.keys()):
                raise ValueError(f"stages.{name}.{min(repeated)} follows from the key and the file. Next: remove it")
        named = {
            name: {**stage, "name": name, "pipeline": declared.get("name")} if isinstance(stage, dict) else stage
            for name, stage in stages.items()
        }
        return {**declared, "stages": named}

    @model_validator(mode="after")
    def _is_consistent(self) -> Pipeline:
        written: dict[str, str] = {}
        sinks: list[str] = []
        if GOLD in self.stages:
            raise ValueError(f"stages.{GOLD}: the name is reserved for what dbt builds. Next: choose another name")
        for stage in self.stages.values():
            if not stage.reads_topic and stage.source not in sinks:
                choices = ", ".join([TOPIC, *sinks])
                raise ValueError(
                    f"stages.{stage.name}.source: {stage.source!r} is not a sink of an earlier stage. Next: choose one of "
                    f"{choices}"
                )
            outputs = {f"sinks.{role}": table for role, table in stage.sinks.items()}
            outputs |= {f"aggregates.{name}": table for name, table in stage.aggregates.items()}
            for key, table in outputs.items():
                if other := written.get(table):
                    raise ValueError(
                        f"stages.{stage.name}.{key}: {table} is also written by {other}. Next: use another table"
                    )
                written[table] = f"stages.{stage.name}"
            sinks.extend(stage.sinks.values())
            _refuse_unknown_windows(stage)
        if self.gold and self.gold.source not in sinks:
            raise ValueError(
                f"gold.source: {self.gold.source!r} is not a sink of a stage. Next: choose one of {', '.join(sinks)}"
            )
        if unknown := sorted(self.sort_orders.keys() - written.keys()):
            raise ValueError(f"sort_orders: no stage writes {unknown[0]!r}. Next: choose one of {', '.join(written)}")
        if self.topic.key is not None and self.topic.key not in self.contract.names:
            raise ValueError(
                f"topic.key: the contract has no field {self.topic.key!r}. Next: choose one of {', '.join(self.contract.names)}"
            )
        return self

    @property
    def dag_id(self) -> str:
        """The DAG that builds its Gold."""
        return f"{self.name}_pipeline"

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """All tables of its stages, in the order of their declaration."""
        return tuple(table for stage in self.stages.values() for table in stage.tables)

    @cached_property
    def sinks(self) -> tuple[str, ...]:
        """The tables of its stages' sinks, whose rows have the position of their event; all tables but the aggregates."""
        return tuple(table for stage in self.stages.values() for table in stage.sinks.values())

    def readers(self, stage: Stage) -> tuple[Stage, ...]:
        """The stages that read a table of this stage."""
        return tuple(other for other in self.stages.values() if other.source in stage.tables)

    @property
    def stages_to_gold(self) -> tuple[Stage, ...]:
        """The stages whose rows end in Gold, in the order of the rows; all stages, if the pipeline has no Gold."""
        if not self.gold:
            return tuple(self.stages.values())
        found = [self.writer(self.gold.source)]
        while not found[0].reads_topic:
            found.insert(0, self.writer(found[0].source))
        return tuple(found)

    def writer(self, table: str) -> Stage:
        """The stage that writes a table."""
        return next(stage for stage in self.stages.values() if table in stage.tables)


def _refuse_unknown_windows(stage: Stage) -> None:
    """Fail if `event_time` names a sink or an aggregate that the stage does not have."""
    if not stage.event_time:
        return
    for key, name, known in (
        ("counted", stage.event_time.counted, stage.sinks),
        ("windows", stage.event_time.windows, stage.aggregates),
    ):
        if name not in known:
            where = "sinks" if key == "counted" else "aggregates"
            choices = ", ".join(known) or "(none is declared)"
            raise ValueError(
                f"stages.{stage.name}.event_time.{key}: {name!r} is not in {where}. Next: choose one of {choices}"
            )
