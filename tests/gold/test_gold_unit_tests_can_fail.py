"""Each unit test of the dbt project fails if the SQL that it guards is broken."""

from __future__ import annotations

import shutil

import pytest

from tests.gold.gold import PROJECT, Dbt, statuses

pytestmark = pytest.mark.long

# Unit test -> the model, and a mistake in it that no other unit test detects.
SLIPS = {
    "unlisted_codes_become_unknown_and_are_flagged": (
        "intermediate/int_trip_metrics",
        "coalesce(vendors.vendor_id, -1)",
        "trips.vendor_id",
    ),
    "flags_are_set_beyond_their_limits": ("intermediate/int_trip_metrics", "trip_distance = 0 or ", ""),
    "sums_of_a_day_ignore_missing_values": (
        "intermediate/int_daily_summary",
        "count(*) filter (where is_airport_pickup) + ",
        "",
    ),
    "an_incremental_summary_has_only_the_days_that_changed": (
        "intermediate/int_daily_summary",
        "where days.trip_count is distinct from held.trip_count",
        "",
    ),
    "hours_are_built_for_changed_days_and_only_with_trips": (
        "intermediate/int_hourly_patterns",
        "count(distinct pickup_location_id)",
        "count(pickup_location_id)",
    ),
    "existing_trips_are_left_out": ("marts/core/fct_trips", "loaded.trip_id = trips.trip_id", "false"),
    "dates_have_no_gap_and_know_weekends": ("marts/core/dim_dates", "dayname(date_day)", "monthname(date_day)"),
    "saturday_and_sunday_are_weekend": ("marts/core/dim_dates", ">= 6", "> 6"),
    "averages_without_a_divisor_are_null": (
        "marts/daily/mart_daily_revenue",
        'percent("card_tip_amount", "card_fare_amount")',
        'percent("tip_amount", "fare_amount")',
    ),
    "hours_fall_into_time_bands_and_share_the_day": (
        "marts/daily/mart_hourly_demand",
        "pickup_hour < 10",
        "pickup_hour <= 10",
    ),
    "a_trip_counts_where_it_begins_and_where_it_ends": (
        "marts/daily/mart_location_performance",
        "dropoff_location_id as location_id",
        "pickup_location_id as location_id",
    ),
    "shares_of_a_day_without_revenue_are_null": (
        "marts/daily/mart_payment_mix",
        "sum(count(*)) over (partition by pickup_date)",
        "sum(count(*)) over ()",
    ),
    "a_trip_between_airports_is_in_both_directions": (
        "marts/daily/mart_airport_trips",
        "where is_airport_pickup",
        "where is_airport_pickup and not is_airport_dropoff",
    ),
    "the_speed_of_a_route_is_its_clean_miles_divided_by_its_clean_hours": (
        "marts/daily/mart_route_performance",
        ' ~ " / 60"',
        "",
    ),
    "quality_is_counted_by_flag": ("marts/daily/mart_trip_quality", "where has_no_total", "where has_no_passengers"),
}


def test_every_unit_test_detects_its_mistake(dbt, built, tmp_path):
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project)
    for model, right, wrong in SLIPS.values():
        file = project / "models" / "nyc_taxi" / f"{model}.sql"
        assert file.read_text().count(right) == 1, f"{model} has not got '{right}' once"
        file.write_text(file.read_text().replace(right, wrong))
    gold = built.copy(tmp_path / "gold", Dbt(tmp_path, project))

    result = gold.dbt("test", "--select", "test_type:unit")

    assert statuses(result) == dict.fromkeys(SLIPS, "fail")
    assert {test["name"] for test in dbt.manifest["unit_tests"].values()} == set(SLIPS)
