"""A second pipeline, unlike the declared one: a single stage with other roles, and tables in a shared namespace."""

from __future__ import annotations

import pytest

from lakehouse.pipelines.model import Pipeline


@pytest.fixture
def meters(taxi: Pipeline) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "meters",
            "title": "Meter readings",
            "topic": {"name": "meter.readings", "contract": "meters.json"},
            "stages": {
                "sorted": {
                    "sql": "sorted.sql",
                    "source": "topic",
                    "sinks": {"valid": "bronze.meters", "late": "x.late"},
                }
            },
            "contract": taxi.contract,
        }
    )
