{# Trips beyond these limits are flagged, never dropped. #}
{%- set max_plausible_minutes = var("max_plausible_minutes", 360) %}
{%- set max_plausible_miles = var("max_plausible_miles", 200) %}
{%- set max_plausible_mph = var("max_plausible_mph", 80) -%}

-- Each staged trip, without late duplicates, with its derived measures and quality flags. Codes that are not in
-- the lookups become "unknown" (and are flagged), so that joins from fct_trips never lose a trip.
with trips as (
    select
        trips.* exclude (kafka_partition, kafka_offset) replace (
            coalesce(vendors.vendor_id, -1) as vendor_id,
            coalesce(rate_codes.rate_code_id, 99) as rate_code_id,
            coalesce(payment_types.payment_type_id, 5) as payment_type_id,
            coalesce(pickup_zones.location_id, 264) as pickup_location_id,
            coalesce(dropoff_zones.location_id, 264) as dropoff_location_id
        ),
        coalesce(pickup_zones.is_airport, false) as is_airport_pickup,
        coalesce(dropoff_zones.is_airport, false) as is_airport_dropoff,
        (
            vendors.vendor_id is null
            or rate_codes.rate_code_id is null
            or payment_types.payment_type_id is null
            or pickup_zones.location_id is null
            or dropoff_zones.location_id is null
        ) as has_unlisted_code,
        round(trips.trip_distance / nullif(greatest(trips.trip_duration_minutes, 0) / 60, 0), 2) as average_speed_mph
    from {{ ref("stg_trips") }} as trips
    anti join {{ ref("late_duplicates") }} using (kafka_partition, kafka_offset)
    left join {{ ref("stg_vendors") }} as vendors on trips.vendor_id = vendors.vendor_id
    left join {{ ref("stg_rate_codes") }} as rate_codes on trips.rate_code_id = rate_codes.rate_code_id
    left join {{ ref("stg_payment_types") }} as payment_types on trips.payment_type_id = payment_types.payment_type_id
    left join {{ ref("stg_zones") }} as pickup_zones on trips.pickup_location_id = pickup_zones.location_id
    left join {{ ref("stg_zones") }} as dropoff_zones on trips.dropoff_location_id = dropoff_zones.location_id
),

flagged as (
    select
        *,
        -- Only card tips are recorded.
        if(payment_type_id = 1, {{ percent("tip_amount", "fare_amount") }}, null) as tip_percent,
        coalesce(passenger_count, 0) = 0 as has_no_passengers,
        total_amount is null as has_no_total,
        trip_distance = 0 or trip_distance > {{ max_plausible_miles }} as has_implausible_distance,
        trip_duration_minutes <= 0
        or trip_duration_minutes > {{ max_plausible_minutes }} as has_implausible_duration,
        coalesce(average_speed_mph > {{ max_plausible_mph }}, false) as has_implausible_speed
    from trips
)

select
    *,
    not ( -- noqa: LT01, LT06
        has_unlisted_code
        or has_no_passengers
        or has_no_total
        or has_implausible_distance
        or has_implausible_duration
        or has_implausible_speed
    ) as is_clean
from flagged
