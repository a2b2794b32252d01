"""Flink converts timestamps of any century like Python."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from jinja2 import Environment, FileSystemLoader

from lakehouse.airflow.hooks.flink import SqlGatewayHook
from lakehouse.paths import SQL
from lakehouse.pipelines.script import BATCH

calendar = Environment(loader=FileSystemLoader(SQL)).get_template("macros/calendar.jinja").module

MOMENTS = [
    datetime(1, 1, 1),
    datetime(1899, 12, 31, 23, 59, 59, 999_999),
    datetime(1960, 5, 1, 12, 34, 56, 500_000),
    datetime(1969, 12, 31, 23, 59, 59, 500_000),
    datetime(1970, 1, 1),
    datetime(2024, 2, 29, 23, 59, 59, 999_999),
    datetime(9999, 12, 31, 23, 59, 59),
]
END = datetime(2024, 1, 31, 10, 0, 1)


@pytest.fixture(scope="module")
def answers(main_job) -> list[dict]:
    def row(moment: datetime) -> str:
        start, end = (f"TIMESTAMP '{m.isoformat(' ', 'microseconds')}'" for m in (moment, END))
        values = calendar.date_of(start), calendar.hour_of(start), calendar.minutes_between(start, end)
        return f"SELECT CAST({values[0]} AS STRING) AS d, {values[1]} AS h, {values[2]} AS m"

    with SqlGatewayHook().session(BATCH) as session:
        return [session.query(row(moment), 60)[0] for moment in MOMENTS]


@pytest.mark.parametrize("place", range(len(MOMENTS)), ids=[str(moment) for moment in MOMENTS])
def test_of_each_century(answers, place):
    moment, answer = MOMENTS[place], answers[place]
    assert (answer["d"], answer["h"]) == (str(moment.date()), moment.hour)
    minutes = (END - moment.replace(microsecond=0)) / timedelta(minutes=1)
    assert answer["m"] == pytest.approx(minutes, abs=1e-6)
