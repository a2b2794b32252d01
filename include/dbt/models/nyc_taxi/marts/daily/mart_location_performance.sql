{{ config(unique_key="pickup_date") }}

-- A trip counts twice: as a pickup in one zone, and as a dropoff in another (or the same), both on its pickup date.
with trips as (
    select *
    from {{ ref("fct_trips") }}
    where pickup_date in ({{ changed_dates(held="sum(pickup_count)") }})
),

trip_ends as (
    select
        pickup_date,
        pickup_location_id as location_id,
        true as is_pickup,
        is_clean,
        total_amount,
        tip_amount,
        trip_distance
    from trips
    union all by name
    select pickup_date, dropoff_location_id as location_id, false as is_pickup
    from trips
)

select
    pickup_date,
    location_id,
    count(*) filter (where is_pickup) as pickup_count,
    count(*) filter (where not is_pickup) as dropoff_count,
    count(*) filter (where is_pickup) - count(*) filter (where not is_pickup) as net_pickup_count,
    {{ total("total_amount") }} as pickup_revenue,
    {{ total("tip_amount") }} as pickup_tips,
    {{ average_of_clean("total_amount", of="is_pickup") }} as revenue_per_pickup,
    {{ average_of_clean(exact("trip_distance"), of="is_pickup") }} as average_distance_miles
from trip_ends
group by pickup_date, location_id
