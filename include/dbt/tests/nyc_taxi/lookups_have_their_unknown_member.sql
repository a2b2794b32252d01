-- int_trip_metrics maps unlisted codes to these members.
with members as (
    select 'vendor' as lookup, vendor_id as id from {{ ref("dim_vendors") }}
    union all
    select 'rate code' as lookup, rate_code_id as id from {{ ref("dim_rate_codes") }}
    union all
    select 'payment type' as lookup, payment_type_id as id from {{ ref("dim_payment_types") }}
    union all
    select 'location' as lookup, location_id as id from {{ ref("dim_locations") }}
)

select needed.*
from (values ('vendor', -1), ('rate code', 99), ('payment type', 5), ('location', 264)) as needed (lookup, id)
anti join members on needed.lookup = members.lookup and needed.id = members.id
