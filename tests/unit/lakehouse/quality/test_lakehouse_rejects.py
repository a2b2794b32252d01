"""Rejected events: counted, shown without harm, written to be mended, and sent again once, on a real catalog and broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException
from confluent_kafka import Consumer, TopicPartition

from lakehouse.quality import rejects, rejects_replay
from lakehouse.quality.rejects_replay import Mended, Replay, as_they_are, from_lines, replay
from taxi_generator.events import COLUMNS

TOPIC = "taxi.raw_trips"
POSITION = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())]
FIELDS = [(name, pa.string()) for name in COLUMNS]
REASON, AT, MENDS = ("reason", pa.string()), ("ingested_at", pa.timestamp("us", "UTC")), ("mends", pa.string())
SCHEMAS = {
    "bronze.raw_trips": [*FIELDS, *POSITION, AT, MENDS],
    "bronze.rejected_events": [("payload", pa.binary()), REASON, *POSITION, AT, MENDS],
    "silver.rejected_trips": [*FIELDS, REASON, *POSITION, ("processed_at", AT[1])],
}
NOON = datetime(2024, 1, 15, 12, tzinfo=UTC)
NOT_JSON = {"reason": "not JSON", "ingested_at": NOON}


@pytest.fixture
def put(iceberg) -> Callable[..., None]:
    """Add a row to a table; all tables are there, with no row."""
    tables = {}
    for name, schema in SCHEMAS.items():
        iceberg.create_namespace_if_not_exists(name.split(".")[0])
        tables[name] = iceberg.create_table(name, pa.schema(schema))

    def put(name: str, partition: int, offset: int, **values: Any) -> None:
        row = {"kafka_partition": partition, "kafka_offset": offset, **values}
        tables[name].refresh().append(pa.Table.from_pylist([row], schema=pa.schema(SCHEMAS[name])))

    return put


@pytest.fixture
def some(put) -> None:
    """Four rejected events, of which one is mended."""
    put("bronze.rejected_events", 1, 7, **NOT_JSON, payload=b'{"a": \x1b[2J')
    put("bronze.rejected_events", 0, 9, **NOT_JSON, payload=b"\xff")
    put("bronze.rejected_events", 0, 3, reason="no value (tombstone)", ingested_at=NOON, payload=None)
    put("bronze.raw_trips", 2, 1, mends="0:9")
    trip = {"fare_amount": "-2.50", "VendorID": "1", "store_and_fwd_flag": "1", "tip_amount": "020"}
    put("silver.rejected_trips", 2, 5, reason="fare_amount is negative", processed_at=NOON, **trip)


@pytest.mark.usefixtures("some")
def test_reasons_are_counted_with_what_is_mended():
    assert rejects.reasons() == [
        rejects.Reason("bronze", "not JSON", 2, 1, NOON),
        rejects.Reason("bronze", "no value (tombstone)", 1, 0, NOON),
        rejects.Reason("silver", "fare_amount is negative", 1, 0, NOON),
    ]


@pytest.mark.usefixtures("some")
def test_what_is_mended_is_no_longer_open():
    positions = [reject.position for reject in rejects.open_rejects("bronze")]
    assert positions == ["0:3", "1:7"]
    assert [reject.position for reject in rejects.open_rejects("bronze", limit=1)] == ["0:3"]
    assert [reject.position for reject in rejects.open_rejects("bronze", reason="not JSON")] == ["1:7"]


@pytest.mark.usefixtures("some")
def test_a_rejected_trip_is_an_event_again_digit_by_digit():
    [reject] = rejects.open_rejects("silver")
    event = json.loads(reject.payload, parse_float=str)
    assert {name: value for name, value in event.items() if value is not None} == {
        "VendorID": 1,
        "store_and_fwd_flag": "1",
        "fare_amount": "-2.50",
        "tip_amount": "020",  # no number in JSON: stays the text that it came as
    }
    assert list(event) == list(COLUMNS)


@pytest.mark.usefixtures("some")
def test_the_command_shows_them_and_steers_no_terminal(capsys):
    assert rejects.main() == 0
    shown = capsys.readouterr().out
    assert "bronze              2            1  2024-01-15 12:00:00  not JSON" in shown
    assert 'bronze 1:7: not JSON\n  {"a": \\x1b[2J\n' in shown
    assert "bronze 0:3: no value (tombstone)\n  (none)" in shown
    assert "silver 2:5: fare_amount is negative" in shown
    assert "\x1b" not in shown
    rejects.main("--layer", "bronze", "--limit", "0")
    assert "1:7" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ("Zoë 🚕".encode(), "Zoë 🚕"),
        (b"a\0\r\n\xff", "a\\x00\\r\\n\\xff"),
        ("\u202etxt.exe".encode(), "\\u202etxt.exe"),  # would be written from right to left
        (b"x" * 2_000, "x" * 400 + "... (2,000 bytes)"),
    ],
)
def test_readable(payload, shown):
    assert rejects.readable(payload) == shown


def test_nothing_rejected_is_said(put, capsys):
    assert rejects.main() == 0
    assert capsys.readouterr().out == "No event was ever rejected.\n"


@pytest.mark.usefixtures("some")
def test_a_file_holds_what_is_to_be_mended(tmp_path, put, capsys):
    put("bronze.rejected_events", 0, 11, **NOT_JSON, payload=b"\xfe")
    file = tmp_path / "mend.jsonl"
    rejects.main("--file", str(file))
    assert f"4 rejected events are in {file}" in capsys.readouterr().out
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"layer": "bronze", "position": "0:3", "reason": "no value (tombstone)", "payload": None}
    assert lines[1] == {"layer": "bronze", "position": "0:11", "reason": "not JSON", "payload_base64": "/g=="}
    assert lines[2]["payload"] == '{"a": \x1b[2J'
    assert lines[3]["payload"]["store_and_fwd_flag"] == "1"
    with pytest.raises(AirflowException, match=r"exists.*name another"):
        rejects.main("--file", str(file))
    # Sent unmended, they are what they were.
    events = {event.position: event.value for event in from_lines(file.read_bytes().splitlines())}
    due = [reject for layer in rejects.LAYERS for reject in rejects.open_rejects(layer)]
    assert events == {reject.position: reject.payload for reject in due}


def test_a_mended_payload_keeps_its_numbers_and_gets_its_key():
    line = '{"position": "0:07", "payload": {"fare_amount": 2.50, "trip_distance": 1e400, "PULocationID": 132}}'
    value = b'{"fare_amount":2.50,"trip_distance":1e400,"PULocationID":132}'
    assert list(from_lines([line, "", "\n"])) == [Mended("0:7", b"132", value)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"payload": {}}', "KeyError: 'position'"),
        ('{"position": "0:1"}', "KeyError: 'payload'"),
        ('{"position": "1", "payload": {}}', "ValueError"),
        ('{"position": 1, "payload": {}}', "AttributeError"),
        ('{"position": "0:1", "payload_base64": "?"}', "Error"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_named(line, problem):
    with pytest.raises(AirflowException, match=f"Line 2 cannot be replayed: {problem}.*Nothing was sent"):
        list(from_lines([b"", line]))


@pytest.fixture
def topic(send, http, connect) -> Callable[[], list]:
    """The topic on a broker, and the contract's id on a registry; call it for its messages."""
    connect("schema_registry", host=f"http://127.0.0.1:{http.server_port}")
    http[f"GET /subjects/{TOPIC}-value/versions/latest"] = {"id": 17}
    send(TOPIC, 0)

    def messages() -> list:
        consumer = Consumer({**BaseHook.get_connection("kafka_default").extra_dejson, "group.id": "tests"})
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=10)[1] for p in partitions}
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        found = consumer.consume(sum(ends.values()), timeout=10)
        consumer.close()
        assert len(found) == sum(ends.values())
        return found

    return messages


@pytest.fixture
def arrive(put, topic) -> Callable[[], None]:
    """Let Bronze have what Kafka has, as its job does."""

    def arrive() -> None:
        for message in topic():
            mends = dict(message.headers())["mends"].decode()
            put("bronze.raw_trips", message.partition(), message.offset(), mends=mends)

    return arrive


@pytest.mark.usefixtures("some")
def test_each_is_sent_once_and_says_what_it_mends(topic, arrive):
    events = [Mended("1:7", b"132", b"{}"), Mended("2:5", None, None), Mended("0:9", b"1", b"[]")]
    assert replay(events, dry_run=True) == Replay(sent=2, sent_before=1)
    assert topic() == []

    assert replay(events) == Replay(sent=2, sent_before=1)
    sent = {(message.key(), message.value(), tuple(message.headers())) for message in topic()}
    assert sent == {
        (b"132", b"{}", (("schema.id", b"17"), ("mends", b"1:7"))),
        (None, None, (("schema.id", b"17"), ("mends", b"2:5"))),
    }

    arrive()
    assert replay(events) == Replay(sent=0, sent_before=3)
    assert len(topic()) == 2


@pytest.mark.usefixtures("some")
def test_as_they_are(topic, arrive):
    assert replay(as_they_are("silver", "fare_amount is negative")) == Replay(sent=1, sent_before=0)
    [message] = topic()
    assert b'"fare_amount":-2.50' in message.value()
    arrive()
    assert replay(as_they_are("silver", "fare_amount is negative")) == Replay(sent=0, sent_before=0)


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("positions", "problem"),
    [(["1:7", "1:7"], "1:7 is to be mended twice"), (["1:7", "1:8"], "No event was rejected at 1:8: nothing was sent")],
)
def test_slips_are_refused(topic, positions, problem):
    with pytest.raises(AirflowException, match=problem):
        replay([Mended(position, None, b"{}") for position in positions])
    assert topic() == []


@pytest.mark.usefixtures("some")
def test_nothing_is_sent_while_bronze_is_behind(topic, send, monkeypatch):
    """It would not know what an earlier replay has sent."""
    monkeypatch.setattr(rejects_replay, "ARRIVE_LIMIT_S", 0.2)
    send(TOPIC, 6)  # Bronze has four rows
    with pytest.raises(AirflowException, match=r"Bronze lacks 2 events.*Nothing was sent.*flink_jobs is green"):
        replay([Mended("1:7", None, b"{}")])
    assert len(topic()) == 6


@pytest.mark.usefixtures("some")
def test_what_kafka_refuses_is_told_and_the_rest_goes_on(topic, arrive):
    large = Mended("2:5", None, b"x" * 2_000_000)
    events = [Mended("0:3", None, b"{}"), large, Mended("1:7", None, b"{}")]
    with pytest.raises(AirflowException, match=r"1 of 3 events were sent; then Kafka did not take one: .*too large"):
        replay(events)
    arrive()
    assert replay([event for event in events if event is not large]) == Replay(sent=1, sent_before=1)


@pytest.mark.usefixtures("some", "topic")
def test_a_file_or_a_reason(tmp_path, capsys):
    file = tmp_path / "mend.jsonl"
    file.write_text('{"position": "1:7", "payload": {"a": 1}}\n')
    assert rejects_replay.run(str(file), None, None, True) == {"sent": 1, "sent_before": 0}
    assert rejects_replay.run(f"file://{file}", None, None, True) == {"sent": 1, "sent_before": 0}
    assert rejects_replay.main("--layer", "bronze", "--reason", "not JSON", "--dry-run") == 0
    assert capsys.readouterr().out == "1 events are due, 0 were sent before\n"
    for wrong in [(None, None, None), (None, "bronze", None), (str(file), "bronze", "not JSON")]:
        with pytest.raises(AirflowException, match="either a file, or a layer and a reason"):
            rejects_replay.run(*wrong, True)
    with pytest.raises(AirflowException, match=r"cannot be read.*the worker can see"):
        rejects_replay.run(str(tmp_path / "none"), None, None, True)
