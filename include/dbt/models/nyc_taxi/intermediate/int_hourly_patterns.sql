{{
    config(
        materialized="incremental",
        unique_key="pickup_date",
        incremental_strategy="delete+insert",
        on_schema_change="fail",
    )
}}

-- One row for each hour with trips.
select
    pickup_date,
    pickup_hour,
    count(*) as trip_count,
    count(*) filter (where is_clean) as clean_trip_count,
    count(distinct pickup_location_id) as pickup_zone_count,
    coalesce(sum(passenger_count), 0)::bigint as passenger_count,
    {{ total(exact("trip_distance")) }} as distance_miles,
    {{ total(exact("trip_duration_minutes")) }} as duration_minutes,
    {{ total(exact("trip_distance"), "is_clean") }} as clean_distance_miles,
    {{ total(exact("trip_duration_minutes"), "is_clean") }} as clean_duration_minutes,
    {{ total("total_amount", "is_clean") }} as clean_amount,
    {{ total("total_amount") }} as total_amount
from {{ ref("fct_trips") }}
where pickup_date in ({{ changed_dates() }})
group by pickup_date, pickup_hour
