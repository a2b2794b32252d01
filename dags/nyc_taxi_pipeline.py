"""
# NYC taxi pipeline: Silver to Gold

Every 10 minutes: is the streaming side healthy, then **one `dbt build`**, shown model by model, then **publish**.

| task | does |
|---|---|
| `check_flink_health` | jobs RUNNING, checkpoints completing, few restarts, rows reaching the tables in time: decides the way |
| `alert_flink_down` | sends what is wrong, in words, through the connection `alerts`: once, until Gold is published again |
| `prepare` | pins one version of Silver, and copies the published Gold file for this run to work on |
| `gold.dbt_build` | seeds, models and tests in one dbt process (DuckDB has one writer) |
| `gold.<model>` | that model and its tests: green or red as dbt reported |
| `publish` | checks the ledger, then swaps the Gold file in atomically; never after a failed test |

**By hand**: trigger it in the UI, or `airflow dags test nyc_taxi_pipeline`.

| param | says |
|---|---|
| `full_refresh` | build all of Gold anew; happens by itself after a replay put another table in Silver's place |

**When a model is red**: its log holds dbt's message. Mend the model or the data, then clear **`prepare` with its downstream
tasks**: the run starts over from the published file, with one dbt process.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, DeltaTriggerTimetable, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from lakehouse.airflow.assets import SILVER_REPLACED
from lakehouse.airflow.dag_policy import Tag, dag_args, default_args
from lakehouse.alerting.notifier import AlertNotifier
from lakehouse.gold.tasks import gold_task_group

ENV = {
    "LAKEHOUSE_GOLD_PATH": "{{ ti.xcom_pull('prepare')['LAKEHOUSE_GOLD_PATH'] }}",
    "LAKEHOUSE_SILVER_METADATA": "{{ ti.xcom_pull('prepare')['LAKEHOUSE_SILVER_METADATA'] }}",
}

with DAG(
    "nyc_taxi_pipeline",
    schedule=AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(timedelta(minutes=10)), assets=[SILVER_REPLACED]),
    start_date=datetime(2024, 1, 1),
    default_args=default_args(),
    params={"full_refresh": Param(False, type="boolean", description="Build all of Gold anew instead of what arrived")},
    **dag_args(__doc__, Tag.PIPELINE, Tag.GOLD),
):

    @task.branch
    def check_flink_health() -> str:
        """Judge both streaming jobs, after a deployment that is under way; the reasons are in the log and go to the alert."""
        from lakehouse.streaming.health import nothing_to_judge, reasons_when_deployed

        if nothing_to_judge():
            raise AirflowSkipException("No event was ever sent: trigger taxi_trip_generator")
        reasons = reasons_when_deployed()
        get_current_context()["ti"].xcom_push(key="reasons", value=reasons)
        return "alert_flink_down" if reasons else "prepare"

    @task
    def alert_flink_down() -> list[str]:
        """Tell people what is wrong with the streaming jobs."""
        context = get_current_context()
        reasons = context["ti"].xcom_pull("check_flink_health", key="reasons")
        words = "; ".join(reasons)
        AlertNotifier("Flink is not healthy", words, rule="gold-held-back", until="publish").notify(context)
        return reasons

    @task
    def prepare(run_id: str, params: dict) -> dict[str, str]:
        """Pin Silver's version; copy the published Gold file to this run's own, or begin anew."""
        from lakehouse.gold import file as gold_file

        return gold_file.prepare(run_id, params["full_refresh"])

    @task(priority_weight=100)  # before the models' tasks, which only show what is done
    def publish(env: dict[str, str]) -> dict:
        """Check the ledger, then swap the file in."""
        from lakehouse.gold import file as gold_file

        ledger = gold_file.publish(env)
        print(ledger)
        return asdict(ledger)

    prepared = prepare()
    gold = gold_task_group("gold", ENV)
    check_flink_health() >> [alert_flink_down(), prepared]
    prepared >> gold
    gold.children["gold.dbt_build"] >> publish(prepared)
