"""A message says what failed and where, and a broken channel affects nothing else."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace

import pytest

from lakehouse.alerting import alerts, channel
from lakehouse.alerting.alerts import Alert, FailedTask
from lakehouse.alerting.notifier import AlertNotifier, SuccessNotifier
from lakehouse.pipelines import load

ERROR = "Flink said no\nbecause of this\nand this\nand that\nfifth line\nsixth line"
LOG = "http://airflow.example/dags/flink_jobs/runs/manual/tasks/deploy"
RUNBOOK = "docs/runbook.md#task-failed"
ALERT = "task-failed.flink_jobs.deploy"
MOMENT = datetime(2026, 1, 2, 3, tzinfo=UTC)


def failing(
    run_type: str = "scheduled",
    task_id: str = "deploy",
    error: str = ERROR,
    dag_id: str = "flink_jobs",
    instance: tuple[int, str | None] = (-1, None),
    **params: str,
) -> dict:
    """The context that Airflow passes to a callback."""
    task = SimpleNamespace(
        dag_id=dag_id,
        run_id="manual",
        task_id=task_id,
        try_number=2,
        log_url=LOG,
        map_index=instance[0],
        rendered_map_index=instance[1],
    )
    run = SimpleNamespace(run_type=run_type, logical_date=MOMENT)
    return {"ti": task, "dag_run": run, "exception": RuntimeError(error), "params": params}


@pytest.fixture
def context() -> dict:
    return failing()


@pytest.fixture(autouse=True)
def known(monkeypatch) -> dict:
    """The stored alerts."""
    known = {}
    monkeypatch.setattr(alerts, "AlertStore", lambda: known)
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
    """Apprise's log messages about the channel."""
    return "\n".join(r.getMessage() for r in caplog.records if r.name == "apprise" and r.levelno >= logging.WARNING)


def test_the_message_says_what_happened_and_where(receiver, context):
    AlertNotifier("retry").notify(context)
    [(_, _, sent)] = receiver.requests
    assert (sent["title"], sent["type"]) == ("retry: flink_jobs.deploy", "failure")
    expected = {"event": "retry", "pipeline": "platform", "dag": "flink_jobs", "run": "manual", "task": "deploy"}
    expected |= {"try": "2"}
    expected |= {"log": LOG, "runbook": RUNBOOK}
    body = dict(line.split(": ", 1) for line in sent["message"].splitlines() if ": " in line)
    assert body == expected | {"message": "Flink said no"}
    assert "fifth line" in sent["message"]
    assert "sixth line" not in sent["message"]


def test_a_custom_text_replaces_the_error(receiver, context, caplog):
    del context["exception"]
    AlertNotifier("Flink is not healthy", "no checkpoint for 95 s").notify(context)
    [(_, _, sent)] = receiver.requests
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
        "pipeline": "platform",
        "dag": "flink_jobs",
        "run": "manual",
        "task": "deploy",
        "try": 2,
        "message": ERROR.removesuffix("\nsixth line"),
        "log": LOG,
        "runbook": RUNBOOK,
    }


def test_a_failure_fires_an_alert_and_further_failures_of_scheduled_runs_are_silent(receiver, known):
    for _ in range(3):
        AlertNotifier("failure").notify(failing())
    assert len(receiver.requests) == 1
    alert = Alert(**known[ALERT])
    assert (alert.firing, alert.notified) == (True, True)
    assert alert.resolved_by == FailedTask(dag_id="flink_jobs", task_id="deploy", logical_date=MOMENT)
    assert alert.reason.startswith("flink_jobs.deploy: Flink said no")


def test_another_task_has_its_own_alert(receiver, known):
    AlertNotifier("failure").notify(failing())
    AlertNotifier("failure").notify(failing(task_id="publish"))
    assert len(receiver.requests) == 2
    assert set(known) == {ALERT, "task-failed.flink_jobs.publish"}


def test_a_manual_run_always_sends_its_message(receiver, known):
    for _ in range(2):
        AlertNotifier("failure").notify(failing(run_type="manual"))
    assert len(receiver.requests) == 2
    assert known[ALERT]["resolved_by"]["manual_run_id"] == "manual"


def test_an_alert_that_another_task_resolves_is_not_bound_to_the_manual_run(receiver, known):
    """The run may succeed without that task: held back, Gold is not published."""
    AlertNotifier("Flink is not healthy", "x", rule="gold-held-back", until="publish").notify(failing("manual"))
    assert known["gold-held-back.flink_jobs.publish"]["resolved_by"]["manual_run_id"] is None


def test_a_killed_task_sends_its_message(receiver, known):
    """Its callback runs in the DAG processor, which may know nothing of the run."""
    context = failing()
    del context["dag_run"], context["exception"]
    AlertNotifier("failure").notify(context)
    assert len(receiver.requests) == 1
    assert set(known) == {ALERT}


def test_a_retry_fires_no_alert_and_is_silent_during_one(receiver, known):
    AlertNotifier("retry").notify(failing())
    assert known == {}
    AlertNotifier("failure").notify(failing())
    AlertNotifier("retry").notify(failing())
    assert len(receiver.requests) == 2


def test_tasks_that_end_together_share_an_alert(receiver, known):
    shared = AlertNotifier("failure", rule="dbt-failed", until="publish")
    shared.notify(failing())
    shared.notify(failing(task_id="publish"))
    [(_, _, sent)] = receiver.requests
    assert "runbook: docs/runbook.md#dbt-failed" in sent["message"]
    assert known["dbt-failed.flink_jobs.publish"]["resolved_by"]["task_id"] == "publish"


def test_each_instance_of_a_mapped_task_has_its_own_alert(receiver, known):
    """Otherwise one pipeline's success would resolve another's failure, and each failure would send a message, every minute."""
    for instance in ((0, "meters"), (1, "nyc_taxi"), (1, "nyc_taxi")):
        AlertNotifier("failure").notify(failing(task_id="evaluate", dag_id="platform_alerts", instance=instance))
    assert [sent["title"] for _, _, sent in receiver.requests] == [
        "failure: platform_alerts.evaluate.meters",
        "failure: platform_alerts.evaluate.nyc_taxi",
    ]
    failed = known["task-failed.platform_alerts.evaluate.nyc_taxi"]["resolved_by"]
    assert (failed["task_id"], failed["map_index"]) == ("evaluate", 1)


def test_a_killed_instance_is_named_by_its_index(receiver, known):
    AlertNotifier("failure").notify(failing(task_id="evaluate", dag_id="platform_alerts", instance=(1, None)))
    assert set(known) == {"task-failed.platform_alerts.evaluate.1"}


def test_instances_that_end_together_share_an_alert(receiver, known):
    shared = AlertNotifier("failure", rule="maintenance-failed", until="publish")
    shared.notify(failing(task_id="evaluate", instance=(1, "nyc_taxi")))
    shared.notify(failing(task_id="evaluate", instance=(0, "meters")))
    assert len(receiver.requests) == 1
    assert known["maintenance-failed.flink_jobs.publish"]["resolved_by"]["map_index"] is None


@pytest.mark.parametrize(
    ("where", "pipeline"),
    [
        ({"dag_id": "nyc_taxi_pipeline", "task_id": "gold.dbt_build"}, "nyc_taxi"),
        ({"dag_id": "flink_jobs", "task_id": "nyc_taxi.deploy_bronze"}, "nyc_taxi"),
        ({"dag_id": "replay", "task_id": "plan", "pipeline": "nyc_taxi"}, "nyc_taxi"),
        ({"dag_id": "platform_alerts", "task_id": "evaluate", "instance": (0, "nyc_taxi")}, "nyc_taxi"),
        (
            {"dag_id": "iceberg_maintenance", "task_id": "maintain.x", "instance": (3, "silver.cleaned_trips")},
            "nyc_taxi",
        ),
        ({"dag_id": "iceberg_maintenance", "task_id": "maintain.x", "instance": (4, "ops.log")}, "platform"),
        ({"dag_id": "flink_jobs", "task_id": "wait_for_cluster"}, "platform"),
        ({"dag_id": "replay", "task_id": "plan", "pipeline": "no_such"}, "platform"),
    ],
)
def test_the_message_and_the_alert_name_the_pipeline(receiver, known, where, pipeline):
    AlertNotifier("failure").notify(failing(**where))
    [(_, _, sent)] = receiver.requests
    assert f"pipeline: {pipeline}\n" in sent["message"]
    [alert] = known.values()
    assert alert["pipeline"] == pipeline


def test_unreadable_declarations_do_not_hold_back_a_message(receiver, monkeypatch):
    def broken() -> None:
        raise OSError("disk")

    monkeypatch.setattr(load, "declarations", broken)
    AlertNotifier("failure").notify(failing())
    [(_, _, sent)] = receiver.requests
    assert "pipeline: platform" in sent["message"]


def test_an_undelivered_message_is_recorded_and_sent_again(lead_to, receiver, known):
    lead_to("json://127.0.0.1:1/hook")
    AlertNotifier("failure").notify(failing())
    assert known[ALERT]["notified"] is False
    lead_to(f"json://127.0.0.1:{receiver.server_port}/hook")
    AlertNotifier("failure").notify(failing())
    assert len(receiver.requests) == 1
    assert known[ALERT]["notified"] is True


def test_alerts_that_cannot_be_read_or_stored_do_not_hold_back_a_message(receiver, monkeypatch, caplog):
    def broken() -> None:
        raise ConnectionError("Airflow's API does not answer")

    monkeypatch.setattr(alerts, "AlertStore", broken)
    AlertNotifier("failure").notify(failing())
    assert len(receiver.requests) == 1
    assert "The state of the alert" in caplog.text
    assert "could not be stored" in caplog.text


def test_a_channel_that_hangs_delays_the_task_no_longer_than_the_limit(receiver, context, caplog, monkeypatch):
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
        assert "not sent within 0.3 s: the channel of the connection 'alerts' hangs" in caplog.text
    finally:
        answer.set()


@pytest.mark.parametrize("address", ["json://127.0.0.1:1/hook", "no-such-scheme://x", "not an address"])
def test_a_channel_that_is_down_or_misconfigured_fails_nothing_and_is_logged(lead_to, context, caplog, address):
    lead_to(address)
    AlertNotifier("failure").notify(context)
    assert line(caplog)["message"].startswith("Flink said no")
    assert complaints(caplog)


def test_a_receiver_that_rejects_the_message_is_logged(receiver, context, caplog):
    receiver["POST /hook"] = 500, {}
    AlertNotifier("failure").notify(context)
    assert "500" in complaints(caplog)


def test_a_missing_connection_fails_nothing_and_is_logged(context, caplog, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_ALERTS")
    AlertNotifier("failure").notify(context)
    assert line(caplog)["event"] == "failure"
    assert "'alerts'" in caplog.text


class TestSuccess:
    """Runs that are triggered by the API have no logical date, by which Airflow finds successes."""

    def succeeded(self, known, name: str = ALERT) -> bool:
        return Alert(**known[name]).resolved_by.succeeded

    def test_it_is_recorded_in_the_alert_that_the_task_resolves(self, receiver, known):
        AlertNotifier("failure").notify(failing(run_type="manual"))
        AlertNotifier("failure").notify(failing(task_id="publish"))
        assert not self.succeeded(known)
        SuccessNotifier().notify(failing())
        assert self.succeeded(known)
        assert not self.succeeded(known, "task-failed.flink_jobs.publish")
        assert len(receiver.requests) == 2  # people are notified by `platform_alerts`

    def test_also_in_an_alert_of_another_rule(self, receiver, known):
        AlertNotifier("Flink is not healthy", "x", rule="gold-held-back", until="publish").notify(failing())
        SuccessNotifier().notify(failing(task_id="publish"))
        assert self.succeeded(known, "gold-held-back.flink_jobs.publish")

    def test_another_instance_of_a_mapped_task_is_another_task(self, receiver, known):
        AlertNotifier("failure").notify(failing(instance=(1, "bronze")))
        SuccessNotifier().notify(failing(instance=(0, "silver")))
        assert not self.succeeded(known, f"{ALERT}.bronze")
        SuccessNotifier().notify(failing(instance=(1, "bronze")))
        assert self.succeeded(known, f"{ALERT}.bronze")

    def test_a_later_failure_starts_over(self, receiver, known):
        AlertNotifier("failure").notify(failing())
        SuccessNotifier().notify(failing())
        AlertNotifier("failure").notify(failing(run_type="manual"))
        assert not self.succeeded(known)

    def test_an_unavailable_api_fails_no_task(self, monkeypatch, caplog):
        def away() -> None:
            raise RuntimeError("no answer")

        monkeypatch.setattr(alerts, "AlertStore", away)
        SuccessNotifier().notify(failing())
        assert "success could not be recorded" in caplog.text
