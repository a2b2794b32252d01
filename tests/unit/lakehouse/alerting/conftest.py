"""A second pipeline, unlike the declared one: its tables share a namespace with it, its one stage has roles of its own."""

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
