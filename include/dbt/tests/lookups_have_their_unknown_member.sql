-- int_trip_metrics sends unlisted codes to these members.
select 'vendor' as lookup where not exists (select 1 from {{ ref("dim_vendors") }} where vendor_id = -1)
union all
select 'rate code' where not exists (select 1 from {{ ref("dim_rate_codes") }} where rate_code_id = 99)
union all
select 'payment type' where not exists (select 1 from {{ ref("dim_payment_types") }} where payment_type_id = 5)
union all
select 'location' where not exists (select 1 from {{ ref("dim_locations") }} where location_id = 264)
