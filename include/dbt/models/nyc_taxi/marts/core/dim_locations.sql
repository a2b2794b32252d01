select
    location_id,
    borough,
    zone,
    service_zone,
    is_airport
from {{ ref("stg_zones") }}
