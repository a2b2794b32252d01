"""Rejected events are counted, shown safely, written to files, and sent again once, with a real catalog and broker."""

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
from more_pipelines import RIDES, declare

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.paths import CONTRACTS
from lakehouse.pipelines.contract import read_contract
from lakehouse.pipelines.load import get_pipeline
from lakehouse.pipelines.model import Pipeline
from lakehouse.quality import rejects
from lakehouse.quality.rejects import replay, report
from lakehouse.quality.rejects.read import Reason, open_rejects, reasons
from lakehouse.quality.rejects.replay import Fix, Replay, from_lines, unchanged

TOPIC = "taxi.raw_trips"
COLUMNS = read_contract(CONTRACTS / "nyc_taxi.json").names
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
    """Add a row to a table; all tables exist and are empty."""
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
    """Four rejected events, one of which is fixed."""
    put("bronze.rejected_events", 1, 7, **NOT_JSON, payload=b'{"a": \x1b[2J')
    put("bronze.rejected_events", 0, 9, **NOT_JSON, payload=b"\xff")
    put("bronze.rejected_events", 0, 3, reason="no value (tombstone)", ingested_at=NOON, payload=None)
    put("bronze.raw_trips", 2, 1, mends="0:9")
    trip = {"fare_amount": "-2.50", "VendorID": "1", "store_and_fwd_flag": "1", "tip_amount": "020"}
    put("silver.rejected_trips", 2, 5, reason="fare_amount is negative", processed_at=NOON, **trip)


@pytest.mark.usefixtures("some")
def test_reasons_have_numbers_of_rejected_and_fixed_events(taxi):
    assert reasons(taxi) == [
        Reason("bronze", "not JSON", 2, 1, NOON),
        Reason("bronze", "no value (tombstone)", 1, 0, NOON),
        Reason("silver", "fare_amount is negative", 1, 0, NOON),
    ]
    assert [found.stage for found in reasons(taxi, "silver")] == ["silver"]


@pytest.mark.usefixtures("some")
def test_a_fixed_event_is_no_longer_open(taxi):
    positions = [reject.position for reject in open_rejects(taxi, "bronze")]
    assert positions == ["0:3", "1:7"]
    assert [reject.position for reject in open_rejects(taxi, "bronze", limit=1)] == ["0:3"]
    assert [reject.position for reject in open_rejects(taxi, "bronze", reason="not JSON")] == ["1:7"]


@pytest.mark.usefixtures("some")
def test_the_event_of_a_rejected_trip_is_rebuilt_exactly(taxi):
    [reject] = open_rejects(taxi, "silver")
    event = json.loads(reject.payload, parse_float=str)
    assert {name: value for name, value in event.items() if value is not None} == {
        "VendorID": 1,
        "store_and_fwd_flag": "1",
        "fare_amount": "-2.50",
        "tip_amount": "020",  # not a number in JSON: remains text
    }
    assert list(event) == list(COLUMNS)


@pytest.mark.usefixtures("some")
def test_control_characters_are_escaped(taxi, put):
    put("silver.rejected_trips", 2, 6, reason="\x1b[2J", processed_at=NOON)
    shown = "\n".join(rejects.show(taxi))
    assert shown.startswith(rejects.overview(taxi))
    assert shown.splitlines()[1].split() == ["bronze", "2", "1", "2024-01-15", "12:00:00", "not", "JSON"]
    assert 'bronze 1:7: not JSON\n  {"a": \\x1b[2J\n' in shown
    assert "bronze 0:3: no value (tombstone)\n  (none)" in shown
    assert "silver 2:5: fare_amount is negative" in shown
    assert "\x1b" not in shown
    assert "1:7" not in "\n".join(rejects.show(taxi, "bronze", limit=0))
    assert "2:5" not in "\n".join(rejects.show(taxi, "bronze"))
    assert "0:3" not in "\n".join(rejects.show(taxi, reason="not JSON"))


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
    assert report.readable(payload) == shown


def test_without_rejected_events(put, taxi):
    assert [*rejects.show(taxi)] == ["No event of nyc_taxi was ever rejected."]


@pytest.mark.usefixtures("some")
def test_a_file_has_the_events_to_fix(tmp_path, put, taxi):
    put("bronze.rejected_events", 0, 11, **NOT_JSON, payload=b"\xfe")
    file = tmp_path / "fix.jsonl"
    assert rejects.write(taxi, file) == 4
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"stage": "bronze", "position": "0:3", "reason": "no value (tombstone)", "payload": None}
    assert lines[1] == {"stage": "bronze", "position": "0:11", "reason": "not JSON", "payload_base64": "/g=="}
    assert lines[2]["payload"] == '{"a": \x1b[2J'
    assert lines[3]["payload"]["store_and_fwd_flag"] == "1"
    with pytest.raises(AirflowException, match=r"exists.*choose another"):
        rejects.write(taxi, file)
    # Sent unchanged, they are the original events.
    events = {event.position: event.value for event in from_lines(taxi, file.read_bytes().splitlines())}
    due = [reject for stage in ("bronze", "silver") for reject in open_rejects(taxi, stage)]
    assert events == {reject.position: reject.payload for reject in due}


def test_a_fixed_payload_has_its_original_numbers_and_its_key(taxi):
    line = '{"position": "0:07", "payload": {"fare_amount": 2.50, "trip_distance": 1e400, "PULocationID": 132}}'
    value = b'{"fare_amount":2.50,"trip_distance":1e400,"PULocationID":132}'
    assert list(from_lines(taxi, [line, "", "\n"])) == [Fix("0:7", b"132", value)]


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
def test_an_invalid_line_is_reported(line, problem, taxi):
    with pytest.raises(AirflowException, match=f"Line 2 cannot be replayed: {problem}.*Nothing was sent"):
        list(from_lines(taxi, [b"", line]))


@pytest.fixture
def topic(send, http, connect) -> Callable[[], list]:
    """A broker with the topic, and a registry with the contract's id; call it to get the messages."""
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
    """Write Kafka's events to Bronze, as its job does."""

    def arrive() -> None:
        for message in topic():
            mends = dict(message.headers())["mends"].decode()
            put("bronze.raw_trips", message.partition(), message.offset(), mends=mends)

    return arrive


@pytest.mark.usefixtures("some")
def test_each_is_sent_once_with_the_position_that_it_fixes(topic, arrive, taxi):
    events = [Fix("1:7", b"132", b"{}"), Fix("2:5", None, None), Fix("0:9", b"1", b"[]")]
    assert replay.replay(taxi, events, dry_run=True) == Replay(sent=2, sent_before=1)
    assert topic() == []

    assert replay.replay(taxi, events) == Replay(sent=2, sent_before=1)
    sent = {(message.key(), message.value(), tuple(message.headers())) for message in topic()}
    assert sent == {
        (b"132", b"{}", (("schema.id", b"17"), ("mends", b"1:7"))),
        (None, None, (("schema.id", b"17"), ("mends", b"2:5"))),
    }

    arrive()
    assert replay.replay(taxi, events) == Replay(sent=0, sent_before=3)
    assert len(topic()) == 2


@pytest.mark.usefixtures("some")
def test_unchanged(topic, arrive, taxi):
    assert replay.replay(taxi, unchanged(taxi, "silver", "fare_amount is negative")) == Replay(sent=1, sent_before=0)
    [message] = topic()
    assert b'"fare_amount":-2.50' in message.value()
    arrive()
    assert replay.replay(taxi, unchanged(taxi, "silver", "fare_amount is negative")) == Replay(sent=0, sent_before=0)


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("positions", "problem"),
    [
        (["1:7", "1:7"], "Position 1:7 occurs twice: nothing was sent"),
        (["1:7", "1:8"], "No event was rejected at 1:8: nothing was sent"),
    ],
)
def test_wrong_positions_are_refused(topic, positions, problem, taxi):
    with pytest.raises(AirflowException, match=problem):
        replay.replay(taxi, [Fix(position, None, b"{}") for position in positions])
    assert topic() == []


@pytest.mark.usefixtures("some")
def test_nothing_is_sent_while_bronze_is_behind(topic, send, monkeypatch, taxi):
    """Otherwise events of an earlier replay could be missed."""
    monkeypatch.setattr(replay, "ARRIVE_LIMIT_S", 0.2)
    send(TOPIC, 6)  # Bronze has four rows, one of them of these events
    with pytest.raises(AirflowException, match=r"bronze lacks 5 events.*Nothing was sent.*flink_jobs is green"):
        replay.replay(taxi, [Fix("1:7", None, b"{}")])
    assert len(topic()) == 6


@pytest.mark.usefixtures("some")
def test_an_event_rejected_by_kafka_is_reported_and_the_rest_can_be_sent(topic, arrive, taxi):
    large = Fix("2:5", None, b"x" * 2_000_000)
    events = [Fix("0:3", None, b"{}"), large, Fix("1:7", None, b"{}")]
    with pytest.raises(AirflowException, match=r"1 of 3 events were sent; then Kafka rejected one: .*too large"):
        replay.replay(taxi, events)
    arrive()
    assert replay.replay(taxi, [event for event in events if event is not large]) == Replay(sent=1, sent_before=1)


@pytest.mark.usefixtures("some", "topic")
def test_a_file_or_a_reason(tmp_path, taxi):
    file = tmp_path / "fix.jsonl"
    file.write_text('{"position": "1:7", "payload": {"a": 1}}\n')
    assert rejects.run(taxi, str(file), dry_run=True) == {"sent": 1, "sent_before": 0}
    assert rejects.run(taxi, f"file://{file}", dry_run=True) == {"sent": 1, "sent_before": 0}
    assert rejects.run(taxi, stage="bronze", reason="not JSON", dry_run=True) == {"sent": 1, "sent_before": 0}
    wrong: list[dict[str, str]] = [{}, {"stage": "bronze"}, {"reason": "x"}, {"file": str(file), "stage": "bronze"}]
    for choice in [*wrong, {"file": str(file), "stage": "bronze", "reason": "not JSON"}]:
        with pytest.raises(AirflowException, match="either a file, or a stage and a reason"):
            rejects.run(taxi, **choice, dry_run=True)
    with pytest.raises(AirflowException, match=r"cannot be read.*the worker can access"):
        rejects.run(taxi, str(tmp_path / "none"), dry_run=True)
    with pytest.raises(
        AirflowException, match=r"No stage 'gold' of nyc_taxi rejects events\. Next: choose one of bronze, silver"
    ):
        rejects.run(taxi, stage="gold", reason="x")


@pytest.mark.usefixtures("put", "topic")
def test_the_broker_is_not_used_if_nothing_is_due(taxi, connect):
    connect("schema_registry", host="http://127.0.0.1:1")
    assert replay.replay(taxi, []) == Replay(sent=0, sent_before=0)


RIDES_SCHEMAS = {
    "bronze.rides": SCHEMAS["bronze.raw_trips"],
    "refused.rides": SCHEMAS["bronze.rejected_events"],
    "refused.untyped": SCHEMAS["silver.rejected_trips"],
}


@pytest.fixture
def rides(monkeypatch, tmp_path, put, iceberg) -> Pipeline:
    """A second pipeline in the same namespace: its stages `landing` and `typing` reject one event each, `splitting` none."""
    declare(monkeypatch, tmp_path, rides=RIDES)
    iceberg.create_namespace("refused")
    rows = {
        "bronze.rides": [],
        "refused.rides": [{"payload": b"{", **NOT_JSON, "kafka_partition": 0, "kafka_offset": 0}],
        "refused.untyped": [{"fare_amount": "-1", "reason": "low", "kafka_partition": 0, "kafka_offset": 1}],
    }
    for name, schema in RIDES_SCHEMAS.items():
        table = iceberg.create_table(name, pa.schema(schema))
        if rows[name]:
            table.append(pa.Table.from_pylist(rows[name], schema=pa.schema(schema)))
    return get_pipeline("rides")


def test_any_stage_of_any_pipeline(rides, taxi):
    assert [(found.stage, found.reason) for found in reasons(rides)] == [("landing", "not JSON"), ("typing", "low")]
    assert reasons(rides, "typing")[0].last_at is None  # rows have no time
    assert [reject.payload for reject in open_rejects(rides, "landing")] == [b"{"]
    assert [json.loads(reject.payload)["fare_amount"] for reject in open_rejects(rides, "typing")] == [-1]
    assert reasons(taxi) == []
    with pytest.raises(
        AirflowException, match=r"No stage 'splitting' of rides rejects events\. Next: choose one of landing, typing"
    ):
        reasons(rides, "splitting")


def test_a_replay_only_concerns_its_own_pipeline(rides, taxi, topic, put, http, send, iceberg):
    """Fixes and events of other pipelines do not matter."""
    put("bronze.raw_trips", 0, 0, mends="0:0")
    send(TOPIC, 1)
    http["GET /subjects/rides.events-value/versions/latest"] = {"id": 5}
    TopicHook("rides.events").end_offsets()
    done = replay.replay(rides, unchanged(rides, "landing", "not JSON"))
    assert done == Replay(sent=1, sent_before=0)
    assert sum(TopicHook("rides.events").end_offsets().values()) == 1
    assert len(topic()) == 1
    with pytest.raises(AirflowException, match="No event was rejected at 0:1"):
        replay.replay(taxi, [Fix("0:1", None, b"{}")])


def test_tables_without_the_necessary_columns_are_refused(rides, iceberg):
    """Events are never sent incompletely, nor twice."""
    with iceberg.load_table("refused.untyped").update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("fare_amount")
    with pytest.raises(
        AirflowException, match=r"untyped does not keep fare_amount as text: .*Next: run the DAG flink_jobs"
    ):
        list(open_rejects(rides, "typing"))
    with iceberg.load_table("bronze.rides").update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("mends")
    with pytest.raises(AirflowException, match=r"bronze\.rides has no column mends"):
        reasons(rides)


def test_all_stages_that_read_the_topic_are_awaited(taxi, topic, put, send, monkeypatch):
    """Two stages may read it, and write to separate tables."""
    monkeypatch.setattr(replay, "ARRIVE_LIMIT_S", 0.2)
    second = taxi.stages["silver"].model_copy(update={"source": "topic"})
    both = taxi.model_copy(update={"stages": {**taxi.stages, "silver": second}})
    for table in second.tables[:1] + second.tables[2:]:
        IcebergCatalogHook().catalog.create_table(table, pa.schema(POSITION))
    put("bronze.raw_trips", 0, 0)
    send(TOPIC, 1)
    with pytest.raises(AirflowException, match="silver lacks 1 events"):
        replay.replay(both, [])


EVERY_TYPE = {
    "properties": {
        "from": {"type": ["integer", "null"]},  # a keyword of SQL
        "Amount": {"type": "number"},
        "paid": {"type": "boolean"},
        "tags": {"type": "array"},
        "place": {"type": "object"},
        "note": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("texts", "event"),
    [
        (["7", "2.50", "true", "[1,\n2]", '{"lat": 1.10}', "5"],
         b'{"from":7,"Amount":2.50,"paid":true,"tags":[1, 2],"place":{"lat": 1.10},"note":"5"}'),
        (["x", "NaN", "yes", "[", "5", None],
         b'{"from":"x","Amount":"NaN","paid":"yes","tags":"[","place":"5","note":null}'),
    ],
)  # fmt: skip
def test_an_event_is_rebuilt_by_the_contracts_types(rides, iceberg, tmp_path, texts, event):
    (tmp_path / "every.json").write_text(json.dumps(EVERY_TYPE))
    contract = read_contract(tmp_path / "every.json")
    pipeline = rides.model_copy(update={"contract": contract})
    iceberg.drop_table("refused.untyped")
    schema = pa.schema([*((name, pa.string()) for name in contract.names), REASON, *POSITION])
    row = {**dict(zip(contract.names, texts, strict=True)), "reason": "low", "kafka_partition": 0, "kafka_offset": 1}
    iceberg.create_table("refused.untyped", schema).append(pa.Table.from_pylist([row], schema=schema))
    assert [reject.payload for reject in open_rejects(pipeline, "typing")] == [event]
    file = tmp_path / "fix.jsonl"
    assert rejects.write(pipeline, file, "typing") == 1
    assert len(file.read_text().splitlines()) == 1


def test_the_key_is_the_pipelines_field(rides):
    line = '{"position": "0:1", "payload": {"PULocationID": 132, "fare_amount": 2.50}}'
    assert [event.key for event in from_lines(rides, [line])] == [None]
    topic = rides.topic.model_copy(update={"key": "fare_amount"})
    assert [event.key for event in from_lines(rides.model_copy(update={"topic": topic}), [line])] == [b"2.50"]
