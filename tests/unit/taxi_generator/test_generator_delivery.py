"""Delivery to a TCP broker: all events are counted, and all failures reported."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest

from lakehouse import producer
from taxi_generator import DeliveryFailed, GeneratorError, expected_result, run, runner


def test_everything_arrives_once_with_key_and_contract(kafka, registry):
    summary = run({"bootstrap.servers": kafka.servers}, registry=registry.url, events=2_000, seed=5)

    messages = kafka.messages(2_000)
    events = [json.loads(message.value()) for message in messages]
    assert (summary["delivered"], summary["failed"], summary["complete"]) == (2_000, 0, True)
    assert len({json.dumps(event) for event in events}) == 2_000
    assert all(
        message.key() == str(event["PULocationID"]).encode() for message, event in zip(messages, events, strict=True)
    )
    assert {tuple(message.headers()) for message in messages} == {(("schema.id", b"17"),)}
    assert registry.requests == ["/apis/ccompat/v7/subjects/taxi.raw_trips-value/versions/latest"]
    assert summary["schema_id"] == 17
    assert summary["expected"]["silver"] == 1_971
    assert summary["first_event_at_ms"] <= summary["last_event_at_ms"] <= time.time() * 1000


def test_an_unavailable_registry_is_reported(kafka):
    with pytest.raises(
        GeneratorError, match=r"Schema registry http://127\.0\.0\.1:1 returned no id of taxi\.raw_trips-value"
    ):
        run({"bootstrap.servers": kafka.servers}, registry="http://127.0.0.1:1", events=1)


def test_the_expected_result_uses_the_pipelines_window(kafka, tmp_path, monkeypatch):
    """Silver and the generator use the same parameters, wherever these are set."""
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "2024-01-16 00:00:00")
    sent = run({"bootstrap.servers": kafka.servers}, registry=None, events=1_000)["expected"]
    assert 0 < sent["silver"] < 600
    assert sent["dates"] == 16
    assert expected_result(tmp_path / "keys", events=1_000) == sent
    monkeypatch.delenv("PIPELINE_NYC_TAXI_PICKUP_FROM")
    assert expected_result(tmp_path / "keys", events=1_000)["silver"] == 985


def test_an_explicit_edge_overrides_the_parameter(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "2024-01-16 00:00:00")
    assert expected_result(tmp_path / "keys", events=1_000, pickup_from=datetime(2024, 1, 31))["dates"] == 1


def test_an_invalid_window_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_NYC_TAXI_PICKUP_FROM", "yesterday")
    with pytest.raises(
        GeneratorError, match=r"pickup_from and pickup_to of pipeline nyc_taxi are not a window: .*yesterday"
    ):
        expected_result(tmp_path / "keys", events=1)


def test_without_a_registry_there_is_no_header(kafka):
    run({"bootstrap.servers": kafka.servers}, registry=None, events=1)
    assert kafka.messages(1)[0].headers() is None


def test_a_file_is_sent_and_described(kafka, real_file):
    summary = run({"bootstrap.servers": kafka.servers}, registry=None, source=real_file, events=3_000)
    assert (summary["delivered"], summary["requested"], summary["seed"]) == (3_000, 3_000, None)
    assert (summary["source"], summary["extra_columns"], summary["missing_columns"]) == (
        str(real_file),
        [],
        [],
    )
    assert summary["expected"]["bronze"] == 3_000
    zones = {json.loads(message.value())["PULocationID"] for message in kafka.messages(3_000)}
    assert {186, 140, 236} < zones


def test_a_full_queue_waits(kafka):
    config = {"bootstrap.servers": kafka.servers, "queue.buffering.max.messages": 100}
    assert run(config, registry=None, events=5_000)["delivered"] == 5_000


@pytest.mark.parametrize("mode", ["realtime", "burst"])
def test_a_broker_that_stops_is_a_failure_with_counts(kafka, mode, caplog):
    """The stream ends by itself, and delivered and failed events add up."""
    started = time.monotonic()

    def stop_the_broker() -> bool:
        if time.monotonic() - started > 0.7 and kafka.has_messages():
            kafka.stop()
        assert time.monotonic() - started < 30, "the stream continues without a broker"
        return False

    queue = 1_000
    config = {"delivery.timeout.ms": 1_000, "queue.buffering.max.messages": queue}
    with pytest.raises(DeliveryFailed) as error:
        run(
            {"bootstrap.servers": kafka.servers, **config},
            registry=None,
            events=0,
            mode=mode,
            rate=2_000,
            stopped=stop_the_broker,
        )

    summary = error.value.summary
    assert summary["delivered"] > 0
    assert 0 < summary["failed"] <= queue
    logged = [record.getMessage() for record in caplog.records if record.name.endswith("librdkafka")]
    assert len(logged) == len(set(logged)) > 0
    assert summary["delivered"] + summary["failed"] == summary["events"]
    assert (summary["complete"], summary["expected"]) == (False, None)
    assert f"{summary['delivered']:,} events" in str(error.value)
    assert f"{summary['failed']:,} were not delivered" in str(error.value)


def test_a_missing_broker_is_reported_within_the_limit(monkeypatch):
    monkeypatch.setattr(producer.TopicProducer.check, "__defaults__", (1.0,))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{closed.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(GeneratorError, match=rf"{servers} does not answer within 1 s: .*refused.*Next: "):
            run({"bootstrap.servers": servers}, registry=None)
    assert time.monotonic() - started < 5


def test_a_missing_topic_is_reported_and_not_created(kafka):
    for _ in range(2):
        with pytest.raises(GeneratorError, match="no topic elsewhere"):
            run({"bootstrap.servers": kafka.servers}, registry=None, topic="elsewhere")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mode": "slow"}, "Mode 'slow' is unknown"),
        ({"mode": "batch"}, "cannot keep rate None"),
        ({"mode": "realtime", "rate": 0}, "cannot keep rate 0"),
        ({"events": -1}, "-1 events"),
        ({"seed": -1}, "Seed -1"),
    ],
)
def test_options_that_make_no_sense(options, problem):
    with pytest.raises(GeneratorError, match=problem):
        run({"bootstrap.servers": "127.0.0.1:1"}, registry=None, **options)


def test_a_configuration_that_kafka_refuses():
    with pytest.raises(GeneratorError, match=r"no\.such\.option"):
        run({"bootstrap.servers": "127.0.0.1:1", "no.such.option": "x"}, registry=None)


def test_missing_columns_are_logged_before_anything_is_sent(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount,rate_code_id\n")
    logged: list[str] = []
    with pytest.raises(GeneratorError, match=r"no\.such\.option"):
        run({"bootstrap.servers": "127.0.0.1:1", "no.such.option": "x"}, registry=None, source=path, log=logged.append)
    [line] = logged
    assert line.startswith(f"File {path} has no column VendorID, passenger_count, store_and_fwd_flag, PULocationID, ")
    assert "RatecodeID" not in line


def test_an_error_in_a_file_reports_what_was_sent_before(kafka, tmp_path):
    head = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount"
    good = "2024-01-01 00:00:00,2024-01-01 00:10:00,1.0,5.0"
    path = tmp_path / "bad.csv"
    path.write_text("\n".join([head, *[good] * 40_000, good.replace("5.0", "five")]))
    with pytest.raises(GeneratorError, match=r"five.*[1-9][0-9],[0-9]{3} events were delivered before"):
        run({"bootstrap.servers": kafka.servers}, registry=None, source=path)


def test_realtime_keeps_its_rate_and_can_be_stopped(kafka):
    started = time.monotonic()
    config = {"bootstrap.servers": kafka.servers}
    summary = run(
        config,
        registry=None,
        events=0,
        mode="realtime",
        rate=500,
        stopped=lambda: time.monotonic() > started + 2,
    )
    assert (summary["failed"], summary["complete"], summary["requested"]) == (0, True, None)
    assert summary["delivered"] == summary["events"] == pytest.approx(1_000, abs=150)
    assert summary["expected"] is None
    at = sorted(message.timestamp()[1] for message in kafka.messages(summary["events"]))
    assert max(later - earlier for earlier, later in pairwise(at)) < 400  # on a busy machine


def test_keys_of_a_stopped_stream_are_those_sent(kafka, tmp_path):
    started = time.monotonic()
    summary = run(
        {"bootstrap.servers": kafka.servers},
        registry=None,
        events=0,
        mode="batch",
        rate=300,
        keys=tmp_path / "keys",
        stopped=lambda: time.monotonic() > started + 1.5,
    )
    assert summary["expected"]["events"] == summary["delivered"] > 0


def test_progress_is_logged_periodically(kafka, monkeypatch):
    monkeypatch.setattr(runner, "PROGRESS_EVERY", 0.3)
    lines: list[str] = []
    run(
        {"bootstrap.servers": kafka.servers},
        registry=None,
        events=500,
        mode="realtime",
        rate=500,
        log=lines.append,
    )
    assert 2 <= len(lines) <= 5
    assert "of 500 events delivered" in lines[0]


class Registry(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"subject": "taxi.raw_trips-value", "id": 17, "version": 1}')

    def log_message(self, *_):
        pass


@pytest.fixture
def registry() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Registry)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}/apis/ccompat/v7"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
