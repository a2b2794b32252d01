"""The row counts of Gold, from the events on."""

from __future__ import annotations

from tests.gold.silver import file_trips

ROWS = """
select
    (select count(*) from fct_trips),
    (select count(*) from mart_daily_revenue),
    (select count(*) from mart_hourly_demand)
"""


def test_generated_events_cover_every_hour_of_the_month(built):
    assert built.query(ROWS) == [(9_855, 31, 744)]


def test_the_real_file(new_gold, silver, real_file):
    gold = new_gold()

    statuses = gold.build(silver.append(file_trips(real_file, "2024-02-01 10:00:00+00")), command="build")

    assert gold.query(ROWS) == [(9_855, 1, 3)]
    assert {name for name, status in statuses.items() if status == "warn"} == set()
