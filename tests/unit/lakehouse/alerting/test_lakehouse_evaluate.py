"""One evaluation: what is observed decides, what cannot be observed changes nothing, and what is gone is resolved."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.flink import FlinkError
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.alerting import evaluate as module
from lakehouse.alerting.alerts import Alert, FailedTask
from lakehouse.alerting.control_plane import DagFiles
from lakehouse.alerting.evaluate import alert_names, evaluate, evaluate_airflow
from lakehouse.pipelines.load import Declarations
from lakehouse.streaming.health import JobHealth, thresholds

FINE = JobHealth("", "RUNNING", 0, 0, 1.0, {}, {}, 0, 1.0, 1.0, 0, 0.0)
LONG_AGO = 1_000_000.0
BRONZE, SILVER = "nyc_taxi.bronze", "nyc_taxi.silver"
DAGS = Path(__file__).parents[4] / "dags"


@pytest.fixture
def platform(monkeypatch, taxi, meters):
    """Two healthy pipelines that a test can break, and the state of their alerts."""
    platform = SimpleNamespace(
        jobs={job: replace(FINE, job=job) for job in (BRONZE, SILVER, "meters.sorted")},
        ledger={},
        unused=set(),
        known={},
        titles=[],
        pipelines={"meters": meters, "nyc_taxi": taxi},
        problems={},
        succeeded=set(),
        files=DagFiles({"flink_jobs": {"nyc_taxi.check_health"}, "platform_alerts": {"evaluate"}}, {}),
        runs={},
        settled=set(),
        gold_age_s=0.0,
    )

    def look(flow, limits):
        if isinstance(platform.jobs[flow.job], Exception):
            raise platform.jobs[flow.job]
        return platform.jobs[flow.job]

    def ledger(pipeline):
        errors = platform.ledger.get(pipeline.name, [])
        if isinstance(errors, Exception):
            raise errors
        return SimpleNamespace(errors=errors)

    def age(pipeline):
        if isinstance(platform.gold_age_s, Exception):
            raise platform.gold_age_s
        return platform.gold_age_s

    monkeypatch.setattr(module, "check", look)
    monkeypatch.setattr(module, "age_s", age)
    monkeypatch.setattr(module, "read_ledger", ledger)
    monkeypatch.setattr(module, "is_unused", lambda pipeline: pipeline.name in platform.unused)
    monkeypatch.setattr(module, "AlertStore", lambda: platform.known)
    monkeypatch.setattr(module, "declarations", lambda: Declarations(platform.pipelines, platform.problems))
    monkeypatch.setattr(module, "declaration_problems", lambda declared: [*declared.problems.values()])
    monkeypatch.setattr(module, "dag_files", lambda dags: platform.files)
    monkeypatch.setattr(module, "missing_tasks", lambda dag_id, tasks: platform.runs.get(dag_id))
    monkeypatch.setattr(module, "is_settled", lambda dag_id, run_id: (dag_id, run_id) in platform.settled)
    monkeypatch.setattr(module, "succeeded_since", lambda task, since: (task.task_id, since) in platform.succeeded)

    def deliver(title, message, kind="failure"):
        platform.titles.append(title)
        return True

    real = module.Alerts
    monkeypatch.setattr(module, "Alerts", lambda known, names: real(known, names, deliver))
    return platform


def since_long(reason: str, **more) -> dict:
    return Alert(reason=reason, since=LONG_AGO, **more).model_dump()


def firing(reason: str = "many rows", **more) -> dict:
    return since_long(reason, fired=True, notified=True, **more)


def failed(task: str, dag: str = "flink_jobs", **more) -> dict:
    return firing("x", resolved_by=FailedTask(dag_id=dag, task_id=task, **more))


def resolved(platform) -> list[str]:
    """Names of the alerts that are firing after an evaluation of the control plane."""
    return evaluate_airflow(DAGS)


def test_a_healthy_pipeline_has_no_messages_and_no_state(platform, taxi, caplog):
    assert evaluate(taxi) == resolved(platform) == []
    assert (platform.known, platform.titles, caplog.records) == ({}, [], [])


def test_a_broken_rule_is_stored_until_it_has_lasted(platform, taxi):
    platform.jobs[SILVER] = JobHealth(SILVER, "MISSING", 0, 0, None, {})
    name = f"job-missing.{SILVER}"
    assert evaluate(taxi) == []
    assert set(platform.known) == {name}
    assert platform.known[name]["pipeline"] == "nyc_taxi"
    platform.known[name]["since"] -= 90
    assert evaluate(taxi) == [name]
    assert platform.titles == [f"ALERT job-missing: {SILVER}"]


def test_the_ledger_counts(platform, taxi):
    platform.known["ledger.nyc_taxi"] = since_long("x")
    platform.ledger["nyc_taxi"] = ["nyc_taxi.silver has 3 rows more than bronze.raw_trips"]
    assert evaluate(taxi) == ["ledger.nyc_taxi"]


def test_what_cannot_be_observed_stays_as_it_was(platform, taxi):
    """The other job and the ledger, which can be observed, are evaluated."""
    platform.known |= {
        f"lag.{BRONZE}": firing(),
        f"lag.{SILVER}": firing(),
        "ledger.nyc_taxi": firing("duplicates"),
        "unreachable.nyc_taxi": since_long("x"),
    }
    platform.jobs[BRONZE] = FlinkError("The Flink JobManager cannot be reached")
    assert evaluate(taxi) == [f"lag.{BRONZE}", "unreachable.nyc_taxi"]
    assert platform.titles == ["ALERT unreachable: nyc_taxi", f"RESOLVED lag: {SILVER}", "RESOLVED ledger: nyc_taxi"]
    assert "JobManager" in platform.known["unreachable.nyc_taxi"]["reason"]


def test_a_ledger_that_cannot_be_read_stays_as_it_was(platform, taxi):
    platform.known = {"ledger.nyc_taxi": firing("duplicates"), f"lag.{BRONZE}": firing()}
    platform.ledger["nyc_taxi"] = ServiceUnavailable.of("The warehouse", "iceberg_catalog", FileNotFoundError("x"))
    assert evaluate(taxi) == ["ledger.nyc_taxi"]
    assert platform.titles == [f"RESOLVED lag: {BRONZE}"]
    assert "The warehouse" in platform.known["unreachable.nyc_taxi"]["reason"]


@pytest.mark.parametrize(("declared_s", "limit_s"), [(None, 1800), (600, 600)])
def test_gold_that_lacks_rows_for_too_long_is_stale(platform, taxi, monkeypatch, declared_s, limit_s):
    limits = module.thresholds().model_copy(update={"gold_age_s": declared_s})
    monkeypatch.setattr(module, "thresholds", lambda: limits)
    name = "gold-stale.nyc_taxi"
    platform.known[name] = since_long("x")
    platform.gold_age_s = limit_s + 1
    assert evaluate(taxi) == [name]
    said = f"Gold lacks rows that silver.cleaned_trips has held for {limit_s + 1:,} s (limit {limit_s:,} s)"
    assert platform.known[name]["reason"] == said
    platform.gold_age_s = AirflowException("The Gold file cannot be read")
    assert evaluate(taxi) == [name]
    platform.gold_age_s = limit_s
    assert evaluate(taxi) == []
    assert platform.titles == ["ALERT gold-stale: nyc_taxi", "RESOLVED gold-stale: nyc_taxi"]


def test_a_pipeline_without_gold_has_no_stale_gold(platform, meters):
    platform.gold_age_s = AssertionError("the pipeline has no Gold")
    evaluate(meters)
    assert platform.known == {}
    assert "gold-stale.meters" not in alert_names(meters)


def test_a_problem_that_hides_every_job_is_reported_once(platform, taxi):
    platform.jobs = dict.fromkeys(platform.jobs, FlinkError("Kafka does not answer"))
    evaluate(taxi)
    assert platform.known["unreachable.nyc_taxi"]["reason"] == "Kafka does not answer"


def test_before_the_first_event_no_rule_applies(platform, taxi):
    platform.unused = {"nyc_taxi"}
    platform.jobs[BRONZE] = FlinkError("no job yet")
    platform.jobs[SILVER] = JobHealth(SILVER, "MISSING", 0, 0, None, {})
    assert evaluate(taxi) == []
    assert platform.known == {}


def test_kafka_that_answers_again_before_the_first_event_is_reachable(platform, taxi):
    """Otherwise the alert would keep firing until somebody sends an event."""
    platform.known["unreachable.nyc_taxi"] = firing("Kafka does not answer")
    platform.unused = {"nyc_taxi"}
    platform.jobs[BRONZE] = FlinkError("no job yet")
    assert evaluate(taxi) == []
    assert platform.titles == ["RESOLVED unreachable: nyc_taxi"]


def test_pipelines_are_evaluated_independently(platform, taxi, meters):
    """Neither a broken nor an unused pipeline affects another one."""
    platform.known |= {"ledger.meters": since_long("x"), "ledger.nyc_taxi": since_long("x")}
    platform.ledger = {"meters": ["duplicates"], "nyc_taxi": ["duplicates"]}
    platform.jobs["meters.sorted"] = FlinkError("no such job")
    platform.unused = {"meters"}
    assert evaluate(meters) == []
    assert evaluate(taxi) == ["ledger.nyc_taxi"]
    assert platform.titles == ["ALERT ledger: nyc_taxi"]


def test_every_stage_is_evaluated_regardless_of_its_name(platform, meters):
    platform.jobs["meters.sorted"] = JobHealth("meters.sorted", "MISSING", 0, 0, None, {})
    evaluate(meters)
    assert set(platform.known) == {"job-missing.meters.sorted"} < alert_names(meters)


@pytest.mark.parametrize(
    "name",
    [
        "lag.bronze",  # the former name of a job
        "ledger.platform",
        "unreachable.platform",
        "ledger.no_such",  # a pipeline that is no longer declared
        "lag.no_such.bronze",
        "lag.nyc_taxi.gold",  # a stage that was removed
        "no-such-rule.nyc_taxi",
        "lag.nyc_taxi",  # the rule is about jobs
        "lag",
    ],
)
def test_alerts_of_what_no_longer_exists_are_resolved(platform, taxi, name):
    platform.known = {name: firing(), f"lag.{BRONZE}": firing()}
    assert resolved(platform) == []
    assert platform.titles == [f"RESOLVED {name.replace('.', ': ', 1)}"]
    assert set(platform.known) == {f"lag.{BRONZE}"}


def test_alerts_of_a_disabled_pipeline_are_resolved(platform, taxi):
    platform.pipelines["nyc_taxi"] = taxi.model_copy(update={"enabled": False})
    platform.known = {f"lag.{BRONZE}": firing(), "ledger.nyc_taxi": since_long("x"), "ledger.meters": firing()}
    assert resolved(platform) == []
    assert platform.titles == [f"RESOLVED lag: {BRONZE}"]
    assert set(platform.known) == {"ledger.meters"}


def test_alerts_of_a_broken_declaration_stay_as_they_were(platform, taxi):
    """A typo in the declaration says nothing about the jobs, which keep running."""
    del platform.pipelines["nyc_taxi"]
    platform.problems = {"nyc_taxi.yaml": "nyc_taxi.yaml: titel: unknown key"}
    before = {f"lag.{BRONZE}": firing(), "ledger.nyc_taxi": since_long("x")}
    platform.known = before | {"lag.bronze": firing()}
    assert resolved(platform) == ["declaration-broken.nyc_taxi", f"lag.{BRONZE}"]
    about = "declaration-broken.nyc_taxi"
    assert platform.known.pop(about)
    assert (platform.known, platform.titles) == (before, ["RESOLVED lag: bronze", "ALERT declaration-broken: nyc_taxi"])


def test_the_alert_of_a_failed_task_is_resolved_by_its_success(platform):
    name = "task-failed.flink_jobs.nyc_taxi.check_health"
    platform.known[name] = failed("nyc_taxi.check_health")
    platform.succeeded = {("nyc_taxi.check_health", LONG_AGO - 1), ("another", LONG_AGO)}
    assert resolved(platform) == [name]
    platform.succeeded = {("nyc_taxi.check_health", LONG_AGO)}
    assert resolved(platform) == []
    assert platform.titles == ["RESOLVED task-failed: flink_jobs.nyc_taxi.check_health"]


@pytest.mark.parametrize("manual_run_id", ["manual__x", None])
@pytest.mark.parametrize("end", ["settled", "long ago", "success", "success of a run without a date"])
def test_the_alert_of_a_manual_run_does_not_depend_on_another_run(platform, manual_run_id, end):
    name = "task-failed.flink_jobs.nyc_taxi.check_health"
    platform.known[name] = {
        **failed("nyc_taxi.check_health", manual_run_id=manual_run_id),
        "since": time.time() - 86_000,
    }
    assert resolved(platform) == [name]
    if end == "settled":
        platform.settled = {("flink_jobs", "manual__x")}
    elif end == "long ago":
        platform.known[name]["since"] -= 500
    elif end == "success of a run without a date":
        platform.known[name]["resolved_by"]["succeeded"] = True
    else:
        platform.succeeded = {("nyc_taxi.check_health", platform.known[name]["since"])}
    assert resolved(platform) == ([] if manual_run_id or end.startswith("success") else [name])


def test_an_undelivered_message_of_a_failed_task_is_sent_later(platform):
    alert = {**failed("nyc_taxi.check_health"), "notified": False}
    platform.known["task-failed.flink_jobs.nyc_taxi.check_health"] = alert
    resolved(platform)
    resolved(platform)
    assert platform.titles == ["ALERT task-failed: flink_jobs.nyc_taxi.check_health"]


@pytest.mark.parametrize("task", [("replay_of_before", "plan"), ("flink_jobs", "deploy_bronze")])
def test_the_alert_of_a_task_that_no_longer_exists_is_resolved(platform, task):
    dag_id, task_id = task
    platform.known[f"task-failed.{dag_id}.{task_id}"] = failed(task_id, dag_id)
    assert resolved(platform) == []
    assert platform.titles == [f"RESOLVED task-failed: {dag_id}.{task_id}"]


def test_it_stays_while_the_dag_file_is_broken(platform):
    name = "task-failed.flink_jobs.nyc_taxi.deploy_bronze"
    platform.known[name] = failed("nyc_taxi.deploy_bronze")
    platform.files = replace(platform.files, errors={"flink_jobs": "SyntaxError: x"})
    assert name in resolved(platform)
    assert platform.titles == ["ALERT dag-broken: flink_jobs"]


def test_a_broken_declaration_has_its_own_alert(platform, meters):
    del platform.pipelines["meters"]
    platform.problems = {"meters.yaml": "meters.yaml: titel: unknown key. Next: title"}
    platform.files = replace(platform.files, errors={"broken_declarations": "DeclarationError: ..."})
    assert resolved(platform) == ["declaration-broken.meters"]
    alert = platform.known["declaration-broken.meters"]
    assert (alert["pipeline"], alert["reason"]) == ("meters", "meters.yaml: titel: unknown key. Next: title")
    platform.problems, platform.pipelines["meters"] = {}, meters
    platform.files = replace(platform.files, errors={})
    assert resolved(platform) == []
    assert platform.titles == ["ALERT declaration-broken: meters", "RESOLVED declaration-broken: meters"]


def test_a_broken_dag_file_has_its_own_alert(platform):
    platform.files = replace(platform.files, errors={"audit": "SyntaxError: '(' was never closed"})
    assert resolved(platform) == ["dag-broken.audit"]
    alert = platform.known["dag-broken.audit"]
    assert alert["pipeline"] == "platform"
    assert alert["reason"] == "dags/audit.py cannot be imported: SyntaxError: '(' was never closed"
    platform.files = replace(platform.files, errors={})
    assert resolved(platform) == []
    assert platform.titles == ["ALERT dag-broken: audit", "RESOLVED dag-broken: audit"]


def test_a_run_that_lost_its_tasks_has_its_own_alert(platform):
    """After a while: Airflow may be about to add the tasks of a DAG file that was just changed to its run."""
    name = "run-without-tasks.flink_jobs"
    platform.runs = {"flink_jobs": "run manual__x of flink_jobs cannot finish"}
    assert resolved(platform) == []
    platform.known[name]["since"] -= 90
    assert resolved(platform) == [name]
    platform.runs = {}
    assert resolved(platform) == []
    assert platform.titles == ["ALERT run-without-tasks: flink_jobs", "RESOLVED run-without-tasks: flink_jobs"]


def test_an_evaluation_reads_the_metadata_of_each_table_once(taxi, fill, send, metadata_read):
    """Both stages need Bronze's, and Gold needs Silver's too, each for health and for the ledger."""
    send(taxi.topic.name, 5)
    for table in taxi.tables:
        fill(table, 0)
    metadata_read.clear()
    seen = module.observe(taxi, thresholds())
    assert (seen.ledger.events, seen.gold_age_s) == (5, 0)
    assert sorted(path.split("/")[-3] for path in metadata_read) == sorted(table.split(".")[1] for table in taxi.tables)
