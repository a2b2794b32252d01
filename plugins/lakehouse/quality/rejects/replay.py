"""Sends rejected events to the topic again, fixed or unchanged, each at most once.

An event that is sent has the header `mends` with the position of the event that it corrects. The tables over the topic keep the
header in a column of that name, so that it is known what was already sent, however an earlier run ended. The rejected row stays,
as history.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.airflow.hooks.coordination import CoordinationHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.pipelines.model import Pipeline
from lakehouse.producer import key_of, pipeline_producer
from lakehouse.reconciliation.reconcile import reconcile
from lakehouse.waiting import wait_until

from .read import MENDS, fixed_positions, open_rejects, rejected_positions
from .spool import Fix, Spool

ARRIVE_LIMIT_S = 180


@dataclass(frozen=True)
class Replay:
    """The result of a replay, or of a dry run.

    :param sent: number of events delivered (in a dry run: to be delivered)
    :param sent_before: number of events left out because an earlier replay has sent them
    """

    sent: int
    sent_before: int


def run(
    pipeline: Pipeline,
    file: str | None = None,
    stage: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> dict[str, int]:
    """Replay a file of fixed events, or the unchanged events that a stage rejected for a reason; return the `Replay` as a dict.

    :param file: path or URI of JSON lines
    :raises AirflowException: both or neither are given, or the file cannot be read; others as in `replay`
    """
    from airflow.sdk import ObjectStoragePath

    if stage and reason and not file:
        return asdict(replay(pipeline, unchanged(pipeline, stage, reason), dry_run))
    if not file or stage or reason:
        raise AirflowFailException("Nothing was sent. Next: set either a file, or a stage and a reason.")
    try:
        path = ObjectStoragePath(file)
    except (ValueError, ImportError) as error:  # not a valid address
        raise AirflowFailException(
            f"{file} cannot be read: {error}. Next: choose a file that the worker can access."
        ) from error
    try:
        with path.open("rb") as lines:
            return asdict(replay(pipeline, from_lines(pipeline, lines), dry_run))
    except OSError as error:
        raise AirflowFailException(
            f"{file} cannot be read: {error}. Next: choose a file that the worker can access."
        ) from error


def replay(pipeline: Pipeline, events: Iterable[Fix], dry_run: bool = False) -> Replay:
    """Send each event that no replay has sent before. Concurrent replays wait for each other.

    :raises AirflowException: a position occurs twice or is not that of a rejected event, the tables over the topic are behind, or
        Kafka rejected an event; the message says how many were sent, and another replay of the same continues from there
    """
    with Spool() as spool:
        spool.add(events)
        if position := spool.repeated():
            raise AirflowFailException(
                f"Position {position} occurs twice: nothing was sent. Next: remove one of the lines."
            )
        with CoordinationHook().lock(f"rejects-replay {pipeline.name}"):
            await_arrival(pipeline)
            _require_rejected(pipeline, spool)
            due = spool.select_due(fixed_positions(pipeline))
            if due and not dry_run:
                _send(pipeline, spool.due(), due)
        return Replay(sent=due, sent_before=len(spool) - due)


def await_arrival(pipeline: Pipeline) -> None:
    """Wait until the stages that read the topic have processed all of its current events, so that all replayed ones are known.

    :raises AirflowException: no stage reads the topic, or one is behind
    """
    readers = [stage for stage in pipeline.stages.values() if stage.reads_topic]
    if not readers:
        raise AirflowException(
            f"No stage of {pipeline.name} reads its topic, so replayed events would not arrive anywhere."
        )
    ends = TopicHook(pipeline.topic.name).end_offsets()

    def missing() -> dict[str, int]:
        found = {stage.name: reconcile(pipeline, stage).missing.below(ends) for stage in readers}
        return {name: len(positions) for name, positions in found.items() if positions}

    try:
        wait_until(lambda: not missing(), "the stages to process all events in Kafka", ARRIVE_LIMIT_S)
    except TimeoutError as error:
        behind = ", ".join(f"{name} lacks {rows:,}" for name, rows in missing().items()) or "a stage lacked some"
        raise AirflowException(
            f"{behind} events of the topic, so it is unknown what was sent before. Nothing was sent. "
            "Next: make sure that flink_jobs is green, then replay again."
        ) from error


def _require_rejected(pipeline: Pipeline, spool: Spool) -> None:
    """Check that all positions are those of rejected events: any other is a typo."""
    if unknown := spool.not_among(rejected_positions(pipeline), 5):
        raise AirflowFailException(
            f"No event was rejected at {', '.join(unknown)}: nothing was sent. Next: take positions from `make rejects`."
        )


def _send(pipeline: Pipeline, events: Iterable[Fix], due: int) -> None:
    producer = pipeline_producer(pipeline)
    for event in events:
        if producer.failed:
            break
        producer.send([event.key], [event.value], headers=[(MENDS, event.position.encode())])
    producer.finish()
    if producer.failed:
        raise AirflowException(
            f"{producer.delivered:,} of {due:,} events were sent; then Kafka rejected one: {producer.first_error}. "
            "Next: fix the event or the broker, then replay the same again: what was sent is left out."
        )


def unchanged(pipeline: Pipeline, stage: str, reason: str) -> Iterator[Fix]:
    """Events that a stage rejected for this reason and that were not sent again yet: for changed rules or parameters."""
    for reject in open_rejects(pipeline, stage, reason):
        yield Fix(reject.position, key_of(reject.payload, pipeline.topic.key), reject.payload)


def from_lines(pipeline: Pipeline, lines: Iterable[str | bytes]) -> Iterator[Fix]:
    """Events from JSON lines in the format of `write`; numbers are kept digit by digit.

    :raises AirflowException: a line is invalid; the message has its number
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            position, value = _read(_loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise AirflowFailException(
                f"Line {number} cannot be replayed: {type(error).__name__}: {error}. Nothing was sent. "
                'Next: write it like {"position": "partition:offset", "payload": ...}.'
            ) from error
        yield Fix(position, key_of(value, pipeline.topic.key), value)


def _loads(text: str | bytes) -> Any:
    """Parse JSON, but keep numbers digit by digit."""
    import orjson

    return json.loads(text, parse_int=orjson.Fragment, parse_float=orjson.Fragment)


def _read(line: dict[str, Any]) -> tuple[str, bytes | None]:
    """Position and value of a line."""
    import orjson

    partition, offset = map(int, line["position"].split(":"))
    value: bytes | None
    if "payload_base64" in line:
        value = base64.b64decode(line["payload_base64"], validate=True)
    elif isinstance(payload := line["payload"], str | None):
        value = None if payload is None else payload.encode()
    else:
        value = orjson.dumps(payload)
    return f"{partition}:{offset}", value
