"""One run of the generator: a source, a pace, a producer, and the expected result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse.producer import ProducerError, TopicProducer, schema_id

from . import pipeline
from .errors import DeliveryFailed, GeneratorError
from .pacing import INTERVALS, Pacer

if TYPE_CHECKING:
    import pyarrow as pa

    from .files import TripFile
    from .oracle import Oracle

MODES = ("burst", *INTERVALS)
EVENTS = 10_000
SEED = 1
PROGRESS_EVERY = 2.0

_log = logging.getLogger(__name__)


def run(
    kafka: Mapping[str, Any],
    *,
    registry: str | None,
    registry_ca_file: str | None = None,
    topic: str | None = None,
    events: int | None = None,
    mode: str = "burst",
    rate: float | None = None,
    seed: int = SEED,
    source: str | Path | None = None,
    pickup_from: datetime | None = None,
    pickup_to: datetime | None = None,
    keys: str | Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
    log: Callable[[str], None] = _log.info,
) -> dict[str, Any]:
    """Send trips to Kafka and return a summary of the run.

    :param kafka: librdkafka's configuration, as in the extra of Airflow's Kafka connection.
    :param registry: base URL of a Confluent-compatible API, which may contain credentials; the id of the subject `<topic>-value`
        is added to each event as a header. `None`: no header.
    :param registry_ca_file: certificates (PEM) for verifying the registry's, instead of those that this machine trusts.
    :param topic: by default the pipeline's.
    :param events: number of events; by default 10,000 synthetic ones or the whole file, 0 for no limit (synthetic trips are
        endless).
    :param mode: `burst` sends as fast as possible; `batch` sends once a second at `rate` (events/s); `realtime` evenly.
    :param seed: seed of synthetic trips.
    :param source: a TLC yellow-taxi file, Parquet or CSV, instead of synthetic trips.
    :param pickup_from: start of Silver's window, for `expected`; by default the pipeline's parameter of that name.
    :param pickup_to: end of Silver's window, likewise.
    :param keys: Parquet file to write, with `trip_id`, `pickup_date`, `pickup_hour` of Silver's trips.
    :param stopped: called often; once it returns true, the run ends cleanly.
    :param log: called with a line of progress every 2 s.
    :raises GeneratorError: the run cannot start, or the source cannot be read to its end.
    :raises DeliveryFailed: an event did not reach Kafka; the error has the summary.

    `expected` in the summary is the contribution of this run to Bronze and Silver, with `reasons`, the number of rejected trips
    by reason, and `window`. An endless stream has none unless `keys` are requested, because the identities of its trips would
    fill the disk.
    """
    _check(events, mode, rate, seed)
    from .files import TripFile

    file = TripFile(source) if source else None
    if file and file.missing:
        log(f"File {file.path} has no column {', '.join(file.missing)}: null in every event")
    wanted = _wanted(events, file)
    endless = not file and not wanted
    topic = topic or pipeline.topic()

    def is_running() -> bool:
        progress.report()
        return not stopped()

    with ExitStack() as stack:
        # Silver's window only matters if there is an expected result.
        oracle = stack.enter_context(_oracle(pickup_from, pickup_to, keys)) if keys or not endless else None
        producer, id_ = _open_producer(kafka, topic, registry, registry_ca_file)
        progress = _Progress(producer, wanted, log)
        pacer = Pacer(rate, INTERVALS[mode]) if rate and mode in INTERVALS else None
        started = time.monotonic()
        try:
            sent = _send(producer, _batches(file, seed, wanted), pacer, oracle.add if oracle else None, is_running)
        except GeneratorError as error:
            producer.finish(is_running)
            raise GeneratorError(f"{error} {producer.delivered:,} events were delivered before.") from error
        producer.finish(is_running)
        elapsed = time.monotonic() - started
        summary = {
            "topic": topic,
            "schema_id": id_,
            "mode": mode,
            "target_rate": rate if pacer else None,
            "seed": None if file else seed,
            "source": str(file.path) if file else None,
            "requested": wanted or None,
            "events": producer.handed_over,
            "delivered": producer.delivered,
            "failed": producer.failed,
            "complete": not producer.failed and (endless or sent.all),
            "elapsed_s": round(elapsed, 3),
            "rate": round(producer.delivered / elapsed, 1),
            **_times("first_event", sent.first_at),
            **_times("last_event", sent.last_at),
            **_about(file),
            "expected": None,
        }
        if producer.failed:
            raise DeliveryFailed(
                f"Kafka at {producer.servers} has {producer.delivered:,} events for {topic}; "
                f"{producer.failed:,} were not delivered: {producer.first_error}. "
                "Next: repair the broker, then send again: Silver detects the duplicates.",
                summary,
            )
        if oracle:
            summary["expected"] = oracle.result()
    return summary


def expected_result(
    keys: str | Path,
    *,
    events: int | None = None,
    seed: int = SEED,
    source: str | Path | None = None,
    pickup_from: datetime | None = None,
    pickup_to: datetime | None = None,
) -> dict[str, Any]:
    """`expected` of a `run` with the same arguments, without sending anything.

    :param keys: Parquet file to write, with `trip_id`, `pickup_date`, `pickup_hour` of Silver's trips.
    :param pickup_from: start of Silver's window; by default the pipeline's parameter of that name.
    :param pickup_to: end of Silver's window, likewise.
    :raises GeneratorError: the source cannot be read, or the stream is endless.
    """
    batches = _without_sending(events, seed, source)
    with _oracle(pickup_from, pickup_to, keys) as oracle:
        for batch in batches:
            oracle.add(batch)
        return oracle.result()


def pickup_months(
    *, events: int | None = None, seed: int = SEED, source: str | Path | None = None
) -> tuple[datetime, datetime]:
    """The window of whole calendar months that contains 99 % of the pickup times of a `run` with the same arguments.

    :return: its start and exclusive end
    :raises GeneratorError: there are no such months, the source cannot be read, or the stream is endless
    """
    from .months import NEARLY_ALL, months_of

    found = months_of(_without_sending(events, seed, source))
    if found is None:
        name = f"File {source}" if source else "The stream"
        raise GeneratorError(
            f"{name} has no calendar months with {NEARLY_ALL} % of its pickup times. Next: set the window yourself."
        )
    return found


def _without_sending(events: int | None, seed: int, source: str | Path | None) -> Iterator[pa.RecordBatch]:
    """The trips of a `run` with the same arguments.

    :raises GeneratorError: the source cannot be read, or the stream is endless
    """
    from .files import TripFile

    file = TripFile(source) if source else None
    if not file and events == 0:
        raise GeneratorError("An endless stream has no expected result. Next: set a number of events.")
    return _batches(file, seed, _wanted(events, file))


def _oracle(pickup_from: datetime | None, pickup_to: datetime | None, keys: str | Path | None) -> Oracle:
    """An oracle for a window; missing edges are the pipeline's."""
    from .oracle import Oracle

    if pickup_from is None or pickup_to is None:
        first, after = pipeline.window()
        pickup_from, pickup_to = pickup_from or first, pickup_to or after
    return Oracle(pickup_from, pickup_to, Path(keys) if keys else None)


def _open_producer(
    kafka: Mapping[str, Any], topic: str, registry: str | None, registry_ca_file: str | None
) -> tuple[TopicProducer, int | None]:
    """A producer whose broker has responded, and the contract's id.

    :raises GeneratorError: the broker or the registry is unavailable
    """
    try:
        id_ = schema_id(registry, f"{topic}-value", registry_ca_file) if registry else None
        producer = TopicProducer(kafka, topic, id_)
        producer.check()
    except ProducerError as error:
        raise GeneratorError(str(error)) from error
    return producer, id_


def _wanted(events: int | None, file: TripFile | None) -> int:
    """Number of requested events; 0: all."""
    if events is not None:
        return events
    return 0 if file else EVENTS


def _check(events: int | None, mode: str, rate: float | None, seed: int) -> None:
    if mode not in MODES:
        raise GeneratorError(f"Mode {mode!r} is unknown. Next: choose {', '.join(MODES)}.")
    if mode in INTERVALS and not (rate and rate > 0):
        raise GeneratorError(f"Mode {mode} cannot keep rate {rate!r}. Next: set events per second, above 0.")
    if events is not None and events < 0:
        raise GeneratorError(f"{events} events cannot be sent. Next: set a number, or 0 for no limit.")
    if seed < 0:
        raise GeneratorError(f"Seed {seed} is negative. Next: set 0 or more.")


def _batches(file: TripFile | None, seed: int, wanted: int) -> Iterator[pa.RecordBatch]:
    from . import synthetic

    return file.batches(wanted or None) if file else synthetic.batches(seed, wanted)


class _Sent(NamedTuple):
    first_at: float | None
    last_at: float | None
    all: bool


def _send(
    producer: TopicProducer,
    batches: Iterator[pa.RecordBatch],
    pacer: Pacer | None,
    on_sent: Callable[[pa.RecordBatch], None] | None,
    is_running: Callable[[], bool],
) -> _Sent:
    """Send everything at its pace, and call `on_sent` with what was sent."""
    from .events import encode

    first_at = last_at = None
    for batch in batches:
        keys, values = encode(batch)
        size = pacer.size if pacer else len(values)
        done = 0
        while done < len(values) and not producer.failed and is_running():
            if pacer and (due_in := pacer.due_in()):
                producer.wait(min(due_in, 0.1))
                continue
            last_at = time.time()
            first_at = first_at or last_at
            sent = producer.send(keys[done : done + size], values[done : done + size], is_running)
            done += sent
            if pacer:
                pacer.sent(sent)
        if on_sent:
            on_sent(batch.slice(0, done))
        if done < len(values):
            return _Sent(first_at, last_at, False)
    return _Sent(first_at, last_at, True)


class _Progress:
    """Logs a line of progress every 2 s, from the first event on."""

    def __init__(self, producer: TopicProducer, wanted: int, log: Callable[[str], None]):
        self._producer = producer
        self._wanted = f" of {wanted:,}" if wanted else ""
        self._log = log
        self._last: tuple[float, int] | None = None

    def report(self) -> None:
        now, delivered = time.monotonic(), self._producer.delivered
        then, before = self._last = self._last or (now, 0)
        if now - then < PROGRESS_EVERY:
            return
        self._last = (now, delivered)
        rate = (delivered - before) / (now - then)
        self._log(f"{delivered:,}{self._wanted} events delivered, {rate:,.0f} events/s")


def _times(name: str, at: float | None) -> dict[str, Any]:
    text = None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return {f"{name}_at": text, f"{name}_at_ms": None if at is None else int(at * 1000)}


def _about(file: TripFile | None) -> dict[str, Any]:
    if not file:
        return {"missing_columns": [], "extra_columns": [], "unknown_codes": {}}
    codes = {name: sorted(values) for name, values in file.unknown_codes.items()}
    return {"missing_columns": file.missing, "extra_columns": file.extra, "unknown_codes": codes}
