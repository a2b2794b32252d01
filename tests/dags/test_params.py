"""What a form may ask for: a wrong type is refused by the form itself, any other wrong value by the task that reads it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException


@pytest.fixture
def start(dags, monkeypatch) -> Callable[..., Any]:
    """Run the function of a task with these params, and the others as the form has them."""

    def start(dag_id: str, task_id: str, **params: Any) -> Any:
        function = dags[dag_id].get_task(task_id).python_callable
        context = {"params": {**dags[dag_id].params.dump(), **params}, "run_id": "run 1"}
        monkeypatch.setitem(function.__globals__, "get_current_context", lambda: context)
        return function()

    return start


@pytest.mark.parametrize(
    ("dag_id", "task_id", "params", "said"),
    [
        ("audit", "compare", {"since": "yesterday"}, "'yesterday' is not a time in ISO 8601. Next: write it like "),
        ("audit", "compare", {"since": "2024-13-01"}, "'2024-13-01' is not a time in ISO 8601"),
        ("audit", "compare", {"pipeline": "nope"}, "There is no pipeline 'nope'. Next: give one of nyc_taxi"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_fails_the_task_at_once(start, dag_id, task_id, params, said):
    with pytest.raises(AirflowFailException) as refused:
        start(dag_id, task_id, **params)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


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
