"""Invalid params: wrong types are refused by the form, other invalid values by the first task that reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook


@pytest.fixture
def settings(load_settings, monkeypatch) -> None:
    """Connections and variables of the settings file, without services."""
    for name, value in load_settings().environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def start(dags, monkeypatch) -> Callable[..., Any]:
    """Run the function of a task with these params, and defaults for the others."""

    def start(dag_id: str, task_id: str, **params: Any) -> Any:
        function = dags[dag_id].get_task(task_id).python_callable
        context = {"params": {**dags[dag_id].params.dump(), **params}, "run_id": "run 1"}
        monkeypatch.setitem(function.__globals__, "get_current_context", lambda: context)
        return function()

    return start


#: Task that reads a form -> invalid params that the form cannot detect, and the task's messages.
REFUSED_BY_THE_TASK = {
    ("audit", "compare"): [
        ({"since": "yesterday"}, "'yesterday' is not a time in ISO 8601. Next: write it like 2026-01-31T12:00:00Z"),
        ({"since": "2024-13-01"}, "'2024-13-01' is not a time in ISO 8601"),
        ({"pipeline": "nope"}, "There is no pipeline 'nope'. Next: choose one of nyc_taxi"),
    ],
    ("rejects_replay", "overview"): [({"pipeline": "it's\n"}, "There is no pipeline \"it's\\n\"")],
    ("rejects_replay", "replay"): [
        ({"pipeline": "nope"}, "There is no pipeline 'nope'"),
        ({}, "set either a file, or a stage and a reason"),
        ({"stage": "bronze"}, "set either a file, or a stage and a reason"),
        ({"file": "a", "reason": "b"}, "set either a file, or a stage and a reason"),
        ({"file": "/no/such/file"}, "/no/such/file cannot be read"),
        ({"file": "/"}, "/ cannot be read"),
        ({"file": "nope://a"}, "nope://a cannot be read"),
    ],
    ("iceberg_maintenance", "tables"): [
        ({"tables": ["bronze.nope"]}, "There is no Iceberg table 'bronze.nope'. Next: choose one of bronze.raw_trips, "),
        ({"tables": [""]}, "There is no Iceberg table ''"),
        ({"tables": ["a;b"]}, "There is no Iceberg table 'a;b'"),
        ({"thresholds": {"nope": 1}}, "Unknown threshold 'nope'. Next: choose one of closed_after_s, "),
        ({"thresholds": {"retain_last": -1}}, "The threshold retain_last: -1: Input should be greater than or equal to 0"),
        ({"thresholds": {"retain_last": 0.5}}, "The threshold retain_last: 0.5: Input should be a valid integer"),
    ],
    ("replay", "plan"): [
        ({"from_stage": "nyc_taxi.nope"}, "has no stage 'nope'. Next: choose one of the jobs nyc_taxi.bronze, nyc_taxi.silver"),
        ({"from_stage": "nope.bronze"}, "There is no pipeline 'nope'"),
        ({"from_timestamp": "2024-01-01", "from_offsets": "0:0"}, "set only one of them"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "params", "message"),
    [(task, params, message) for task, cases in REFUSED_BY_THE_TASK.items() for params, message in cases],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else str(value)[:40],
)
def test_an_invalid_value_fails_the_task_without_retries(start, settings, monkeypatch, task, params, message):
    monkeypatch.setattr(IcebergCatalogHook, "exists", lambda *_: False)
    with pytest.raises(AirflowFailException) as refused:
        start(*task, **params)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


#: DAG -> values of its params with a wrong type, or out of range.
REFUSED_BY_THE_FORM = {
    "audit": {
        "pipeline": ["nope", 1, None], "partition": [-1, "0", 0.5], "first_offset": [-1, "0", 2**63],
        "last_offset": [-1, 0.5, 2**63], "since": [0, []], "at_rest": [None, "yes", 1],
        "memory_limit": ["", "lots", "0GB", "1TB", "99999999GB", 1],
    },
    "flink_jobs": {
        "job": ["nope", "nyc_taxi", "", None], "action": ["stop", "", None], "state_path": [1, []],
    },
    "iceberg_maintenance": {
        "tables": ["bronze.raw_trips", [1], [None]], "operations": ["expire_snapshots", ["vacuum"], [1]],
        "dry_run": ["no", None], "thresholds": ["{}", [], {"retain_last": "1"}, {"retain_last": None}],
        "ignore_unknown_positions": ["yes", None],
    },
    "housekeeping": {"dry_run": ["no", None, 0]},
    "nyc_taxi_pipeline": {"full_refresh": ["yes", None, 1]},
    "platform_alerts": {},
    "rejects_replay": {
        "pipeline": ["nope", None], "file": [1, []], "stage": [1], "reason": [False], "dry_run": ["no", None],
    },
    "replay": {
        "from_stage": ["nope", "silver", None], "dry_run": ["no", None], "from_timestamp": [0], "from_offsets": [0, {"0": 1}],
    },
    "taxi_trip_generator": {
        "events": [0, "1", 0.5], "mode": ["fast", None], "rate": [0, "1"], "seed": [-1, "new", None], "source": [1, []],
        "where": ["here", None],
    },
}  # fmt: skip


def test_all_forms_are_listed(dags):
    listed = {dag_id: set(params) for dag_id, params in REFUSED_BY_THE_FORM.items()}
    assert {dag_id: set(dag.params) for dag_id, dag in dags.items()} == listed


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        (dag_id, name, value)
        for dag_id, params in REFUSED_BY_THE_FORM.items()
        for name, values in params.items()
        for value in values
    ],
)
def test_values_of_wrong_types_are_refused_by_the_form(dags, dag_id, name, value):
    with pytest.raises(ParamValidationError):
        dags[dag_id].params.get_param(name).resolve(value)


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("since", ["2024-01-01T00:00:00", "2024-01-01", "2023-12-31T19:00:00-05:00"])
def test_a_time_is_in_utc_unless_it_has_an_offset(start, monkeypatch, since):
    asked: dict[str, Any] = {}

    class Clean:
        clean = True

        def as_dict(self) -> dict[str, Any]:
            return asked

    monkeypatch.setattr("lakehouse.quality.audit.run_audit", lambda _, **options: asked.update(options) or Clean())
    assert start("audit", "compare", since=since)["since_ms"] == 1_704_067_200_000
