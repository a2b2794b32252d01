"""An alert says what and where, and a channel that is in trouble troubles nobody else."""

from __future__ import annotations

import json
import logging
from threading import Event
from types import SimpleNamespace

import pytest

from lakehouse.notifiers import alert
from lakehouse.notifiers.alert import AlertNotifier

ERROR = "Flink said no\nbecause of this\nand this\nand that\nfifth line\nsixth line"
LOG = "http://airflow.example/dags/flink_jobs/runs/manual/tasks/deploy"


@pytest.fixture
def context() -> dict:
    """What Airflow hands to a callback."""
    task = SimpleNamespace(dag_id="flink_jobs", run_id="manual", task_id="deploy", try_number=2, log_url=LOG)
    return {"ti": task, "exception": RuntimeError(ERROR)}


@pytest.fixture
def lead_to(connect):
    """Set the address of the channel."""
    return lambda address: connect("alerts", extra={"config": {"path": address}})


@pytest.fixture
def receiver(http, lead_to):
    """A webhook."""
    lead_to(f"json://127.0.0.1:{http.server_port}/hook")
    http["POST /hook"] = {}
    return http


def line(caplog) -> dict:
    """The structured line of the log."""
    [text] = [
        record.getMessage() for record in caplog.records if record.name == alert.__name__ and "ALERT" in record.msg
    ]
    return json.loads(text.removeprefix("ALERT "))


def complaints(caplog) -> str:
    """What Apprise says of the channel in the log."""
    return "\n".join(r.getMessage() for r in caplog.records if r.name == "apprise" and r.levelno >= logging.WARNING)


def test_the_message_says_what_happened_and_where(receiver, context):
    AlertNotifier("retry").notify(context)
    [(_, _, sent)] = receiver.asked
    assert (sent["title"], sent["type"]) == ("retry: flink_jobs.deploy", "failure")
    expected = {"event": "retry", "dag": "flink_jobs", "run": "manual", "task": "deploy", "try": "2", "log": LOG}
    told = dict(line.split(": ", 1) for line in sent["message"].splitlines() if ": " in line)
    assert told == expected | {"message": "Flink said no"}
    assert "fifth line" in sent["message"]
    assert "sixth line" not in sent["message"]


def test_words_of_ones_own_stand_instead_of_the_error(receiver, context, caplog):
    AlertNotifier("Flink is not healthy", "no checkpoint for 95 s").notify({"ti": context["ti"]})
    [(_, _, sent)] = receiver.asked
    assert sent["title"] == "Flink is not healthy: flink_jobs.deploy"
    assert "message: no checkpoint for 95 s" in sent["message"]
    assert line(caplog)["message"] == "no checkpoint for 95 s"
    assert complaints(caplog) == ""


def test_without_an_address_it_is_one_structured_line(context, caplog):
    with caplog.at_level(logging.INFO):
        AlertNotifier("failure").notify(context)
    assert len(caplog.records) == 1
    assert line(caplog) == {
        "event": "failure",
        "dag": "flink_jobs",
        "run": "manual",
        "task": "deploy",
        "try": 2,
        "message": ERROR.removesuffix("\nsixth line"),
        "log": LOG,
    }


def test_a_channel_that_hangs_holds_nobody_longer_than_the_limit(receiver, context, caplog, monkeypatch):
    asked, answer = Event(), Event()

    def hang() -> dict:
        asked.set()
        answer.wait(20)
        return {}

    receiver["POST /hook"] = hang
    monkeypatch.setattr(alert, "SEND_LIMIT_S", 0.3)
    try:
        AlertNotifier("failure").notify(context)
        assert asked.wait(5)
        assert not answer.is_set()
        assert "not sent within 0.3 s; the connection 'alerts' leads to a channel that hangs" in caplog.text
    finally:
        answer.set()


@pytest.mark.parametrize("address", ["json://127.0.0.1:1/hook", "no-such-scheme://x", "not an address"])
def test_a_channel_that_is_down_or_wrong_fails_nothing_and_is_logged(lead_to, context, caplog, address):
    lead_to(address)
    AlertNotifier("failure").notify(context)
    assert line(caplog)["message"].startswith("Flink said no")
    assert complaints(caplog)


def test_a_receiver_that_refuses_is_logged(receiver, context, caplog):
    receiver["POST /hook"] = 500, {}
    AlertNotifier("failure").notify(context)
    assert "500" in complaints(caplog)


def test_a_connection_that_is_not_there_fails_nothing_and_is_logged(context, caplog, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_ALERTS")
    AlertNotifier("failure").notify(context)
    assert line(caplog)["event"] == "failure"
    assert "'alerts'" in caplog.text
