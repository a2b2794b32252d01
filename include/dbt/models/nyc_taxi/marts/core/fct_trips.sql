{{ config(materialized="incremental", incremental_strategy="append", on_schema_change="append_new_columns") }}

-- depends_on: {{ ref("stg_trips") }}
-- Every trip of Silver, once: its first arrival; the others are in late_duplicates. The staged trips overlap with those
-- of earlier runs: existing trips are left out. A trip's id covers its pickup time, so only staged days are searched.
select
    trip_id,
    vendor_id,
    rate_code_id,
    payment_type_id,
    pickup_location_id,
    dropoff_location_id,
    pickup_datetime,
    dropoff_datetime,
    pickup_date,
    pickup_hour,
    passenger_count,
    store_and_fwd_flag,
    trip_distance,
    trip_duration_minutes,
    average_speed_mph,
    fare_amount,
    extra,
    mta_tax,
    tip_amount,
    tip_percent,
    tolls_amount,
    improvement_surcharge,
    congestion_surcharge,
    airport_fee,
    total_amount,
    is_airport_pickup,
    is_airport_dropoff,
    has_unlisted_code,
    has_no_passengers,
    has_no_total,
    has_implausible_distance,
    has_implausible_duration,
    has_implausible_speed,
    is_clean,
    processed_at
from {{ ref("int_trip_metrics") }} as trips
{% if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as loaded
        where
            loaded.trip_id = trips.trip_id
            and loaded.pickup_date in (select staged.pickup_date from {{ ref("stg_trips") }} as staged)
    )
{%- endif %}
