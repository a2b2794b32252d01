"""Rejected events sent to the topic again, fixed or as they are, each at most once.

An event that is sent carries the header `mends`: the position of the one that it corrects. The tables over the topic keep the
header in their column of that name, so what has been sent once is known, however the run before ended. The rejected row stays:
it is history.
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
    """What a replay did, or would do.

    :param sent: events delivered (of a dry run: due)
    :param sent_before: events left out, because they were sent by an earlier replay
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
    """Replay a file of fixed events, or what a stage rejected for a reason as it is; what was done, in numbers.

    :param file: path or URI of JSON lines
    :raises AirflowException: both or neither are given, the file cannot be read, or `replay` refuses
    """
    from airflow.sdk import ObjectStoragePath

    if stage and reason and not file:
        return asdict(replay(pipeline, as_they_are(pipeline, stage, reason), dry_run))
    if not file or stage or reason:
        raise AirflowFailException("Nothing was sent. Next: give either a file, or a stage and a reason.")
    try:
        path = ObjectStoragePath(file)
    except (ValueError, ImportError) as error:  # no kind of storage has such an address
        raise AirflowFailException(
            f"{file} cannot be read: {error}. Next: name a file that the worker can see."
        ) from error
    try:
        with path.open("rb") as lines:
            return asdict(replay(pipeline, from_lines(pipeline, lines), dry_run))
    except OSError as error:
        raise AirflowFailException(
            f"{file} cannot be read: {error}. Next: name a file that the worker can see."
        ) from error


def replay(pipeline: Pipeline, events: Iterable[Fix], dry_run: bool = False) -> Replay:
    """Send each event that no replay has sent before. Replays wait for each other, so two at once send once.

    :raises AirflowException: a position is twice in the events or is no rejected event's, the tables over the topic do not keep
        up, or Kafka did not take an event; the message says how many were sent, and a replay of the same goes on from there
    """
    with Spool() as spool:
        spool.add(events)
        if position := spool.repeated():
            raise AirflowFailException(f"{position} is there twice: nothing was sent. Next: keep one line of the two.")
        with CoordinationHook().lock(f"rejects-replay {pipeline.name}"):
            await_arrival(pipeline)
            _refuse_others(pipeline, spool)
            due = spool.settle(fixed_positions(pipeline))
            if due and not dry_run:
                _send(pipeline, spool.due(), due)
        return Replay(sent=due, sent_before=len(spool) - due)


def await_arrival(pipeline: Pipeline) -> None:
    """Wait until the stages that read the topic hold all that Kafka holds now: before that, they do not know all that was sent.

    :raises AirflowException: no stage reads the topic, or one does not keep up
    """
    readers = [stage for stage in pipeline.stages.values() if stage.reads_topic]
    if not readers:
        raise AirflowException(
            f"No stage of {pipeline.name} reads its topic: an event that is sent would arrive nowhere."
        )
    ends = TopicHook(pipeline.topic.name).end_offsets()

    def missing() -> dict[str, int]:
        found = {stage.name: reconcile(pipeline, stage).missing.below(ends) for stage in readers}
        return {name: len(positions) for name, positions in found.items() if positions}

    try:
        wait_until(lambda: not missing(), "the stages to hold what Kafka holds", ARRIVE_LIMIT_S)
    except TimeoutError as error:
        behind = ", ".join(f"{name} lacks {rows:,}" for name, rows in missing().items()) or "a stage lacked some"
        raise AirflowException(
            f"{behind} events that Kafka holds: what was sent before cannot be known. Nothing was sent. "
            "Next: see that flink_jobs is green, then replay again."
        ) from error


def _refuse_others(pipeline: Pipeline, spool: Spool) -> None:
    """Only what was rejected can be fixed: anything else is a slip of the pen."""
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
            f"{producer.delivered:,} of {due:,} events were sent; then Kafka did not take one: {producer.first_error}. "
            "Next: fix the event or the broker, then replay the same again: what was sent is left out."
        )


def as_they_are(pipeline: Pipeline, stage: str, reason: str) -> Iterator[Fix]:
    """What a stage rejected for this reason and nobody has sent again yet: after a rule or a parameter has changed."""
    for reject in open_rejects(pipeline, stage, reason):
        yield Fix(reject.position, key_of(reject.payload, pipeline.topic.key), reject.payload)


def from_lines(pipeline: Pipeline, lines: Iterable[str | bytes]) -> Iterator[Fix]:
    """Events from JSON lines as `write` makes them; numbers stay as they are written.

    :raises AirflowException: a line is not such a one; the message gives its number
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            position, value = _read(_loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise AirflowFailException(
                f"Line {number} cannot be replayed: {type(error).__name__}: {error}. Nothing was sent. "
                'Next: write it as {"position": "partition:offset", "payload": ...}.'
            ) from error
        yield Fix(position, key_of(value, pipeline.topic.key), value)


def _loads(text: str | bytes) -> Any:
    """JSON whose numbers are kept as they are written."""
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
