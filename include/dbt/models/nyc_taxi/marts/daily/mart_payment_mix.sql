{{ config(unique_key="pickup_date") }}

select
    pickup_date,
    payment_type_id,
    count(*) as trip_count,
    {{ percent("count(*)", "sum(count(*)) over (partition by pickup_date)") }} as share_of_trips_percent,
    {{ total("total_amount") }} as total_revenue,
    {{ percent(total("total_amount"), "sum(" ~ total("total_amount") ~ ") over (partition by pickup_date)") }}
        as share_of_revenue_percent,
    {{ total("tip_amount") }} as tip_revenue,
    {{ average_of_clean("total_amount") }} as revenue_per_trip
from {{ ref("fct_trips") }}
where pickup_date in ({{ changed_dates() }})
group by pickup_date, payment_type_id
