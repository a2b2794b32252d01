"""For every data test of the dbt project, a change of the Gold file that must make it fail."""

from __future__ import annotations

from string import Formatter
from typing import Any

import duckdb

from tests.gold.gold import Gold

DAY = "where pickup_date = '2024-01-11'"
HOUR = f"{DAY} and pickup_hour = 9"
TRIP = "where trip_id = (select min(trip_id) from fct_trips where is_clean)"

LATE = "(select trip_id, kafka_partition, kafka_offset, processed_at from stg_trips limit 1)"

# Changes derived from the test's kind and arguments.
BY_KIND = {
    "unique": ["insert into {model} from {model} limit 1"],
    "unique_together": ["insert into {model} from {model} limit 1"],
    "not_null": ["update {model} set {column_name} = null where rowid = 0"],
    "accepted_values": ["update {model} set {column_name} = 'nonsense' where rowid = 0"],
    "relationships": ["delete from {to} where {field} = (select min({column_name}) from {model})"],
    "in_range": [
        "update {model} set {column_name} = {at_least} - 1 where rowid = 0",
        "update {model} set {column_name} = {at_most} + 1 where rowid = 0",
    ],
}

BY_NAME = {
    "stg_trips_pickup_date_is_the_date_of_pickup": f"update stg_trips set pickup_date = pickup_date + 1 {TRIP}",
    "stg_trips_pickup_hour_is_the_hour_of_pickup": f"update stg_trips set pickup_hour = 23 - pickup_hour {TRIP}",
    "stg_trips_duration_is_the_time_between_pickup_and_dropoff": (
        f"update stg_trips set trip_duration_minutes = trip_duration_minutes + 0.02 {TRIP}"
    ),
    "stg_trips_trip_id_is_the_hash_of_what_identifies_a_trip": (
        f"update stg_trips set fare_amount = fare_amount + 0.01 {TRIP}"
    ),
    "stg_zones_are_the_265_of_the_tlc": "delete from stg_zones where location_id = 265",
    "int_trip_metrics_has_each_staged_trip_once": f"insert into int_trip_metrics from int_trip_metrics {TRIP}",
    "int_daily_summary_counts_every_trip": f"update int_daily_summary set trip_count = trip_count + 1 {DAY}",
    "int_daily_summary_sums_the_totals": f"update int_daily_summary set total_amount = total_amount + 0.01 {DAY}",
    "int_daily_summary_has_the_last_arrival": (
        f"update int_daily_summary set last_processed_at = last_processed_at - interval 1 second {DAY}"
    ),
    "int_daily_summary_counts_airport_ends_by_zone": (
        f"update int_daily_summary set airport_end_count = airport_end_count + 1 {DAY}"
    ),
    "int_daily_summary_clean_trips_are_trips": f"update int_daily_summary set clean_trip_count = trip_count + 1 {DAY}",
    "int_daily_summary_card_amounts_are_part_of_all": (
        f"update int_daily_summary set card_fare_amount = fare_amount + 0.01 {DAY}"
    ),
    "int_hourly_patterns_counts_every_trip": f"delete from int_hourly_patterns {HOUR}",
    "int_hourly_patterns_sums_the_distance": (
        f"update int_hourly_patterns set distance_miles = distance_miles + 0.01 {HOUR}"
    ),
    # Several trips of another day, so that it does not cancel out the change of a mart by one trip.
    "fct_trips_holds_every_silver_trip": "delete from fct_trips where pickup_date = '2024-01-12' and pickup_hour = 9",
    "late_duplicates_holds_each_position_once": f"insert into late_duplicates {LATE} union all {LATE}",
    "relationships_late_duplicates_trip_id__trip_id__ref_fct_trips_": (
        f"insert into late_duplicates {LATE.replace('trip_id', repr('no trip'))}"
    ),
    "fct_trips_is_unique_on_staged_days": f"insert into fct_trips from fct_trips {TRIP}",
    "fct_trips_keeps_staged_values": f"update fct_trips set tip_amount = tip_amount + 0.01 {TRIP}",
    "fct_trips_replaces_only_unlisted_codes": f"update fct_trips set vendor_id = 7 {TRIP}",
    "fct_trips_clean_means_no_flag": f"update fct_trips set has_no_total = true {TRIP}",
    "lookups_have_their_unknown_member": "delete from dim_vendors where vendor_id = -1",
    "dim_dates_has_no_gap": "delete from dim_dates where date_day = '2024-01-11'",
    "mart_daily_revenue_covers_every_trip": f"delete from mart_daily_revenue {DAY}",
    "mart_daily_revenue_has_all_revenue": f"update mart_daily_revenue set total_revenue = total_revenue + 0.01 {DAY}",
    "mart_daily_revenue_has_all_fares": f"update mart_daily_revenue set fare_revenue = fare_revenue + 0.01 {DAY}",
    "mart_daily_revenue_has_all_surcharges": (
        f"update mart_daily_revenue set surcharge_revenue = surcharge_revenue + 0.01 {DAY}"
    ),
    "mart_daily_revenue_has_all_passengers": (
        f"update mart_daily_revenue set passenger_count = passenger_count + 1 {DAY}"
    ),
    "mart_hourly_demand_covers_every_trip": f"update mart_hourly_demand set trip_count = trip_count - 1 {HOUR}",
    "mart_hourly_demand_has_all_revenue": f"update mart_hourly_demand set total_revenue = total_revenue + 0.01 {HOUR}",
    "mart_hourly_demand_has_each_hour_with_trips": f"delete from mart_hourly_demand {HOUR}",
    "mart_hourly_demand_zones_fit_the_trips": (
        f"update mart_hourly_demand set pickup_zone_count = trip_count + 1 {HOUR}"
    ),
    "mart_location_performance_covers_every_pickup": (
        f"update mart_location_performance set pickup_count = pickup_count + 1 {DAY}"
    ),
    "mart_location_performance_covers_every_dropoff": (
        f"update mart_location_performance set dropoff_count = dropoff_count + 1 {DAY}"
    ),
    "mart_location_performance_has_all_revenue": (
        f"update mart_location_performance set pickup_revenue = pickup_revenue + 0.01 {DAY}"
    ),
    "mart_location_performance_has_all_tips": (
        f"update mart_location_performance set pickup_tips = pickup_tips + 0.01 {DAY}"
    ),
    "mart_location_performance_net_is_pickups_less_dropoffs": (
        f"update mart_location_performance set net_pickup_count = net_pickup_count + 1 {DAY}"
    ),
    "mart_payment_mix_covers_every_trip": f"delete from mart_payment_mix {DAY} and payment_type_id = 2",
    "mart_payment_mix_has_all_revenue": f"update mart_payment_mix set total_revenue = total_revenue + 0.01 {DAY}",
    "mart_payment_mix_has_all_tips": f"update mart_payment_mix set tip_revenue = tip_revenue + 0.01 {DAY}",
    "mart_payment_mix_shares_add_up_to_100": (
        f"update mart_payment_mix set share_of_trips_percent = share_of_trips_percent + 0.1 {DAY}"
    ),
    "mart_airport_trips_covers_every_airport_end": f"delete from mart_airport_trips {DAY} and location_id = 132",
    "mart_airport_trips_has_all_revenue_from_airports": (
        f"update mart_airport_trips set total_revenue = total_revenue + 0.01 {DAY} and direction = 'from airport'"
    ),
    "mart_airport_trips_has_all_revenue_to_airports": (
        f"update mart_airport_trips set total_revenue = total_revenue + 0.01 {DAY} and direction = 'to airport'"
    ),
    "mart_route_performance_covers_every_trip": f"update mart_route_performance set trip_count = trip_count + 1 {DAY}",
    "mart_route_performance_has_all_revenue": (
        f"update mart_route_performance set total_revenue = total_revenue + 0.01 {DAY}"
    ),
    "mart_trip_quality_covers_every_trip": f"delete from mart_trip_quality {DAY}",
    "mart_trip_quality_covers_every_clean_trip": (
        f"update mart_trip_quality set clean_trip_count = clean_trip_count - 1 {DAY}"
    ),
    "mart_trip_quality_each_unclean_trip_has_a_flag": (
        f"update mart_trip_quality set no_total_count = trip_count + 1 {DAY}"
    ),
}


def kind(test: Any) -> str:
    """The generic test of a dbt data test, if any."""
    return test.test_metadata.name if hasattr(test, "test_metadata") else "singular"


def mutations(test: Any) -> list[str]:
    """The changes, each of which must make a dbt data test fail."""
    if test.name in BY_NAME:
        return [BY_NAME[test.name]]
    assert kind(test) in BY_KIND, f"Nothing here breaks what {test.name} guards: add it to BY_NAME"
    values = {**test.test_metadata.kwargs, "model": test.attached_node.split(".")[-1]}
    values["to"] = values.get("to", "").removeprefix("ref('").removesuffix("')")
    return [text.format(**values) for text in BY_KIND[kind(test)] if _names(text) <= values.keys()]


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def open_to_mutations(gold: Gold) -> duckdb.DuckDBPyConnection:
    """Connect to a Gold file, after replacing its views by tables with the same rows."""
    connection = duckdb.connect(str(gold.file))
    connection.execute("set search_path = 'main,staging,intermediate'")
    views = "select schema_name, view_name from duckdb_views() where not internal"
    views = connection.execute(views).fetchall()
    for schema, view in views:
        connection.execute(f"create table {schema}.{view}_rows as from {schema}.{view}")
    for schema, view in views:
        connection.execute(f"drop view {schema}.{view}; alter table {schema}.{view}_rows rename to {view}")
    return connection
