"""The command line, as a process: exit status, summary, signals, and a cheap import."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

PLUGINS = Path(__file__).parents[3] / "plugins"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PLUGINS)}
#: Passed like Airflow's operator does; without it, the pipeline's parameters are read with Airflow.
WINDOW = ["--pickup-from", "2024-01-01", "--pickup-to", "2024-02-01"]


def command(servers: str, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "taxi_generator",
        "--bootstrap",
        servers,
        "--registry",
        "none",
        *WINDOW,
        *arguments,
    ]


def generator(servers: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(servers, *arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_run(kafka, tmp_path):
    summary, keys = tmp_path / "summary.json", tmp_path / "keys.parquet"
    done = generator(kafka.servers, "--events", "1000", "--summary", str(summary), "--keys", str(keys))
    assert done.returncode == 0, done.stderr
    assert "1,000 events delivered to taxi.raw_trips, 0 failed" in done.stdout
    reported = json.loads(summary.read_text())
    assert (reported["delivered"], reported["expected"]["silver"], reported["expected"]["hours"]) == (1_000, 985, 744)
    assert pyarrow.parquet.read_table(keys).num_rows == 985


def test_the_default_window_is_the_pipelines_without_airflows_configuration(kafka, tmp_path):
    """As in a container, which has the repository's files, but no configuration of Airflow."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS), "HOME": str(tmp_path)}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": kafka.servers, "SCHEMA_REGISTRY_URL": "none"}
    environment |= {"PIPELINE_NYC_TAXI_PICKUP_FROM": "2024-01-16 00:00:00"}
    command = [sys.executable, "-m", "taxi_generator", "--events", "1000", "--summary=-"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [reported] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert (reported["topic"], reported["delivered"], reported["expected"]["dates"]) == ("taxi.raw_trips", 1_000, 16)


def test_a_summary_on_stdout_and_a_new_seed(kafka):
    done = generator(kafka.servers, "--events", "5", "--seed", "new", "--summary=-")
    [reported] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert reported["delivered"] == 5
    assert abs(reported["seed"] - time.time()) < 60


def test_kafkas_settings_come_from_the_environment(kafka):
    run = subprocess.run(
        command(kafka.servers), env=ENVIRONMENT | {"KAFKA_SECURITY_PROTOCOL": "NONE"}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert run.returncode == 1
    assert "security.protocol" in run.stderr


def test_a_file_with_fewer_rows_than_requested(kafka, tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("vendor_name,pickup_datetime,dropoff_datetime,trip_distance,fare_amount,tolls\nDDS,,,1,1,2\n")
    done = generator(kafka.servers, "--source", str(path), "--events", "5")
    assert done.returncode == 0
    assert "extra columns: tolls" in done.stdout
    assert "VendorID was sent as null where the file has DDS" in done.stdout
    assert "1 of 5 events: the file has no more" in done.stderr


def test_rejected_trips_are_printed_by_reason_with_the_setting_behind_it(kafka):
    done = generator(kafka.servers, "--events", "1000", "--pickup-from", "2024-01-16")
    outside, negative = (line for line in done.stdout.splitlines() if line.startswith("rejected: "))
    assert re.fullmatch(r"rejected: \d+ because fare_amount is negative", negative)
    assert re.fullmatch(
        r"rejected: \d{3} because tpep_pickup_datetime is outside the window from 2024-01-16 00:00:00 until 2024-02-01 00:00:00, "
        r"which the parameters pickup_from and pickup_to set \(docs/pipelines\.md\)",
        outside,
    )


def test_errors_are_one_line_and_status_1(kafka, tmp_path):
    done = generator(kafka.servers, "--source", str(tmp_path / "nowhere.csv"))
    assert done.returncode == 1
    assert done.stderr.startswith("File ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("events", "status"), [("0", 0), ("1000000", 1)])
def test_a_signal_ends_the_stream_cleanly(kafka, tmp_path, events, status):
    summary = tmp_path / "summary.json"
    more = ["--events", events, "--mode", "realtime", "--rate", "100", "--summary", str(summary)]
    with subprocess.Popen(
        command(kafka.servers, *more),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert "events delivered" in process.stderr.readline()  # the first line of progress: the stream has started
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    reported = json.loads(summary.read_text())
    assert process.returncode == status, err
    assert reported["delivered"] == reported["events"] > 100
    assert f"{reported['delivered']:,} events delivered" in out


INTERRUPTED_PRINT = """
import io, os, signal, sys, threading
from taxi_generator.__main__ import _on_signals

class Stderr(io.FileIO):
    def write(self, line):
        if not stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(line)

stop = threading.Event()
_on_signals(stop)
sys.stderr = io.TextIOWrapper(io.BufferedWriter(Stderr(2, "w", closefd=False)), line_buffering=True)
print("100 events delivered", file=sys.stderr)
assert stop.is_set()
"""


def test_a_signal_may_interrupt_a_line_of_progress():
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_PRINT], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == "SIGTERM: finishing events in flight\n100 events delivered\n"


def test_a_failed_delivery_is_status_1_with_counts(kafka, tmp_path):
    summary = tmp_path / "summary.json"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"delivery.timeout.ms": 1_000}))
    more = ["--events", "0", "--mode", "realtime", "--rate", "500"]
    with subprocess.Popen(
        command(kafka.servers, *more, "--summary", str(summary), "--config", str(config)),
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert "events delivered" in process.stderr.readline()
        kafka.stop()
        _, err = process.communicate(timeout=30)
    reported = json.loads(summary.read_text())
    assert process.returncode == 1
    assert reported["failed"] > 0
    assert reported["delivered"] + reported["failed"] == reported["events"]
    assert f"{reported['failed']:,} were not delivered" in err


def test_an_event_that_is_too_large_is_status_1_with_counts(kafka, tmp_path):
    path, summary = tmp_path / "large.csv", tmp_path / "summary.json"
    head = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount,store_and_fwd_flag"
    row = "2024-01-01 00:00:00,2024-01-01 00:10:00,1.0,5.0,"
    path.write_text(f"{head}\n{row}N\n{row}{'N' * 1_000_000}\n")
    done = generator(kafka.servers, "--source", str(path), "--summary", str(summary))
    reported = json.loads(summary.read_text())
    assert done.returncode == 1
    assert (reported["delivered"], reported["failed"], reported["complete"]) == (1, 1, False)
    assert "1 were not delivered: Unable to produce message: Broker: Message size too large" in done.stderr


def test_importing_the_package_is_cheap():
    heavy = "{'airflow', 'numpy', 'pyarrow', 'confluent_kafka', 'requests', 'orjson', 'httpx2'} & set(sys.modules)"
    code = f"import sys, taxi_generator, taxi_generator.__main__; print({heavy} or 'light')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "light"
