{{ config(unique_key="pickup_date") }}

-- Trips from and to an airport; a trip between airports is in both.
with trips as (
    select *
    from {{ ref("fct_trips") }}
    where pickup_date in ({{ changed_dates(expected="airport_end_count") }})
),

airport_ends as (
    select *, pickup_location_id as location_id, 'from airport' as direction
    from trips
    where is_airport_pickup
    union all
    select *, dropoff_location_id as location_id, 'to airport' as direction
    from trips
    where is_airport_dropoff
)

select
    pickup_date,
    location_id,
    direction,
    count(*) as trip_count,
    {{ total("total_amount") }} as total_revenue,
    {{ total("airport_fee") }} as airport_fee_revenue,
    {{ average_of_clean("total_amount") }} as revenue_per_trip,
    {{ average_of_clean(exact("trip_distance")) }} as average_distance_miles,
    {{ average_of_clean(exact("trip_duration_minutes")) }} as average_duration_minutes,
    round(median(trip_duration_minutes) filter (where is_clean), 2) as median_duration_minutes
from airport_ends
group by pickup_date, location_id, direction
