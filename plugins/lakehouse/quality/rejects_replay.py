"""Rejected events sent to the topic again, mended or as they are, each at most once.

An event that is sent carries the header `mends`: the position of the one that it puts right. Bronze keeps the header in its
column of that name, so what has been sent once is known, however the run before ended. The rejected row stays: it is history.

As a command: `python -m lakehouse rejects-replay --help`.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.quality.rejects import LAYERS, mended_positions, open_rejects, rejected_positions
from lakehouse.streaming.declared import JOBS
from lakehouse.waiting import wait_until

MENDS_HEADER = "mends"
ARRIVE_LIMIT_S = 180


@dataclass(frozen=True)
class Mended:
    """An event to be sent.

    :param position: of the rejected event, "partition:offset"
    """

    position: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Replay:
    """What a replay did, or would do.

    :param sent: events delivered (of a dry run: due)
    :param sent_before: events left out, because they were sent by an earlier replay
    """

    sent: int
    sent_before: int


def replay(events: Iterable[Mended], dry_run: bool = False) -> Replay:
    """Send each event that no replay has sent before. Replays wait for each other, so two at once send once.

    :raises AirflowException: a position is twice in the events or is no rejected event's, Bronze does not keep up, or Kafka did
        not take an event; the message says how many were sent, and a replay of the same goes on from there
    """
    wanted: dict[str, Mended] = {}
    for event in events:
        if wanted.setdefault(event.position, event) is not event:
            raise AirflowException(f"{event.position} is to be mended twice. Next: leave one line of the two.")
    with IcebergCatalogHook().lock("rejects-replay"):
        topic = Variable.get("taxi_topic")
        await_bronze(topic)
        _refuse_others(wanted.keys())
        due = wanted.keys() - mended_positions()
        if not dry_run:
            _send(topic, [event for position, event in wanted.items() if position in due])
    return Replay(sent=len(due), sent_before=len(wanted) - len(due))


def await_bronze(topic: str) -> None:
    """Wait until Bronze holds all that Kafka holds now: before that, it does not know all that was sent."""
    end = sum(TopicHook(topic).end_offsets().values())

    def missing() -> int:
        return end - IcebergCatalogHook().rows(*JOBS["bronze"].tables)

    try:
        wait_until(lambda: missing() <= 0, "Bronze to hold what Kafka holds", ARRIVE_LIMIT_S)
    except TimeoutError as error:
        raise AirflowException(
            f"Bronze lacks {missing():,} events that Kafka holds: what was sent before cannot be known. Nothing was sent. "
            "Next: see that flink_jobs is green, then replay again."
        ) from error


def _refuse_others(positions: Iterable[str]) -> None:
    """Only what was rejected can be mended: anything else is a slip of the pen."""
    if unknown := set(positions).difference(rejected_positions()):
        raise AirflowException(
            f"No event was rejected at {', '.join(sorted(unknown)[:5])}: nothing was sent. "
            "Next: take positions from `make rejects`."
        )


def _send(topic: str, events: list[Mended]) -> None:
    from taxi_generator import GeneratorError
    from taxi_generator.producer import TripProducer, schema_id

    try:
        registry = BaseHook.get_connection("schema_registry")
        contract = schema_id(registry.host, f"{topic}-value", registry.extra_dejson.get("verify"))
        producer = TripProducer(BaseHook.get_connection("kafka_default").extra_dejson, topic, contract)
    except GeneratorError as error:
        raise AirflowException(str(error)) from error
    for event in events:
        if not producer.failed:
            producer.send([event.key], [event.value], headers=[(MENDS_HEADER, event.position.encode())])
    producer.finish()
    if producer.failed:
        raise AirflowException(
            f"{producer.delivered:,} of {len(events):,} events were sent; then Kafka did not take one: {producer.first_error}. "
            "Next: mend the event or the broker, then replay the same again: what was sent is left out."
        )


def from_lines(lines: Iterable[str | bytes]) -> Iterator[Mended]:
    """Events from JSON lines as `make rejects FILE=` writes them; numbers stay as they are written.

    :raises AirflowException: a line is not such a one; the message gives its number
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _mended(_loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise AirflowException(
                f"Line {number} cannot be replayed: {type(error).__name__}: {error}. Nothing was sent. "
                'Next: write it as {"position": "partition:offset", "payload": ...}.'
            ) from error


def _loads(text: str | bytes) -> Any:
    """JSON whose numbers are kept as they are written."""
    import orjson

    return json.loads(text, parse_int=orjson.Fragment, parse_float=orjson.Fragment)


def _mended(line: dict[str, Any]) -> Mended:
    import orjson

    partition, offset = map(int, line["position"].split(":"))
    if "payload_base64" in line:
        value = base64.b64decode(line["payload_base64"], validate=True)
    elif isinstance(payload := line["payload"], str | None):
        value = None if payload is None else payload.encode()
    else:
        value = orjson.dumps(payload)
    return Mended(f"{partition}:{offset}", _key(value), value)


def _key(value: bytes | None) -> bytes | None:
    """The pickup zone as text, as the generator keys its events; none where the event has none."""
    try:
        zone = json.loads(value or b"")["PULocationID"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return None if zone is None else str(zone).encode()


def as_they_are(layer: str, reason: str) -> Iterator[Mended]:
    """What a layer rejected for this reason and nobody has sent again yet: after the rule or the window has changed."""
    for reject in open_rejects(layer, reason):
        yield Mended(reject.position, _key(reject.payload), reject.payload)


def run(file: str | None, layer: str | None, reason: str | None, dry_run: bool) -> dict[str, int]:
    """Replay a file of mended events, or what was rejected for a reason as it is; what was done, in numbers.

    :param file: path or URI of JSON lines
    :raises AirflowException: both or neither are given, the file cannot be read, or `replay` refuses
    """
    from airflow.sdk import ObjectStoragePath

    if bool(file) == bool(layer and reason):
        raise AirflowException("Nothing was sent. Next: give either a file, or a layer and a reason.")
    if not file:
        return asdict(replay(as_they_are(layer, reason), dry_run))
    try:
        with ObjectStoragePath(file).open("rb") as lines:
            return asdict(replay(from_lines(lines), dry_run))
    except OSError as error:
        raise AirflowException(f"{file} cannot be read: {error}. Next: name a file that the worker can see.") from error


def main(*arguments: str) -> int:
    """Send mended or unchanged events again."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse rejects-replay", description=__doc__)
    parser.add_argument("--file", help="JSON lines as `make rejects FILE=` writes them, with mended payloads")
    parser.add_argument("--layer", choices=LAYERS, help="as they are: what this layer rejected ...")
    parser.add_argument("--reason", help="... for this reason")
    parser.add_argument("--dry-run", action="store_true", help="send nothing")
    options = parser.parse_args(arguments)
    done = run(**vars(options))
    verb = "are due" if options.dry_run else "were sent"
    print(f"{done['sent']:,} events {verb}, {done['sent_before']:,} were sent before")
    return 0
