{{
    config(
        materialized="incremental",
        unique_key="pickup_date",
        incremental_strategy="delete+insert",
        on_schema_change="fail",
    )
}}

-- One row per day with all sums of the daily marts. Days with new trips since the last build are found by arrival (with
-- overlap), then restricted to those whose count differs from the one stored here.
with recent as (
    select distinct pickup_date
    from {{ ref("fct_trips") }}
    where {{ arrived_since_newest(this if is_incremental() else none, "last_processed_at") }}
),

days as (
    select
        pickup_date,
        count(*) as trip_count,
        count(*) filter (where is_clean) as clean_trip_count,
        count(*) filter (where is_airport_pickup) + count(*) filter (where is_airport_dropoff) as airport_end_count,
        coalesce(sum(passenger_count), 0)::bigint as passenger_count,
        {{ total(exact("trip_distance")) }} as distance_miles,
        {{ total(exact("trip_duration_minutes")) }} as duration_minutes,
        {{ total(exact("trip_distance"), "is_clean") }} as clean_distance_miles,
        {{ total(exact("trip_duration_minutes"), "is_clean") }} as clean_duration_minutes,
        {{ total("total_amount", "is_clean") }} as clean_amount,
        {{ total("fare_amount") }} as fare_amount,
        {{ total("tip_amount") }} as tip_amount,
        {{ total("tolls_amount") }} as tolls_amount,
        {{ total("airport_fee") }} as airport_fee,
        {{ total("extra") }}
        + {{ total("mta_tax") }}
        + {{ total("improvement_surcharge") }}
        + {{ total("congestion_surcharge") }} as surcharge_amount,
        {{ total("total_amount") }} as total_amount,
        {{ total("if(payment_type_id = 1, fare_amount, 0)") }} as card_fare_amount,
        {{ total("if(payment_type_id = 1, tip_amount, 0)") }} as card_tip_amount,
        max(processed_at) as last_processed_at
    from {{ ref("fct_trips") }}
    where pickup_date in (select recent.pickup_date from recent)
    group by pickup_date
)

select days.*
from days
{% if is_incremental() -%}
    left join {{ this }} as held on days.pickup_date = held.pickup_date
    where days.trip_count is distinct from held.trip_count
{%- endif %}
