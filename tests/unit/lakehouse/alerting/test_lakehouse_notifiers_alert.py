"""An alert says what and where, and a channel that is in trouble troubles nobody else."""

from __future__ import annotations

import json
import logging
from threading import Event
from types import SimpleNamespace

import pytest

from lakehouse.alerting import alarms, channel
from lakehouse.alerting.alarms import Alarm
from lakehouse.alerting.notifier import AlertNotifier

ERROR = "Flink said no\nbecause of this\nand this\nand that\nfifth line\nsixth line"
LOG = "http://airflow.example/dags/flink_jobs/runs/manual/tasks/deploy"
RUNBOOK = "docs/runbook.md#task-failed"
ALARM = "task-failed.flink_jobs.deploy"


def failing(run_type: str = "scheduled", task_id: str = "deploy", error: str = ERROR) -> dict:
    """What Airflow hands to a callback."""
    successes = {"deploy": 7, "publish": 3}
    task = SimpleNamespace(
        dag_id="flink_jobs",
        run_id="manual",
        task_id=task_id,
        try_number=2,
        log_url=LOG,
        get_ti_count=lambda dag_id, task_ids, states: successes[task_ids[0]],
    )
    return {"ti": task, "dag_run": SimpleNamespace(run_type=run_type), "exception": RuntimeError(error)}


@pytest.fixture
def context() -> dict:
    return failing()


@pytest.fixture(autouse=True)
def known(monkeypatch) -> dict:
    """What is known of alarms."""
    known = {}
    monkeypatch.setattr(alarms, "AlarmStore", lambda: known)
    return known


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
        record.getMessage() for record in caplog.records if record.name == channel.__name__ and "ALERT" in record.msg
    ]
    return json.loads(text.removeprefix("ALERT "))


def complaints(caplog) -> str:
    """What Apprise says of the channel in the log."""
    return "\n".join(r.getMessage() for r in caplog.records if r.name == "apprise" and r.levelno >= logging.WARNING)


def test_the_message_says_what_happened_and_where(receiver, context):
    AlertNotifier("retry").notify(context)
    [(_, _, sent)] = receiver.asked
    assert (sent["title"], sent["type"]) == ("retry: flink_jobs.deploy", "failure")
    expected = {"event": "retry", "dag": "flink_jobs", "run": "manual", "task": "deploy", "try": "2"}
    expected |= {"log": LOG, "runbook": RUNBOOK}
    told = dict(line.split(": ", 1) for line in sent["message"].splitlines() if ": " in line)
    assert told == expected | {"message": "Flink said no"}
    assert "fifth line" in sent["message"]
    assert "sixth line" not in sent["message"]


def test_words_of_ones_own_stand_instead_of_the_error(receiver, context, caplog):
    del context["exception"]
    AlertNotifier("Flink is not healthy", "no checkpoint for 95 s").notify(context)
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
        "runbook": RUNBOOK,
    }


def test_a_failure_begins_an_alarm_and_scheduled_runs_that_fail_alike_are_silent(receiver, known):
    for _ in range(3):
        AlertNotifier("failure").notify(failing())
    assert len(receiver.asked) == 1
    alarm = Alarm(**known[ALARM])
    assert (alarm.on, alarm.told) == (True, True)
    assert alarm.ended_by == {"dag_id": "flink_jobs", "task_id": "deploy", "successes": 7}
    assert alarm.reason.startswith("flink_jobs.deploy: Flink said no")


def test_another_task_has_an_alarm_of_its_own(receiver, known):
    AlertNotifier("failure").notify(failing())
    AlertNotifier("failure").notify(failing(task_id="publish"))
    assert len(receiver.asked) == 2
    assert set(known) == {ALARM, "task-failed.flink_jobs.publish"}


def test_a_run_by_hand_always_has_its_message(receiver, known):
    for _ in range(2):
        AlertNotifier("failure").notify(failing(run_type="manual"))
    assert len(receiver.asked) == 2


def test_a_task_that_was_killed_has_its_message(receiver, known):
    """Its callback runs in the DAG processor, which may know nothing of the run."""
    context = failing()
    del context["dag_run"], context["exception"]
    AlertNotifier("failure").notify(context)
    assert len(receiver.asked) == 1
    assert set(known) == {ALARM}


def test_a_retry_begins_no_alarm_and_is_silent_during_one(receiver, known):
    AlertNotifier("retry").notify(failing())
    assert known == {}
    AlertNotifier("failure").notify(failing())
    AlertNotifier("retry").notify(failing())
    assert len(receiver.asked) == 2


def test_tasks_that_end_together_share_an_alarm(receiver, known):
    shared = AlertNotifier("failure", rule="dbt-failed", until="publish")
    shared.notify(failing())
    shared.notify(failing(task_id="publish"))
    [(_, _, sent)] = receiver.asked
    assert "runbook: docs/runbook.md#dbt-failed" in sent["message"]
    assert known["dbt-failed.flink_jobs.publish"]["ended_by"]["successes"] == 3


def test_what_was_not_delivered_is_kept_and_tried_again(lead_to, receiver, known):
    lead_to("json://127.0.0.1:1/hook")
    AlertNotifier("failure").notify(failing())
    assert known[ALARM]["told"] is False
    lead_to(f"json://127.0.0.1:{receiver.server_port}/hook")
    AlertNotifier("failure").notify(failing())
    assert len(receiver.asked) == 1
    assert known[ALARM]["told"] is True


def test_alarms_that_cannot_be_read_or_kept_hold_no_message_back(receiver, monkeypatch, caplog):
    def broken() -> None:
        raise ConnectionError("Airflow's API does not answer")

    monkeypatch.setattr(alarms, "AlarmStore", broken)
    AlertNotifier("failure").notify(failing())
    assert len(receiver.asked) == 1
    assert "cannot be seen whether the alarm" in caplog.text
    assert "cannot be kept" in caplog.text


def test_a_channel_that_hangs_holds_nobody_longer_than_the_limit(receiver, context, caplog, monkeypatch):
    asked, answer = Event(), Event()

    def hang() -> dict:
        asked.set()
        answer.wait(20)
        return {}

    receiver["POST /hook"] = hang
    monkeypatch.setattr(channel, "SEND_LIMIT_S", 0.3)
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
